"""Properties on arrays of any shape, axis, format, mask and memory layout."""

import ml_dtypes
import mpmath
import numpy as np
import scipy.special
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import softmax_ref as sr
from softmax_ref.formats import get_format

DTYPES = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16]
INTEGERS = [np.int8, np.uint8, np.int64, np.uint32, np.bool_]


def axes_of(ndim):
    """An axis, a tuple of axes or None."""
    one = st.integers(-ndim, ndim - 1)
    some = st.lists(st.integers(0, ndim - 1), unique=True).map(tuple)
    return st.one_of(st.none(), one, some) if ndim else st.none()


@st.composite
def logits(draw, dtypes=DTYPES, finite=True, min_side=1):
    """An array, perhaps with entries of −inf, perhaps not contiguous, and axes of it."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=min_side, max_side=5))
    elements = st.one_of(
        st.floats(-20, 20, width=16),
        st.floats(-1000, 1000, width=16),
        *([] if finite else [st.sampled_from([-np.inf, np.inf, np.nan])]),
    )
    x = draw(hnp.arrays(np.float64, shape, elements=elements))
    x = np.where(draw(hnp.arrays(bool, shape)), x, -np.inf) if draw(st.booleans()) else x
    x = x.astype(draw(st.sampled_from(dtypes)))
    if x.ndim and draw(st.booleans()):
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    if x.ndim > 1 and draw(st.booleans()):
        x = x.swapaxes(0, -1)
    return x, draw(axes_of(x.ndim))


def wide(y):
    return np.asarray(y).astype(np.float64)


def close(y, expected, dtype, scale=1.0):
    """Equal up to 8 units of roundoff of the format, of `scale` and of the value."""
    u = get_format(dtype).unit_roundoff
    tiny = 8 * get_format(dtype).smallest_subnormal
    np.testing.assert_allclose(wide(y), expected, rtol=32 * u, atol=32 * u * scale + tiny)


@given(logits())
def test_agreement_with_scipy_in_float64(given_logits):
    # float64 on both sides; what remains is the rounding to the format of x. The scale of the
    # error of log_softmax and logsumexp is that of the logits.
    x, axis = given_logits
    w = wide(x)
    largest = float(np.max(np.abs(w), initial=1.0, where=np.isfinite(w)))
    with np.errstate(all="ignore"):
        close(sr.softmax(x, axis), scipy.special.softmax(w, axis), x.dtype)
        close(sr.log_softmax(x, axis), scipy.special.log_softmax(w, axis), x.dtype, largest)
        close(sr.logsumexp(x, axis), scipy.special.logsumexp(w, axis), x.dtype, largest)


@given(logits(finite=False, min_side=0))
def test_tensors_and_arrays_agree(given_logits):
    x, axis = given_logits
    before = x.copy()
    tensor = torch.tensor(wide(x)).to(getattr(torch, x.dtype.name))
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp, sr.softmin):
        y, of_tensor = function(x, axis), function(tensor, axis)
        assert y.dtype == x.dtype
        assert of_tensor.dtype == tensor.dtype
        assert tuple(of_tensor.shape) == y.shape
        w = wide(y)
        scale = float(np.max(np.abs(w), initial=1.0, where=np.isfinite(w)))
        close(of_tensor.double().numpy(), w, x.dtype, scale)
    np.testing.assert_array_equal(wide(x), wide(before))


@given(logits())
def test_probabilities_sum_to_1_keep_the_order_and_do_not_see_a_shift(given_logits):
    x, axis = given_logits
    w = wide(x)
    p = sr.softmax(w, axis)
    rows = np.max(w, axis=axis, keepdims=True) > -np.inf
    total = np.sum(p, axis=axis, keepdims=True)
    np.testing.assert_allclose(total[rows], 1.0, rtol=2e-15)  # a sum of at most 625 terms
    assert np.all(np.isnan(total[~rows]))
    flat = w.reshape(-1)
    q = sr.softmax(flat)
    order = np.argsort(flat, kind="stable")
    assert np.all(np.isnan(q)) or np.all(np.diff(q[order]) >= 0)
    # The logits are multiples of 2^-24 below 1000 and so is the shift: x + 512 is exact.
    np.testing.assert_array_equal(sr.softmax(flat + 512.0), q)


@given(logits(finite=False), st.data())
def test_a_mask_does_what_removing_the_entries_does(given_logits, data):
    x, axis = given_logits
    x, axis = wide(x), axis if axis is None or isinstance(axis, tuple) else (axis % x.ndim,)
    mask = data.draw(hnp.arrays(bool, x.shape))
    p, q = sr.softmax(x, axis, where=mask), sr.log_softmax(x, axis, where=mask)
    y = sr.logsumexp(x, axis, where=mask, keepdims=True)
    axes = tuple(range(x.ndim)) if axis is None else axis
    kept = [n if a not in axes else 1 for a, n in enumerate(x.shape)]
    for index in np.ndindex(*kept):
        row = tuple(slice(None) if a in axes else i for a, i in enumerate(index))
        left = x[row][mask[row]]
        np.testing.assert_allclose(p[row][mask[row]], sr.softmax(left), rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(q[row][mask[row]], sr.log_softmax(left), rtol=1e-12)
        np.testing.assert_allclose(y[index], sr.logsumexp(left), rtol=1e-13, atol=1e-13)
        assert np.all(p[row][~mask[row]] == 0)
        assert np.all(q[row][~mask[row]] == -np.inf)


@given(logits(dtypes=[np.float64]), st.floats(0.01, 100.0))
def test_temperature_divides_the_logits(given_logits, temperature):
    x, axis = given_logits
    with np.errstate(all="ignore"):
        expected = scipy.special.softmax(x / temperature, axis=axis)
        # x/T rounds each logit by up to |x/T| u, and that is the relative error of exp.
        rtol = 1e-15 * (10 + 1000 / temperature)
        y = sr.softmax(x, axis, temperature=temperature)
        np.testing.assert_allclose(y, expected, rtol=rtol, atol=1e-300)
        log = sr.log_softmax(x, axis, temperature=temperature)
        np.testing.assert_allclose(np.exp(log), y, rtol=1e-12, atol=1e-300)


@given(logits(dtypes=[np.float64]), st.data())
def test_weights_agree_with_scipy(given_logits, data):
    x, axis = given_logits
    b = data.draw(hnp.arrays(np.float64, x.shape, elements=st.floats(0, 4, width=16)))
    y = sr.logsumexp(x, axis, b=b)
    with np.errstate(all="ignore"):  # SciPy's has nan at [710] with weight [0]
        left = np.where(b == 0, -np.inf, x)
        expected = scipy.special.logsumexp(left, axis, b=np.where(b == 0, 1.0, b))
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
    shape = np.broadcast_shapes(x.shape, (1,) * x.ndim)
    signs = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([-1.0, 1.0])))
    y, sign = sr.logsumexp(x, axis, b=b * signs, return_sign=True)
    with np.errstate(all="ignore"):
        top = np.max(x, initial=-np.inf)
        total = np.sum(b * signs * np.exp(x - (top if np.isfinite(top) else 0.0)), axis=axis)
    # The sum and ours each err by about 1e-15 of the sum of absolute values, at most 2500.
    with np.errstate(all="ignore"):
        ours = sign * np.exp(y - (top if np.isfinite(top) else 0.0))
    np.testing.assert_allclose(ours, total, rtol=1e-9, atol=1e-10)


@given(st.floats(-60, 60), st.floats(-60, 60))
@example(0.0, 1e-9)
@example(0.0, -50.0)
def test_the_logarithm_of_a_difference(x, y):
    """log |e^x − e^y| as x + log(1 − e^(y − x)), to the rounding of y − x and of the result."""
    value, sign = sr.logsumexp([x, y], b=[1.0, -1.0], return_sign=True)
    assert sign == np.sign(x - y)
    if x == y:
        return
    with mpmath.workdps(60):
        high, d = mpmath.mpf(max(x, y)), -abs(mpmath.mpf(x) - mpmath.mpf(y))
        rest = mpmath.log(-mpmath.expm1(d))
        # The rest errs by 2 ulp, and by as much as rounding d by u|d| moves it: |d|/(e^|d| − 1).
        error = abs(mpmath.mpf(float(value)) - (high + rest))
        moved = abs(d) / mpmath.expm1(abs(d))
        assert error <= 2.0**-53 * (4 * abs(rest) + 2 * moved + abs(high + rest))


@given(hnp.arrays(st.sampled_from(INTEGERS), hnp.array_shapes(max_dims=3)))
def test_integers_and_booleans_count_as_float64(x):
    for function in (sr.softmax, sr.log_softmax, sr.logsumexp, sr.softmin, sr.sigmoid, sr.softplus):
        y = function(x)
        assert y.dtype == np.float64
        np.testing.assert_array_equal(y, function(x.astype(np.float64)))


@given(st.floats(-800, 800))
@example(-720.0)  # exp(−x) overflows, the sigmoid is subnormal
@example(-36.0)
@example(40.0)
def test_the_logistic_functions_are_right_in_both_tails(x):
    # 4 ulp: an exponential, a sum and a quotient or a log1p, each within 1 ulp.
    with mpmath.workdps(60):
        e = mpmath.exp(mpmath.mpf(x))
        exact = {
            sr.sigmoid: e / (1 + e),
            sr.softplus: mpmath.log1p(e),
            sr.log_sigmoid: -mpmath.log1p(1 / e),
        }
        for function, value in exact.items():
            error = abs(mpmath.mpf(float(function(x))) - value)
            assert error <= 4 * get_format("float64").ulp(float(value))


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3), elements=st.floats(-800, 800)))
def test_the_logistic_functions_are_those_of_two_classes(x):
    np.testing.assert_array_equal(sr.softplus(x), -sr.log_sigmoid(-x))
    pair = np.stack([x, np.zeros_like(x)])
    # 4 ulp as above, or 2 units of the smallest subnormal.
    np.testing.assert_allclose(sr.softmax(pair, 0)[0], sr.sigmoid(x), rtol=1e-15, atol=1e-323)
    np.testing.assert_allclose(sr.logsumexp(pair, 0), sr.softplus(x), rtol=1e-15, atol=1e-323)


@st.composite
def distributions(draw):
    """Two rows of probabilities, zeros among them."""
    n = draw(st.integers(1, 8))
    weights = st.one_of(st.just(0.0), st.floats(1e-6, 1.0))
    p, q = (draw(hnp.arrays(np.float64, n, elements=weights)) for _ in range(2))
    p[draw(st.integers(0, n - 1))] = 1.0
    q[draw(st.integers(0, n - 1))] = 1.0
    return p / p.sum(), q / q.sum()


@given(distributions())
def test_entropy_and_divergence_agree_with_scipy(pair):
    p, q = pair
    # Sums of at most 8 terms that may cancel: absolute errors of a few roundings of terms near 1.
    np.testing.assert_allclose(sr.entropy(p), scipy.special.entr(p).sum(), atol=1e-15)
    expected = scipy.special.rel_entr(p, q).sum()
    np.testing.assert_allclose(sr.kl_divergence(p, q), expected, rtol=1e-14, atol=3e-15)
    assert sr.kl_divergence(p, p) == 0
    assert sr.kl_divergence(p, q) >= -1e-15


@given(distributions(), st.data())
def test_cross_entropy_is_entropy_plus_divergence(pair, data):
    p, _ = pair
    x = data.draw(hnp.arrays(np.float64, p.shape, elements=st.floats(-30, 30)))
    q = sr.softmax(x)
    # q is rounded: a relative error of about 60 u in each entry, 1e-14 in the divergence.
    total = sr.entropy(p) + sr.kl_divergence(p, q)
    np.testing.assert_allclose(sr.cross_entropy(x[None], p[None]), total, rtol=1e-12, atol=1e-13)


@given(logits(dtypes=[np.float64]), st.data())
def test_derivatives_along_any_axis(given_logits, data):
    x, _ = given_logits
    x = np.nan_to_num(np.atleast_1d(x), neginf=-30.0)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    v = data.draw(hnp.arrays(np.float64, x.shape, elements=st.floats(-5, 5, width=16)))
    moved, moved_v = np.moveaxis(x, axis, -1), np.moveaxis(v, axis, -1)
    J, L = sr.jacobian(x, axis), sr.log_softmax_jacobian(x, axis)
    for product, matrix in (
        (sr.softmax_jvp, J),
        (sr.softmax_vjp, J),
        (sr.log_softmax_jvp, L),
        (sr.log_softmax_vjp, L.swapaxes(-1, -2)),
    ):
        expected = np.einsum("...ij,...j->...i", matrix, moved_v)
        y = np.moveaxis(product(x, v, axis), axis, -1)
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(sr.logsumexp_hessian(x, axis), J)
    p = sr.softmax(moved)
    np.testing.assert_allclose(sr.logsumexp_jvp(x, v, axis), (p * moved_v).sum(-1), atol=1e-14)
    g = v.sum(axis)
    expected = np.moveaxis(p * g[..., None], -1, axis)
    np.testing.assert_allclose(sr.logsumexp_vjp(x, g, axis), expected, rtol=1e-15)


@given(logits(dtypes=[np.float64]))
def test_a_list_beside_a_tensor(given_logits):
    x, _ = given_logits
    x = np.nan_to_num(np.atleast_1d(x), neginf=-30.0)
    y = sr.softmax_vjp(torch.tensor(x), x.tolist())
    assert isinstance(y, torch.Tensor)
    np.testing.assert_allclose(y, sr.softmax_vjp(x, x), rtol=1e-12, atol=1e-12)


def test_no_classes_have_no_derivatives():
    x = np.empty((3, 0))
    assert sr.jacobian(x).shape == (3, 0, 0)
    assert sr.log_softmax_jacobian(x).shape == (3, 0, 0)
    assert sr.softmax_jvp(x, x).shape == (3, 0)
    assert sr.log_softmax_vjp(x, x).shape == (3, 0)
    np.testing.assert_array_equal(sr.logsumexp_jvp(x, x), np.zeros(3))
    assert sr.logsumexp_vjp(x, np.zeros(3)).shape == (3, 0)
