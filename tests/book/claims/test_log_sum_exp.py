"""Checks of the statements in the chapter *Log-sum-exp*.

Statements about real numbers are checked with 60 digits, on logits that are multiples of 1/8: ties
are common, and a strict inequality is strict by more than 1e-50, which 60 digits can see.
Statements that have a rounded counterpart are checked on `softmax_ref` as well.

The property tests have no deadline: a first call imports, and a busy machine is slow.
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref.formats import get_format

from .sixty_digits import derivative, dot, entropy, is_constant, lse, softmax

DIGITS = 60
TINY = 1e-50  # ten digits of room for the rounding of 60-digit arithmetic
U = 2.0**-53

entry = st.integers(-320, 320).map(lambda k: k / 8)
logits = st.lists(entry, min_size=1, max_size=6)
several_logits = st.lists(entry, min_size=2, max_size=6)
pairs = st.integers(1, 6).flatmap(
    lambda n: st.tuples(*[st.lists(entry, min_size=n, max_size=n)] * 2)
)
masked = st.lists(entry | st.just(-math.inf), max_size=6)
fraction = st.integers(1, 15).map(lambda k: k / 16)
temperature = st.integers(1, 256).map(lambda k: k / 16)
weights = st.lists(st.integers(1, 1000), min_size=1, max_size=6)


@pytest.fixture(autouse=True, scope="module")
def precision():
    """All mpmath arithmetic of this module has 60 digits."""
    with mpmath.workdps(DIGITS):
        yield


# --- oracles ----------------------------------------------------------------------------------


def between(x, y, weight):
    return [(1 - weight) * a + weight * b for a, b in zip(x, y, strict=True)]


def rounding(x, value):
    """Bound the error of softmax_ref.logsumexp in float64, for |x_i| up to about 1000.

    LSE is m + log1p(S).  Each x_i − m rounds with a relative error u, which the exponential turns
    into |x_i − m|u, weighted in the sum by its share p_i; exp, the sum of n terms and log1p add
    a few u each of a quantity below log n + 1; the last addition rounds the result.
    """
    spread = max(x) - min(x)
    return U * (abs(value) + spread + (len(x) + 4) * (1 + math.log(len(x))))


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.claim("thm-lse-bounds")
@given(logits)
@example([0.0])
@example([5.0, 5.0, 5.0])
@settings(deadline=None)
def test_bounds_and_their_equality_cases(x):
    """Random lists obey both bounds in 60 digits, with equality only if all entries are equal."""
    m, n, k = max(x), len(x), x.count(max(x))
    value = lse(x)
    lower, upper = m + mpmath.log(k), m + mpmath.log(n)
    if k == n:
        assert abs(value - lower) < TINY
        assert abs(value - upper) < TINY
    else:
        assert lower + TINY < value < upper - TINY
    assert (abs(value - m) < TINY) == (n == 1)


@pytest.mark.claim("thm-lse-bounds")
@given(
    st.lists(st.floats(-1000, 1000, width=16), min_size=1, max_size=30),
    st.sampled_from(["float64", "float32", "float16"]),
)
@settings(deadline=None)
def test_computed_value_respects_the_bounds(x, name):
    """In three formats softmax_ref.logsumexp lies between max and max + log n, up to rounding."""
    value = float(softmax_ref.logsumexp(np.array(x, dtype=name)))
    # m + log1p(S) with S ≥ 0 cannot round below m.  Above, the sum and log1p may round up by a few
    # u of log n, the last addition by u of the result; float16 is computed in float32.
    u = get_format(name).unit_roundoff
    assert max(x) <= value <= (max(x) + math.log(len(x))) + u * (abs(max(x)) + 40)


@pytest.mark.claim("prop-lse-near")
@given(logits, st.integers(0, 320).map(lambda k: k / 8))
@example([3.0, 3.0, -1.0], 0.0)
@example([3.0, 2.0, 2.0], 1.0)
@settings(deadline=None)
def test_near_maximal_entries(x, delta):
    """The four sides are in order in 60 digits, for random lists and distances δ."""
    m, n = max(x), len(x)
    k = sum(x_i >= m - delta for x_i in x)
    small = mpmath.exp(-delta)
    sides = [
        mpmath.log(1 + (k - 1) * small),
        lse(x) - m,
        mpmath.log(k + (n - k) * small),
        mpmath.log(k) + (n - k) * small / k,
    ]
    assert all(a <= b + TINY for a, b in itertools.pairwise(sides))


@pytest.mark.claim("prop-lse-near")
def test_near_maximal_bounds_are_reached():
    """Lists attain or approach the lower bound and the first upper one: neither can be improved."""
    small = mpmath.exp(-1)
    assert abs(lse([3, 2, 2]) - 3 - mpmath.log(1 + 2 * small)) < TINY  # δ = 1, k = 3
    assert abs(lse([3, 3, 3]) - 3 - mpmath.log(3)) < TINY  # any δ, k = 3
    just_outside = mpmath.mpf(2) - mpmath.mpf(10) ** -30
    assert abs(lse([3, just_outside]) - 3 - mpmath.log(1 + small)) < 1e-29  # δ = 1, k = 1


@pytest.mark.claim("prop-lse-linear")
@given(st.floats(1e-8, 1e8), st.floats(0, 1e8))
@example(1.0, 0.0)
@example(1.0, 1e-8)
@settings(deadline=None)
def test_linear_approximation(s, a):
    """In 60 digits the bounds enclose log(s + a) − log s, for a from 0 to far above s."""
    t = mpmath.mpf(a) / s
    middle = mpmath.log1p(t)
    assert t - t**2 / 2 <= middle * (1 + TINY)
    assert middle <= t * (1 + TINY)
    assert abs(mpmath.log(mpmath.mpf(s) + a) - mpmath.log(s) - middle) < TINY


@pytest.mark.claim("prop-lse-linear")
def test_linear_approximation_is_of_second_order():
    """For a = 1e-6 s the upper bound exceeds the value by half of the square, to six digits."""
    t = mpmath.mpf(10) ** -6
    assert (t - mpmath.log(1 + t)) / (t**2 / 2) == pytest.approx(1, abs=1e-6)


# --- shifts and lists -------------------------------------------------------------------------


@pytest.mark.claim("thm-lse-shift")
@given(logits, st.floats(-1e6, 1e6))
@settings(deadline=None)
def test_shift_equivariance(x, c):
    """LSE(x + c1) − LSE(x) is c to 50 digits, for random x and c up to a million."""
    c = mpmath.mpf(c)
    assert abs(lse([x_i + c for x_i in x]) - lse(x) - c) < TINY


@pytest.mark.claim("thm-lse-shift")
@given(logits, st.integers(-1000, 1000))
@settings(deadline=None)
def test_computed_shift_equivariance(x, c):
    """softmax_ref.logsumexp moves by c when x does, up to the rounding of the two results."""
    moved = softmax_ref.logsumexp(np.array(x) + c)  # exact: multiples of 1/8
    value = softmax_ref.logsumexp(np.array(x))
    assert math.isfinite(moved)
    # x − m is the same, so only the last addition of each can round, and the sum value + c here.
    assert abs(moved - (value + c)) <= U * (abs(moved) + abs(value) + abs(value + c))


@pytest.mark.claim("thm-lse-shift")
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=30))
@example([1000.0] * 3)
@example([-1000.0] * 3)
@settings(deadline=None)
def test_shifted_formula_is_accurate(x):
    """softmax_ref.logsumexp agrees with 60 digits for logits up to ±1000, where exp overflows."""
    exact = lse(x)
    assert abs(softmax_ref.logsumexp(np.array(x)) - exact) <= rounding(x, float(exact))
    shifted = np.exp(np.array(x) - max(x))
    assert shifted.max() == 1
    assert 1 <= shifted.sum() <= len(x)


@pytest.mark.claim("prop-lse-merge")
@given(masked, masked)
@example([], [])
@example([1.0], [])
@example([-math.inf], [-math.inf])
@settings(deadline=None)
def test_joining_lists(x, y):
    """LSE of joined lists is LSE of the two values, also for empty lists and for entries of −∞."""
    joined, parts = lse(x + y), lse([lse(x), lse(y)])
    assert joined == parts or abs(joined - parts) < TINY


@pytest.mark.claim("prop-lse-merge")
@given(masked)
@settings(deadline=None)
def test_computed_identity(x):
    """softmax_ref.logsumexp is −∞ for the empty list, and appending −∞ changes no bit."""
    assert softmax_ref.logsumexp(np.array([])) == -math.inf
    # One entry more may change the order of NumPy's sum; below 8 entries the sum runs in order.
    assert softmax_ref.logsumexp(np.array([*x, -math.inf])) == softmax_ref.logsumexp(np.array(x))


@pytest.mark.claim("prop-lse-merge")
@pytest.mark.parametrize("v", [-100, -1, 0, 1])
def test_no_finite_value_for_the_empty_list(v):
    """Any finite value v for the empty list would make LSE(a, v) larger than a."""
    assert lse([0, v]) > 0


@pytest.mark.claim("prop-lse-monotone")
@given(pairs)
@example(([0.0], [0.0]))
@example(([0.0, 1.0], [2.0, 3.0]))
@settings(deadline=None)
def test_monotone_and_lipschitz(pair):
    """LSE changes by less than the largest change of a logit, unless all change alike."""
    x, y = pair
    change = lse(y) - lse(x)
    v = [b - a for a, b in zip(x, y, strict=True)]
    if is_constant(v):
        assert abs(change - v[0]) < TINY
    else:
        assert min(v) + TINY < change < max(v) - TINY
        assert abs(change) < max(map(abs, v)) - TINY
    if x != y and min(v) >= 0:
        assert change > TINY


@pytest.mark.claim("prop-lse-monotone")
@given(pairs, st.integers(0, 5))
@settings(deadline=None)
def test_strictly_monotone(pair, i):
    """Raising a single entry of a random list raises LSE."""
    x, y = pair
    i %= len(x)
    assume(x[i] != y[i])
    raised = [*x[:i], max(x[i], y[i]), *x[i + 1 :]]
    lowered = [*x[:i], min(x[i], y[i]), *x[i + 1 :]]
    assert lse(raised) > lse(lowered) + TINY


# --- derivatives ------------------------------------------------------------------------------


@pytest.mark.claim("thm-lse-derivatives")
@given(logits)
@settings(max_examples=50, deadline=None)
def test_gradient_and_hessian(x):
    """Central differences in 60 digits give softmax as gradient and p_j(δ_jk − p_k) as Hessian."""
    # The quotients are off by h²/6 of a third derivative below 1; the second ones lose another
    # 60 − 2·12 digits to the division by h².
    h = mpmath.mpf(10) ** -12
    p = softmax(x)
    for j, p_j in enumerate(p):
        assert abs(derivative(lse, x, j, h) - p_j) < 1e-24
        for k, p_k in enumerate(p):
            second = derivative(lambda z, k=k: derivative(lse, z, k, h), x, j, h)
            assert abs(second - p_j * ((j == k) - p_k)) < 1e-23


@pytest.mark.claim("thm-lse-derivatives")
@pytest.mark.parametrize("scale", [1, 30, 700])
def test_automatic_differentiation_agrees(scale):
    """PyTorch's gradient and Hessian of its own logsumexp are our softmax and Jacobian."""
    for x in np.random.default_rng(scale).uniform(-scale, scale, size=(20, 5)):
        leaf = torch.tensor(x, requires_grad=True)
        (gradient,) = torch.autograd.grad(torch.logsumexp(leaf, 0), leaf)
        hessian = torch.autograd.functional.hessian(lambda z: torch.logsumexp(z, 0), leaf)
        # Rounding x − LSE(x) costs |x − LSE(x)|u of each probability; the rest is a few u.
        tolerance = 4 * (np.ptp(x) + len(x) + 8) * U
        assert np.abs(gradient.numpy() - softmax_ref.softmax(x)).max() <= tolerance
        assert np.abs(hessian.numpy() - softmax_ref.jacobian(x)).max() <= tolerance


@pytest.mark.claim("thm-lse-convex")
@given(pairs, fraction)
@example(([0.0, 1.0], [2.0, 3.0]), 0.5)
@example(([0.0], [7.0]), 0.5)
@settings(deadline=None)
def test_convex_with_equality_along_ones_only(pair, weight):
    """On random pairs LSE lies strictly below its chord, unless y − x is constant: then on it."""
    x, y = pair
    chord = (1 - weight) * lse(x) + weight * lse(y)
    excess = chord - lse(between(x, y, weight))
    if is_constant([b - a for a, b in zip(x, y, strict=True)]):
        assert abs(excess) < TINY
    else:
        assert excess > TINY


@pytest.mark.claim("thm-lse-convex")
@given(weights, st.lists(st.integers(-50, 50), min_size=6, max_size=6))
@settings(deadline=None)
def test_curvature_is_a_variance(w, v):
    """In exact fractions vᵀ(diag(p) − ppᵀ)v is Σ p_i(v_i − v̄)², and 0 for constant v only."""
    p = [Fraction(w_i, sum(w)) for w_i in w]
    v = v[: len(p)]
    mean = sum(p_i * v_i for p_i, v_i in zip(p, v, strict=True))
    curvature = sum(
        v[j] * p[j] * ((j == k) - p[k]) * v[k] for j in range(len(p)) for k in range(len(p))
    )
    assert curvature == sum(p_i * (v_i - mean) ** 2 for p_i, v_i in zip(p, v, strict=True))
    assert (curvature == 0) == is_constant(v)
    assert curvature >= 0


@pytest.mark.claim("thm-lse-zero")
@given(pairs, fraction)
@example(([0.0], [1.0]), 0.5)
@example(([0.0, 1.0], [2.0, 3.0]), 0.5)
@settings(deadline=None)
def test_strictly_convex_with_a_zero(pair, weight):
    """LSE(0, x) lies strictly below its chord for all random pairs x ≠ y, also along the ones."""
    x, y = pair
    assume(x != y)
    chord = (1 - weight) * lse([0, *x]) + weight * lse([0, *y])
    assert chord - lse([0, *between(x, y, weight)]) > TINY


@pytest.mark.claim("thm-lse-zero")
@given(weights)
@settings(deadline=None)
def test_positive_definite_with_a_zero(w):
    """In exact fractions the Hessian of LSE(0, x) has positive leading minors (Sylvester)."""
    p = [Fraction(w_i, 1 + sum(w)) for w_i in w]  # the class with logit 0 has the weight 1
    A = [[p_j * ((j == k) - p_k) for k, p_k in enumerate(p)] for j, p_j in enumerate(p)]
    for k in range(len(A)):  # the pivots are quotients of successive leading minors
        assert A[k][k] > 0
        for i in range(k + 1, len(A)):
            factor = A[i][k] / A[k][k]
            A[i] = [a - factor * b for a, b in zip(A[i], A[k], strict=True)]


# --- softplus and temperature -----------------------------------------------------------------


@pytest.mark.claim("prop-lse-softplus")
@given(entry)
@example(0.0)
@settings(deadline=None)
def test_softplus(a):
    """Slope, curvature, safe form, gap and identities of softplus hold in 60 digits."""
    a = mpmath.mpf(a)

    def softplus(b):
        return lse([0, b])

    def sigmoid(b):
        return 1 / (1 + mpmath.exp(-b))

    h = mpmath.mpf(10) ** -12
    first = (softplus(a + h) - softplus(a - h)) / (2 * h)
    second = (softplus(a + h) - 2 * softplus(a) + softplus(a - h)) / h**2
    assert abs(first - sigmoid(a)) < 1e-24  # h²/6 of a third derivative below 1
    assert abs(second - sigmoid(a) * sigmoid(-a)) < 1e-23
    gap = softplus(a) - max(0, a)
    assert abs(gap - mpmath.log1p(mpmath.exp(-abs(a)))) < TINY
    assert 0 < gap <= min(mpmath.log(2), mpmath.exp(-abs(a))) + TINY
    assert (abs(gap - mpmath.log(2)) < TINY) == (a == 0)
    assert abs(softplus(a) - softplus(-a) - a) < TINY
    assert abs(-mpmath.log(sigmoid(a)) - softplus(-a)) < TINY


@pytest.mark.claim("prop-lse-softplus")
@pytest.mark.parametrize("a", [-1e308, -1000.0, -745.0, -40.0, 0.0, 1e-300, 40.0, 1000.0, 1e308])
def test_safe_softplus(a):
    """The safe form is right to 4 ulp in float64, from −1e308 to 1e308."""
    value = max(0.0, a) + math.log1p(math.exp(-abs(a)))
    exact = float(lse([0, a]) if a > -100 else mpmath.exp(a))
    assert abs(value - exact) <= 4 * math.ulp(exact)
    computed = softmax_ref.logsumexp(np.array([0.0, a]))
    assert abs(computed - exact) <= 4 * math.ulp(exact)


@pytest.mark.claim("thm-lse-temperature")
@given(logits, temperature)
@example([2.0, 2.0, 2.0], 0.5)
@example([2.0, 2.0, 0.0], 0.0625)
@example([1.0], 3.0)
@settings(deadline=None)
def test_temperature_bounds(x, T):
    """Both pairs of bounds hold in 60 digits for random lists, tied or not, and temperatures."""
    m, n, k = max(x), len(x), x.count(max(x))
    gap = T * lse([mpmath.mpf(x_i) / T for x_i in x]) - m
    assert -TINY < gap < T * mpmath.log(n) + TINY
    d = m - max((x_i for x_i in x if x_i < m), default=-mpmath.inf)
    excess = gap - T * mpmath.log(k)
    assert -TINY < excess <= T * (n - k) / mpmath.mpf(k) * mpmath.exp(-mpmath.mpf(d) / T) + TINY


@pytest.mark.claim("thm-lse-temperature")
@pytest.mark.parametrize("n", [1, 2, 3, 1000])
@pytest.mark.parametrize("T", [1e-3, 1.0, 7.0])
def test_rate_is_sharp(n, T):
    """At n equal logits T·LSE(x/T) exceeds the maximum by T log n: no smaller bound holds."""
    gap = T * lse([mpmath.mpf(5) / T] * n) - 5
    assert abs(gap - T * mpmath.log(n)) < TINY * 100  # 5/T up to 5000, and n terms


# --- conjugate --------------------------------------------------------------------------------


@st.composite
def points_and_distributions(draw):
    """A list of logits and a distribution on it, with zeros and corners among the draws."""
    x = draw(logits)
    w = draw(st.lists(st.integers(0, 20), min_size=len(x), max_size=len(x)))
    assume(any(w))
    return x, [mpmath.mpf(w_i) / sum(w) for w_i in w]


@pytest.mark.claim("thm-lse-conjugate")
@given(points_and_distributions())
@example(([0.0, 0.0], [mpmath.mpf(1), mpmath.mpf(0)]))
@settings(deadline=None)
def test_score_plus_entropy_is_below_lse(drawn):
    """Random distributions miss LSE by their divergence from softmax; softmax attains it."""
    x, p = drawn
    value, q = lse(x), softmax(x)
    divergence = mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True) if a)
    assert abs(value - (dot(p, x) + entropy(p)) - divergence) < TINY
    is_softmax = all(abs(a - b) < TINY for a, b in zip(p, q, strict=True))
    assert abs(divergence) < TINY if is_softmax else divergence > TINY
    assert abs(dot(q, x) + entropy(q) - value) < TINY


@pytest.mark.claim("thm-lse-conjugate")
@given(points_and_distributions(), entry)
@settings(deadline=None)
def test_conjugate_on_the_simplex(drawn, c):
    """−H(q) is attained at log q + c1 if all q_i > 0, else approached but not attained."""
    x, q = drawn
    bound = -entropy(q)
    assert dot(q, x) - lse(x) < bound + TINY
    if all(q):
        best = [mpmath.log(q_i) + c for q_i in q]
        assert abs(dot(q, best) - lse(best) - bound) < TINY
        off = [b - x_i for b, x_i in zip(best, x, strict=True)]
        if max(off) - min(off) > TINY:
            assert dot(q, x) - lse(x) < bound - TINY**2
    else:
        assert dot(q, x) - lse(x) < bound - TINY
        for s in (10, 20, 40):
            near = [mpmath.log(q_i) if q_i else -s for q_i in q]
            shortfall = bound - (dot(q, near) - lse(near))
            assert 0 < shortfall <= q.count(0) * mpmath.exp(-s) + TINY


@pytest.mark.claim("thm-lse-conjugate")
@given(st.lists(st.integers(-8, 8).map(lambda k: k / 8), min_size=1, max_size=5))
@example([0.5, 0.25])
@example([1.5, -0.5])
@settings(deadline=None)
def test_conjugate_is_infinite_off_the_simplex(q):
    """For random q outside the simplex the two rays of the proof exceed any bound."""
    total, n = sum(q), len(q)
    assume(total != 1 or min(q) < 0)
    if total != 1:
        x = [math.copysign(1e6, total - 1)] * n
    else:
        x = [-1e6 * (i == q.index(min(q))) for i in range(n)]
    assert dot(q, x) - lse(x) > 1e5  # the smallest slope is 1/8
