"""The training experiment, and that its conclusions can fail."""

from typing import get_args

import numpy as np
import pytest

import softmax_ref
from experiments import training
from experiments.digits import load_digits_split
from experiments.suite.parameters import FloatFormat
from softmax_ref import textbook
from softmax_ref.formats import get_format
from tests.experiments.running import failing, run

SHORT = {"steps": 12}  # all that is lost is lost by then


@pytest.mark.parametrize(
    ("dtype", "rate"), [("float16", 5.0), ("bfloat16", 50.0), ("float32", 50.0), ("float64", 500.0)]
)
def test_predictions_hold_in_every_format(dtype, rate, monkeypatch):
    found, names = run(monkeypatch, "training", dtype=dtype, learning_rate=rate)
    unexpected = {"few-images-suffice"} if dtype == "float64" else set()  # a third of them at once
    assert failing(found) == unexpected
    assert "not testable here" not in found.values()
    assert len(names["results"]) == 4 * 5


@pytest.mark.parametrize("seed", [1, 2])
def test_other_splits_are_predicted_too(seed, monkeypatch):
    found, _ = run(monkeypatch, "training", seed=seed, **SHORT)
    assert found["nan-step"] == found["every-nan-step"] == found["rate-limit"] == "holds"


def test_without_a_nan_there_is_nothing_to_predict(monkeypatch):
    found, _ = run(monkeypatch, "training", learning_rate=0.5, **SHORT)
    untestable = {id for id, verdict in found.items() if verdict == "not testable here"}
    assert untestable == {"nan-step", "then-everything", "few-images-suffice"}


def test_a_textbook_formula_that_is_stable_after_all_is_noticed(monkeypatch):
    monkeypatch.setattr(textbook, "softmax", softmax_ref.softmax)
    found, _ = run(monkeypatch, "training", **SHORT)
    assert failing(found) >= {"nan-step", "every-nan-step", "rate-limit", "useful-rate-lost"}


def test_a_stable_softmax_that_overflows_is_noticed(monkeypatch):
    monkeypatch.setattr(softmax_ref, "softmax", textbook.softmax)
    found, _ = run(monkeypatch, "training", **SHORT)
    assert failing(found) >= {"stable-finite", "stable-trains"}


def test_a_wrong_limit_is_noticed(monkeypatch):
    """Were the largest number thought a third of what it is, some steps would come too early."""
    wrong = ("float(np.log(f.max))", "float(np.log(f.max)) - 2.5")
    found, _ = run(monkeypatch, "training", wrong, **SHORT)
    assert failing(found) >= {"nan-step", "every-nan-step", "rate-limit"}


def test_a_training_that_does_not_learn_is_noticed(monkeypatch):
    found, _ = run(monkeypatch, "training", steps=2)
    assert failing(found) >= {"stable-trains"}


@pytest.mark.parametrize("dtype", get_args(FloatFormat))
def test_every_stored_weight_is_a_number_of_the_format(dtype):
    digits, f = load_digits_split(0), get_format(dtype)
    history = training.descend(
        softmax_ref.softmax,
        digits.train_pixels,
        digits.train_labels,
        f,
        learning_rate=0.5,
        steps=3,
    )
    assert np.array_equal(f.round(history.weights).astype(np.float64), history.weights)
    assert history.nan_step is None
    assert len(history.largest_logit) == 3


def test_one_step_in_float64_is_the_gradient():
    """From zero weights the update is the learning rate times (y − 1/10)ᵀ x / m."""
    digits = load_digits_split(0)
    x = training.with_bias(digits.train_pixels)
    history = training.descend(
        softmax_ref.softmax,
        digits.train_pixels,
        digits.train_labels,
        get_format("float64"),
        learning_rate=2.0,
        steps=1,
    )
    expected = 2.0 * (np.eye(10)[digits.train_labels] - 0.1).T @ x / len(x)
    assert history.weights == pytest.approx(expected, abs=1e-12)  # sums of 1,347 terms of size 1


def test_nan_weights_have_no_accuracy():
    digits = load_digits_split(0)
    assert training.accuracy(np.full((10, 65), np.nan), digits.test_pixels, digits.test_labels) == 0
