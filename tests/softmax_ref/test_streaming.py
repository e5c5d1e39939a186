"""Chunks: the result does not depend on them, merging is associative, one chunk is held."""

import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import softmax_ref as sr
from softmax_ref.streaming import (
    RunningLogSumExp,
    cross_entropy_in_chunks,
    softmax_in_chunks,
)

LOGITS = st.one_of(
    st.floats(-50, 50), st.floats(-1000, 1000), st.floats(-1e6, 1e6), st.just(-np.inf)
)


def parts(x, data):
    cuts = data.draw(st.lists(st.integers(0, len(x)), max_size=5).map(sorted))
    return np.split(x, cuts)


def of(x):
    return RunningLogSumExp().update(x)


@given(hnp.arrays(np.float64, st.integers(0, 40), elements=LOGITS), st.data())
def test_the_result_does_not_depend_on_the_cuts_or_the_order(x, data):
    whole = of(x).value()
    shuffled = x[data.draw(st.permutations(range(len(x))))]
    chunks = parts(shuffled, data)
    running = RunningLogSumExp()
    for chunk in chunks:
        running = running.update(chunk)
    # The terms are the same and their sum is exact to 2^-75, so only the last rounding can differ:
    # 2 units in the last place are what is promised.
    np.testing.assert_array_max_ulp(running.value(), whole, 2)
    tree = [of(chunk) for chunk in chunks]
    while len(tree) > 1:
        i = data.draw(st.integers(0, len(tree) - 2))
        tree[i : i + 2] = [tree[i].merge(tree[i + 1])]
    np.testing.assert_array_max_ulp(tree[0].value(), whole, 2)
    p = running.softmax(x)
    q = of(x).softmax(x)
    if np.isfinite(whole):
        np.testing.assert_array_max_ulp(p, q, 2)
    else:
        assert np.all(np.isnan(p))


@given(*[hnp.arrays(np.float64, st.integers(0, 10), elements=LOGITS)] * 3)
def test_a_commutative_monoid(x, y, z):
    a, b, c = of(x), of(y), of(z)
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    np.testing.assert_array_max_ulp(left.value(), right.value(), 2)
    assert a.merge(b).value() == b.merge(a).value()
    for same in (a.merge(RunningLogSumExp()), RunningLogSumExp().merge(a)):
        assert (same.exponent, same.high, same.low) == (a.exponent, a.high, a.low)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-700, 700)))
def test_the_value_against_mpmath(x):
    # Each term errs by less than 1.5 units of roundoff, the sum not at all: 1.5 u of absolute
    # error in the logarithm, and 1 ulp for the last operations.
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.fsum([mpmath.exp(mpmath.mpf(v)) for v in x.tolist()]))
        error = float(abs(mpmath.mpf(float(of(x).value())) - exact))
    assert error <= 1.5 * 2.0**-53 + np.spacing(abs(float(exact)))


@given(hnp.arrays(np.float64, (3, 12), elements=st.floats(-200, 200)), st.data())
def test_rows_formats_and_tensors(x, data):
    for dtype in (np.float64, np.float32, np.float16):
        rows = x.astype(dtype)
        with np.errstate(all="ignore"):
            chunks = np.split(rows, [5, 5, 9], axis=-1)
        p = np.concatenate(list(softmax_in_chunks(chunks)), axis=-1)
        assert p.dtype == dtype
        u = np.finfo(dtype).eps
        # The stable softmax rounds x − max: a relative error of 400 u/2 in float64.
        np.testing.assert_allclose(
            p.astype(float),
            sr.softmax(rows).astype(float),
            rtol=400 * u,
            atol=1e-7 if u > 1e-10 else 0,
        )
        tensors = [torch.tensor(c) for c in chunks]
        q = torch.cat(list(softmax_in_chunks(lambda tensors=tensors: iter(tensors))), -1)
        np.testing.assert_allclose(q.double(), p.astype(float), rtol=2 * u, atol=u * 1e-3)
        total = RunningLogSumExp().update(tensors[0]).merge(RunningLogSumExp())
        assert total.value().shape == (3,)


@given(hnp.arrays(np.float64, (4, 9), elements=st.floats(-100, 100)), st.data())
def test_cross_entropy_in_chunks(x, data):
    target = data.draw(hnp.arrays(np.int64, 4, elements=st.integers(0, 8)))
    whole = cross_entropy_in_chunks([x], target)
    for cut in ([3], [0, 1, 8], [4, 4]):
        loss = cross_entropy_in_chunks(iter(np.split(x, cut, axis=-1)), target)
        # 2 ulp, or 2^-100 for a loss so small that it is the last digits of the sum.
        np.testing.assert_allclose(loss, whole, rtol=2 * 2.0**-52, atol=2.0**-100)
    expected = sr.cross_entropy(x, target, reduction="none")
    np.testing.assert_allclose(whole, expected, rtol=1e-13, atol=1e-15)
    tensors = (torch.tensor(part) for part in np.split(x, [3], axis=-1))
    np.testing.assert_allclose(
        cross_entropy_in_chunks(tensors, torch.tensor(target)), whole, rtol=1e-14, atol=1e-16
    )


def test_a_small_loss_keeps_its_digits():
    loss = cross_entropy_in_chunks([np.array([[3.0]]), np.array([[-37.0]])], [0])
    np.testing.assert_array_max_ulp(loss, np.log1p(np.exp(np.array([-40.0]))), 4)


def test_edges():
    assert RunningLogSumExp().value() == -np.inf
    assert of([]).value() == -np.inf
    assert of([-np.inf, -np.inf]).value() == -np.inf
    assert of([-3e38, -1e30, 2.0]).value() == 2.0
    assert of([-3e38]).value() == -np.inf
    assert np.isnan(of([np.nan, 1.0]).value())
    assert np.isnan(of([1.0]).update([np.nan]).value())
    assert cross_entropy_in_chunks([np.array([0.0, -np.inf])], np.array(1)) == np.inf


@pytest.mark.parametrize("value", [np.inf, 2e6, 3e38])
def test_logits_above_the_limit_are_refused(value):
    with pytest.raises(ValueError, match=r"logits must not exceed 2\*\*20; got"):
        of([0.0, value])


def test_bad_chunks_and_targets():
    x = np.zeros((2, 3))
    with pytest.raises(TypeError, match="chunks must be a sequence"):
        next(softmax_in_chunks(iter([x])))
    with pytest.raises(TypeError, match="integers; got float64"):
        cross_entropy_in_chunks([x], [0.0, 1.0])
    with pytest.raises(IndexError, match=r"target must be between 0 and 5; got 6\."):
        cross_entropy_in_chunks([x, x], [0, 6])
    with pytest.raises(IndexError, match=r"got -1\."):
        cross_entropy_in_chunks([x, x], [0, -1])


def test_a_million_classes_one_chunk_at_a_time():
    classes, size, rows = 1_000_000, 20_000, 2

    def chunks():
        for start in range(0, classes, size):
            rng = np.random.default_rng(start)
            yield rng.normal(size=(rows, size)).astype(np.float32)

    tracemalloc.start()
    total = np.zeros(rows)
    for p in softmax_in_chunks(chunks):
        total += p.sum(axis=-1, dtype=np.float64)
    loss = cross_entropy_in_chunks(chunks(), [7, 999_999])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 1e6 float32 probabilities, each rounded once: their errors cancel to far below u.
    np.testing.assert_allclose(total, 1.0, rtol=1e-7)
    whole = np.concatenate(list(chunks()), axis=-1).astype(np.float64)
    np.testing.assert_allclose(
        loss, sr.cross_entropy(whole, [7, 999_999], reduction="none"), rtol=1e-14
    )
    # A chunk is held as a dozen float64 arrays at most; all the logits would be 25 times as much.
    assert peak < 16 * rows * size * 8 < rows * classes * 8
