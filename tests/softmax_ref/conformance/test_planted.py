"""Functions with a planted fault: each is caught, with a counterexample that is one."""

import numpy as np
import pytest

import softmax_ref as sr
from softmax_ref import conformance, exact, textbook
from softmax_ref.formats import FORMATS
from tests.softmax_ref.conformance.oracle import distance, truth


def whole_array(x, axis):
    e = np.exp(x - x.max())
    return e / e.sum()


def through(dtype):
    return lambda x, axis: exact.softmax(x, axis).astype(dtype).astype(x.dtype)


def minus_zero(x, axis):
    p = sr.softmax(x, axis)
    return np.where(p == 0, -p, p)


def in_place(x, axis):
    p = sr.softmax(x, axis)
    if x.flags.writeable and x.ndim:
        x[...] = 0
    return p


def flushed(x, axis):
    p = sr.softmax(x, axis)
    return np.where(p < np.finfo(x.dtype).smallest_normal, x.dtype.type(0), p)


def clipped(x, axis):
    return sr.softmax(np.maximum(x, x.dtype.type(-1e4)), axis)


def only_short(x, axis):
    if x.shape[axis] > 500:
        raise MemoryError("too many classes")
    return sr.softmax(x, axis)


def twice_rounded(x, axis):
    """The right float64 numbers, on the way to float16 by float32."""
    return exact.softmax(x.astype(np.float64), axis).astype(np.float32).astype(np.float16)


def log_of_softmax(x, axis):
    return np.log(sr.softmax(x, axis))


def no_log1p(x, axis):
    return x - sr.logsumexp(x, axis, keepdims=True)


def tempered(x, axis):
    return sr.softmax(x, axis, temperature=1.01)


def log_with_epsilon(x, axis):
    return np.log(sr.softmax(x, axis) + x.dtype.type(1e-30))


# name: function, operation, format, largest error allowed
IN_THE_FAMILIES = {
    "no maximum": (textbook.softmax, "softmax", "float32", 200),
    "no maximum, LSE": (textbook.logsumexp, "logsumexp", "float32", 1e30),
    "the other axis": (lambda x, axis: sr.softmax(x, 0), "softmax", "float32", 200),
    "the whole array": (whole_array, "softmax", "float32", 200),
    "log of softmax": (log_of_softmax, "log_softmax", "float32", 1e9),
    "log of softmax and epsilon": (log_with_epsilon, "log_softmax", "float32", 200),
    "float64 through float32": (through(np.float32), "softmax", "float64", 1000),
    "float32 through float16": (through(np.float16), "softmax", "float32", 200),
    "float16 rounded twice": (twice_rounded, "softmax", "float16", 0.5),
    "no log1p": (no_log1p, "log_softmax", "float64", 1e6),
    "subnormals flushed": (flushed, "softmax", "float32", 200),
    "sigmoids": (lambda x, axis: sr.sigmoid(x), "softmax", "float32", 200),
    "a temperature": (tempered, "softmax", "float64", 1e6),
}


@pytest.mark.parametrize("name", IN_THE_FAMILIES)
def test_a_fault_in_the_values_has_a_small_counterexample(name):
    function, op, dtype, allowed = IN_THE_FAMILIES[name]
    fmt = FORMATS[dtype]
    report = conformance.check(function, op, dtype, max_ulp=allowed)
    assert not report.ok
    assert report.worst > allowed
    found = [one for one in report.counterexamples if one.kind in ("error", "not finite")]
    assert found
    for one in found:
        assert one.x.dtype == fmt.dtype
        assert one.x.size <= 3
        with np.errstate(all="ignore"):
            again = np.asarray(function(one.x.copy(), axis=-1))[one.index]
        np.testing.assert_array_equal(again, one.got)
        rows = np.atleast_2d(one.x)
        row = one.index[0] if one.x.ndim == 2 else 0
        values = truth(op, rows[row])
        value = values[0] if op == "logsumexp" else values[one.index[-1]]
        assert float(fmt.round(float(value))) == one.expected
        off = distance(again, value, fmt)
        assert off > allowed
        # The two oracles agree on the distance to the digits that are shown.
        assert off == one.ulp or off == pytest.approx(one.ulp, rel=1e-3)


AT_THE_EDGES = {
    "no maximum": (textbook.softmax, "softmax", "large"),
    "no maximum, negative": (textbook.logsumexp, "logsumexp", "very negative"),
    "no maximum, +inf": (textbook.softmax, "softmax", "+inf"),
    "log of softmax": (log_of_softmax, "log_softmax", "far apart"),
    "always the last axis": (lambda x, axis: sr.softmax(x), "softmax", "axis 0 of a matrix"),
    "always the first axis": (lambda x, axis: sr.softmax(x, 0), "softmax", "axis −1 of a matrix"),
    "−0": (minus_zero, "softmax", "some −inf"),
    "nan made 0": (lambda x, axis: np.nan_to_num(sr.softmax(x, axis)), "softmax", "nan"),
    "0 for nothing": (
        lambda x, axis: sr.softmax(x, axis, where=~np.isneginf(x)),
        "softmax",
        "all −inf",
    ),
    "−inf clipped": (clipped, "softmax", "all −inf"),
    "nan skipped": (
        lambda x, axis: sr.logsumexp(x, axis, where=~np.isnan(x)),
        "logsumexp",
        "nan last",
    ),
    "+inf made large": (
        lambda x, axis: sr.softmax(np.nan_to_num(x, nan=np.nan), axis),
        "softmax",
        "+inf",
    ),
    "overwrites": (in_place, "softmax", "leaves its input alone"),
    "returns float64": (
        lambda x, axis: sr.softmax(x.astype(np.float64), axis),
        "softmax",
        "keeps the format",
    ),
    "keeps the axis": (
        lambda x, axis: sr.logsumexp(x, axis, keepdims=True),
        "logsumexp",
        "one entry",
    ),
    "raises": (only_short, "softmax", "65,520 equal entries"),
}


@pytest.mark.parametrize("name", AT_THE_EDGES)
def test_a_fault_at_an_edge_is_named_with_its_input(name):
    function, op, edge = AT_THE_EDGES[name]
    report = conformance.check(function, op, "float32")
    assert not report.ok
    (wrong,) = [one for one in report.edges_wrong if one.name == edge]
    assert wrong.fault
    assert any(failure.startswith(f"edge {edge}: ") for failure in report.failures)
    if wrong.got is not None:
        with np.errstate(all="ignore"):
            again = np.asarray(function(wrong.x.copy(), axis=wrong.axis), dtype=np.float64)
        np.testing.assert_array_equal(again, wrong.got)
        right = getattr(exact, op)(wrong.x, wrong.axis)
        same = np.shape(right) == again.shape and np.allclose(again, right, equal_nan=True)
        signs = again.shape == np.shape(right) and np.array_equal(
            np.signbit(again), np.signbit(right)
        )
        assert not (same and signs)


def test_what_raises_in_the_families_is_a_counterexample_of_its_own():
    report = conformance.check(only_short, "softmax", "float32")
    (one,) = [c for c in report.counterexamples if c.kind == "raises"]
    assert one.fault == "raised MemoryError: too many classes"
    assert 501 <= one.x.shape[-1] < 1000
    assert report.worst == np.inf


def test_a_result_of_another_shape_is_a_counterexample_of_its_own():
    report = conformance.check(
        lambda x, axis: sr.logsumexp(x, axis, keepdims=True), "logsumexp", "float32"
    )
    (one,) = report.counterexamples
    assert one.kind == "shape"
    assert one.x.size == 1


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("op", conformance.OPERATIONS)
def test_the_correctly_rounded_functions_pass(op, dtype):
    report = conformance.check(getattr(exact, op), op, dtype, max_ulp=0.5)
    assert report.ok, report.failures
    assert report.correctly_rounded == 1
    assert report.counterexamples == ()


@pytest.mark.parametrize("op", conformance.OPERATIONS)
def test_the_functions_of_the_package_have_all_edges_right(op):
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        report = conformance.check(getattr(sr, op), op, dtype)
        assert report.ok, report.failures
