"""The underflow experiment in every format, and that its conclusions can fail."""

from typing import get_args

import numpy as np
import pytest
import torch

import softmax_ref
from experiments import underflow
from experiments.suite.parameters import FloatFormat
from softmax_ref import textbook
from softmax_ref.formats import get_format
from tests.experiments.running import failing, run

QUICK = {"rows": 20, "scale_steps": 4}


@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_predictions_hold_in_every_format(dtype, monkeypatch):
    found, names = run(monkeypatch, "underflow", dtype=dtype)
    # The digits' margins of at most 92 reach the limit of float16, and no other.
    assert failing(found) == (set() if dtype == "float16" else {"wrong-labels-lost"})
    assert len(names["results"]) == 7 * (25 + 25 + 5)
    assert names["results"].entries.sum() == 7 * (25 * (3_000 + 4_500) + 5 * 4_500)


def test_a_wrong_threshold_is_noticed(monkeypatch):
    """Were half the smallest number forgotten, all that is predicted from it would be off."""
    wrong = ("float(np.log(smallest) - np.log(2))", "float(np.log(smallest))")
    found, _ = run(monkeypatch, "underflow", wrong)
    assert failing(found) == {"zero-threshold", "zero-over-zero", "harmless", "infinite-loss"}


def test_a_wrong_subnormal_threshold_is_noticed(monkeypatch):
    wrong = ("log_normal = float(np.log(number_format.smallest_normal))", "log_normal = -9.5")
    found, _ = run(monkeypatch, "underflow", wrong, **QUICK)
    assert failing(found) == {"subnormal-threshold"}


def test_a_limit_of_the_loss_that_is_off_is_noticed(monkeypatch):
    wrong = ("predicted = true_loss > -log_zero", "predicted = true_loss > -log_zero - 2")
    found, _ = run(monkeypatch, "underflow", wrong, scale_steps=4)
    assert failing(found) == {"infinite-loss"}


def test_a_stable_softmax_that_is_the_textbooks_is_noticed(monkeypatch):
    monkeypatch.setattr(softmax_ref, "softmax", textbook.softmax)
    found, _ = run(monkeypatch, "underflow", **QUICK)
    assert failing(found) >= {"shift-survives", "stable-keeps-digits", "textbook-worse"}


def test_a_log_softmax_that_forms_probabilities_is_noticed(monkeypatch):
    monkeypatch.setattr(softmax_ref, "log_softmax", lambda x: np.log(softmax_ref.softmax(x)))
    found, _ = run(monkeypatch, "underflow", **QUICK)
    assert failing(found) == {"log-softmax-survives"}


def test_a_textbook_formula_that_is_stable_after_all_is_noticed(monkeypatch):
    monkeypatch.setattr(textbook, "softmax", softmax_ref.softmax)
    found, _ = run(monkeypatch, "underflow", **QUICK)
    assert failing(found) == {"zero-over-zero", "subnormals-lose-digits", "textbook-worse"}


def test_a_fused_loss_that_is_not_fused_is_noticed(monkeypatch):
    wrong = ('losses["in one piece"] = fused', 'losses["in one piece"] = log_of_softmax')
    found, _ = run(monkeypatch, "underflow", wrong, **QUICK)
    assert failing(found) == {"fused-teaches"}


def test_a_machine_that_cannot_flush_is_no_failure(monkeypatch):
    monkeypatch.setattr(torch, "set_flush_denormal", lambda _: False)
    found, _ = run(monkeypatch, "underflow", **QUICK)
    assert found["flushing"] == "not testable here"


@pytest.mark.parametrize("n", [2, 1_000])
def test_other_sizes_run_to_their_end(n, monkeypatch):
    found, _ = run(monkeypatch, "underflow", n=n, rows=5, scale_steps=2)
    assert failing(found) == set()


@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_tensors_hold_the_same_numbers(dtype):
    number_format = get_format(dtype)
    x = np.array([number_format.smallest_subnormal, -number_format.max, 1 / 3, np.inf])
    x = number_format.round(x)
    assert np.array_equal(underflow.to_torch(x).to(torch.float64).numpy(), x.astype(np.float64))


def test_a_format_that_is_not_taken_is_none():
    def picky(x):
        raise TypeError("ufunc 'exp' not supported for the input types")

    assert underflow.apply(picky, np.zeros((1, 2)), get_format("bfloat16")) is None
