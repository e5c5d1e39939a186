"""The table of edges: what each function gives where a formula has nothing to say."""

import warnings

import ml_dtypes
import numpy as np
import pytest
import torch

import softmax_ref as sr
from softmax_ref.conformance import EDGES
from softmax_ref.formats import get_format

INF, NAN = np.inf, np.nan
FORMATS = ["float64", "float32", "float16", "bfloat16"]
LIBRARIES = ["numpy", "torch"]


def array(values, dtype="float64", library="numpy"):
    if library == "torch":
        return torch.tensor(values, dtype=getattr(torch, dtype))
    return np.array(values, dtype=ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def numbers(y):
    return np.asarray(y.to(torch.float64) if isinstance(y, torch.Tensor) else y, dtype=np.float64)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(
    ("x", "softmax", "log_softmax", "logsumexp"), EDGES.values(), ids=EDGES.keys()
)
def test_values_at_the_edges(x, softmax, log_softmax, logsumexp, dtype, library):
    x = array(x, dtype, library)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = sr.softmax(x), sr.log_softmax(x), sr.logsumexp(x)
    for y, expected in zip(results, (softmax, log_softmax, logsumexp), strict=True):
        assert y.dtype == x.dtype
        rounded = numbers(array(expected, dtype, library))
        one_ulp = get_format(dtype).unit_roundoff * 2
        np.testing.assert_allclose(numbers(y), rounded, rtol=one_ulp, atol=0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_edge_in_one_row_leaves_the_others_alone(library):
    x = array([[0.0, 1.0], [-INF, -INF], [INF, 0.0], [NAN, 0.0]], library=library)
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp):
        np.testing.assert_array_equal(numbers(function(x))[0], numbers(function(x[0])))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int64", "uint64", "bool"])
def test_integers_and_booleans_become_float64_before_any_subtraction(dtype):
    x = np.array([1, 0], dtype=dtype)
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp):
        y = function(x)
        assert y.dtype == np.float64
        np.testing.assert_array_equal(y, function(x.astype(np.float64)))


def test_integers_that_wrap_around_elsewhere():
    np.testing.assert_allclose(sr.softmax(np.array([1, 2], np.uint8))[1], 0.7310585786300049)
    np.testing.assert_array_equal(sr.softmax(np.array([100, -100], np.int8))[0], 1.0)
    y = sr.softmax(torch.tensor([100, -100], dtype=torch.int8))
    assert y.dtype == torch.float64
    assert y[0] == 1.0


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("n", [65_520, 70_000])
def test_equal_float16_logits_whose_sum_has_no_float16(n, library):
    x = array(np.zeros((1, n)), "float16", library)
    np.testing.assert_array_equal(numbers(sr.softmax(x)), np.float16(1 / n))
    np.testing.assert_array_equal(numbers(sr.log_softmax(x)), np.float16(-np.log(n)))
    np.testing.assert_array_equal(numbers(sr.logsumexp(x)), np.float16(np.log(n)))


def test_shapes_and_axes():
    x = np.random.default_rng(0).normal(size=(3, 4, 5))
    assert sr.logsumexp(x, axis=(0, 2)).shape == (4,)
    assert sr.logsumexp(x, axis=(0, 2), keepdims=True).shape == (1, 4, 1)
    assert sr.logsumexp(x, axis=None).shape == ()
    assert sr.logsumexp(x, axis=None, keepdims=True).shape == (1, 1, 1)
    assert sr.logsumexp(np.empty((3, 0, 5)), axis=1).shape == (3, 5)
    assert sr.softmax(np.empty((3, 0, 5)), axis=1).shape == (3, 0, 5)
    assert sr.softmax(np.empty((0, 5))).shape == (0, 5)
    assert sr.logsumexp(np.empty((0, 5))).shape == (0,)
    for axis in (0, 1, 2, -1, -2, (0, 1), (2, 0), (0, 1, 2), None):
        np.testing.assert_allclose(sr.softmax(x, axis).sum(axis=axis), 1.0, rtol=1e-14)


@pytest.mark.parametrize("x", [np.zeros(3), torch.zeros(3)])
@pytest.mark.parametrize("axis", [1, -2, (0, 3)])
def test_an_axis_out_of_range(axis, x):
    with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
        sr.softmax(x, axis=axis)


def losses_of(library, logits, target, **given):
    """Loss and gradient for an array or a tensor, as float64 arrays."""
    x = array(logits, library=library)
    t = torch.tensor(target) if library == "torch" else np.asarray(target)
    loss = sr.cross_entropy(x, t, **given)
    return numbers(loss), numbers(sr.cross_entropy_gradient(x, t, **given))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_mean_over_nothing_is_nan_and_the_sum_is_0(library):
    for logits, target in (
        ([[0.0, 1.0], [2.0, 3.0]], [-100, -100]),
        (np.empty((0, 2)), np.empty(0, int)),
        (np.empty((0, 2)), np.empty((0, 2))),
    ):
        mean, gradient = losses_of(library, logits, target)
        assert np.isnan(mean)
        assert np.all(gradient == 0)
        total, gradient = losses_of(library, logits, target, reduction="sum")
        assert total == 0
        assert np.all(gradient == 0)
        each, _ = losses_of(library, logits, target, reduction="none")
        np.testing.assert_array_equal(each, np.zeros(len(logits)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_class_that_does_not_count_contributes_0_at_minus_infinity(library):
    loss, gradient = losses_of(library, [[0.0, 0.0, -INF]], [[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(loss, np.log(2.0), rtol=1e-15)
    np.testing.assert_array_equal(gradient, [[0.0, 0.0, 0.0]])
    loss, _ = losses_of(
        library, [[0.0, 0.0, -INF]], [0], weight=[1.0, 1.0, 0.0], label_smoothing=0.3
    )
    np.testing.assert_allclose(loss, 0.9 * np.log(2.0), rtol=1e-15)
    loss, gradient = losses_of(library, [[0.0, -INF]], [1])
    assert loss == INF
    np.testing.assert_array_equal(gradient, [[1.0, -1.0]])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_targets_of_any_integer_format(library, dtype):
    logits = np.random.default_rng(0).normal(size=(3, 4))
    ignore = 255 if dtype == "uint8" else -100
    target = np.array([1, 3, ignore], dtype)
    loss, gradient = losses_of(library, logits, target, ignore_index=ignore)
    expected, expected_gradient = losses_of("numpy", logits[:2], [1, 3])
    np.testing.assert_allclose(loss, expected, rtol=1e-15)
    np.testing.assert_allclose(gradient[:2], expected_gradient, rtol=1e-14)
    assert np.all(gradient[2] == 0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_ignored_row_may_hold_anything(library):
    loss, gradient = losses_of(library, [[0.0, 1.0], [NAN, INF], [-INF, -INF]], [1, -100, -100])
    assert loss == losses_of(library, [[0.0, 1.0]], [1])[0]
    assert np.all(gradient[1:] == 0)


def test_hvp_of_ignored_rows_is_0():
    h = sr.cross_entropy_hvp([[NAN, 0.0], [1.0, 2.0]], [-100, 0], np.ones((2, 2)), reduction="sum")
    np.testing.assert_array_equal(h[0], [0.0, 0.0])


@pytest.mark.parametrize("library", LIBRARIES)
def test_weights_of_0_leave_out_what_is_not_finite(library):
    x = array([INF, 1.0, NAN], library=library)
    y = sr.logsumexp(x, b=array([0.0, 2.0, 0.0], library=library))
    np.testing.assert_allclose(numbers(y), 1 + np.log(2.0), rtol=1e-15)
    y, sign = sr.logsumexp(x, b=array([0.0, -2.0, 0.0], library=library), return_sign=True)
    np.testing.assert_allclose(numbers(y), 1 + np.log(2.0), rtol=1e-15)
    assert float(sign) == -1
    nothing = array([0.0, 0.0, 0.0], library=library)
    assert float(sr.logsumexp(x, b=nothing)) == -INF
    y, sign = sr.logsumexp(array([2.0, 2.0], library=library), b=[1.0, -1.0], return_sign=True)
    assert (float(y), float(sign)) == (-INF, 0.0)
    y, sign = sr.logsumexp(array([INF, INF], library=library), b=[1.0, -1.0], return_sign=True)
    assert np.isnan(float(y))
    assert np.isnan(float(sign))


def test_the_sign_without_weights():
    y, sign = sr.logsumexp([[0.0, 1.0], [-INF, -INF], [NAN, 0.0], [INF, 0.0]], return_sign=True)
    np.testing.assert_array_equal(sign, [1.0, 0.0, NAN, 1.0])
    assert y.shape == sign.shape


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_logistic_functions_at_the_edges(library):
    x = array([-INF, INF, NAN, -0.0], library=library)
    np.testing.assert_array_equal(numbers(sr.sigmoid(x)), [0.0, 1.0, NAN, 0.5])
    np.testing.assert_array_equal(numbers(sr.log_sigmoid(x)), [-INF, 0.0, NAN, -np.log(2.0)])
    np.testing.assert_array_equal(numbers(sr.softplus(x)), [0.0, INF, NAN, np.log(2.0)])
    loss = sr.binary_cross_entropy(x[:2], array([0.0, 1.0], library=library), reduction="none")
    np.testing.assert_array_equal(numbers(loss), [0.0, 0.0])
    assert np.isnan(float(sr.binary_cross_entropy(x[:0], x[:0])))
    assert float(sr.binary_cross_entropy(x[:0], x[:0], reduction="sum")) == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_entropy_and_divergence_at_the_edges(library):
    p, q = array([0.0, 1.0], library=library), array([0.5, 0.5], library=library)
    assert float(sr.entropy(p)) == 0
    assert float(sr.kl_divergence(p, q)) == np.log(2.0)
    assert float(sr.kl_divergence(q, p)) == INF
    assert float(sr.kl_divergence(p, p)) == 0
    assert np.isnan(float(sr.entropy(array([-0.5, 1.5], library=library))))
    assert float(sr.entropy(p[:0])) == 0


def test_numbers_that_the_format_has_not_become_infinite_without_a_warning():
    x = np.zeros(2, np.float32)
    assert np.isnan(sr.softmax_vjp(x, np.array([1e300, 0.0]))).any()
    loss = sr.cross_entropy(np.zeros((1, 2)), [0], weight=[0.0, 1.0], label_smoothing=0.5)
    assert not np.isfinite(loss)  # the target's class weighs nothing, and the mean divides by that
