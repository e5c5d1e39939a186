"""The table of edges: what each function gives where a formula has nothing to say."""

import warnings

import ml_dtypes
import numpy as np
import pytest
import torch

import softmax_ref as sr

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
    ("x", "softmax", "log_softmax", "logsumexp"),
    [
        ([-INF, -INF], [NAN, NAN], [NAN, NAN], -INF),
        ([0.0, -INF], [1.0, 0.0], [0.0, -INF], 0.0),
        ([0.0, INF], [NAN, NAN], [NAN, NAN], INF),
        ([INF, INF], [NAN, NAN], [NAN, NAN], INF),
        ([-INF, INF], [NAN, NAN], [NAN, NAN], INF),
        ([INF, 0.0, INF], [NAN] * 3, [NAN] * 3, INF),
        ([NAN, 0.0], [NAN, NAN], [NAN, NAN], NAN),
        ([0.0, NAN], [NAN, NAN], [NAN, NAN], NAN),
        ([INF, NAN], [NAN, NAN], [NAN, NAN], NAN),
        ([NAN, INF], [NAN, NAN], [NAN, NAN], NAN),
        ([NAN, -INF], [NAN, NAN], [NAN, NAN], NAN),
        ([], [], [], -INF),
        (3.0, 1.0, 0.0, 3.0),
        ([-1000.0, 1.0, 1000.0], [0.0, 0.0, 1.0], [-2000.0, -999.0, 0.0], 1000.0),
    ],
)
def test_values_at_the_edges(x, softmax, log_softmax, logsumexp, dtype, library):
    x = array(x, dtype, library)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = sr.softmax(x), sr.log_softmax(x), sr.logsumexp(x)
    for y, expected in zip(results, (softmax, log_softmax, logsumexp), strict=True):
        assert y.dtype == x.dtype
        rounded = numbers(array(expected, dtype, library))
        np.testing.assert_array_equal(numbers(y), rounded)


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
