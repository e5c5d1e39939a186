"""Blocks, pieces of long rows and threads change the time, not the results."""

import subprocess
import sys

import numpy as np
import pytest

import softmax_ref as sr
from softmax_ref import _blocks

FUNCTIONS = {
    "softmax": sr.softmax,
    "log_softmax": sr.log_softmax,
    "logsumexp": sr.logsumexp,
    "sigmoid": sr.sigmoid,
    "softmax_jvp": lambda x: sr.softmax_jvp(x, x),
    "cross_entropy": lambda x: sr.cross_entropy(x, np.zeros(len(x), int), reduction="none"),
    "cross_entropy_gradient": lambda x: sr.cross_entropy_gradient(x, np.zeros(len(x), int)),
}


@pytest.fixture
def rows():
    x = np.random.default_rng(0).normal(size=(37, 100))
    x[3, 50], x[4], x[5, 99], x[6, 0] = np.inf, -np.inf, np.nan, 700.0
    return x


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block", [8, 56, 800, 4000, 2**20])
def test_any_block_and_any_number_of_threads(function, threads, block, rows, monkeypatch):
    expected = function(rows)
    monkeypatch.setattr(_blocks, "BLOCK", block)
    monkeypatch.setattr(_blocks, "_threads", threads)
    y = function(rows)
    # A row in pieces is summed piece by piece: 100 terms in another order. Of the products with
    # the Jacobian, numbers below 1, the rounding of a sum near 1 remains.
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-15)
    if block >= 800:  # a row is in one piece
        np.testing.assert_array_equal(y, expected)


def test_a_long_row_is_as_accurate_as_a_short_one():
    x = np.random.default_rng(0).normal(size=300_000).astype(np.float32)
    exact = sr.logsumexp(x.astype(np.float64))
    assert abs(float(sr.logsumexp(x)) - exact) <= np.spacing(np.float32(exact))
    assert abs(float(sr.softmax(x).sum(dtype=np.float64)) - 1) < 1e-6


def test_an_exception_in_a_thread_arrives(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK", 80)
    monkeypatch.setattr(_blocks, "_threads", 2)

    def fail(out, x):
        raise ZeroDivisionError("in a thread")

    with pytest.raises(ZeroDivisionError, match="in a thread"):
        _blocks.by_rows(fail, np.empty((20, 10)), np.empty((20, 10)))


def test_torch_is_not_imported_for_numpy_arrays():
    code = (
        "import sys, softmax_ref as sr; sr.softmax([1.0, 2.0]); "
        "sr.cross_entropy([[1.0, 2.0]], [0]);"
        "sr.RunningLogSumExp().update([1.0]).value(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
