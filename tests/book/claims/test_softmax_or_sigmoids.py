"""Checks of the statements in the chapter *Softmax or sigmoids?*.

Statements about real numbers are checked with 60 digits, on logits that are multiples of 1/8, or
in exact fractions.  The property tests have no deadline: a busy machine is slow.
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
from scipy.optimize import minimize
from torch.nn import functional

import softmax_ref

from .sixty_digits import cross, distribution, lse, softmax

TINY = mpmath.mpf(10) ** -50  # ten digits of room for the rounding of 60-digit arithmetic

quick = settings(deadline=None, max_examples=40)
entry = st.integers(-80, 80).map(lambda k: k / 8)
several = st.lists(entry, min_size=2, max_size=5)
weights = st.lists(st.integers(1, 9), min_size=2, max_size=5)
shares = st.integers(0, 8).map(lambda k: mpmath.mpf(k) / 8)


@pytest.fixture(autouse=True)
def _sixty_digits():
    with mpmath.workdps(60):
        yield


# --- definitions ------------------------------------------------------------------------------


def sigmoid(a):
    return 1 / (1 + mpmath.exp(-a))


def all_sets(n):
    return list(itertools.product((0, 1), repeat=n))


def independent(q):
    """Return the distribution on label sets of independent labels with the probabilities q."""
    return {
        y: mpmath.fprod(q_i if y_i else 1 - q_i for q_i, y_i in zip(q, y, strict=True))
        for y in all_sets(len(q))
    }


def h(v):
    return cross([v, 1 - v], [v, 1 - v])


def marginals(P):
    n = len(next(iter(P)))
    return [mpmath.fsum(v for y, v in P.items() if y[i]) for i in range(n)]


def random_sets(w):
    """Return a distribution on the label sets of two or three labels, from integers."""
    n = 3 if len(w) == 8 else 2
    return dict(zip(all_sets(n), distribution(w), strict=True))


on_sets = st.sampled_from([4, 8]).flatmap(
    lambda k: st.lists(st.integers(0, 6), min_size=k, max_size=k).filter(any)
)


# --- softmax over labels that overlap ---------------------------------------------------------


@pytest.mark.claim("prop-sigmoids-share")
@given(weights, st.data())
@quick
def test_one_unit_to_share(w, data):
    """In exact fractions, few entries exceed 1/m, and |p − q| sums to at least |s − 1|."""
    p = [Fraction(w_i, sum(w)) for w_i in w]
    q = [Fraction(data.draw(st.integers(0, 8)), 8) for _ in w]
    for m in range(1, 8):
        assert sum(p_i > Fraction(1, m) for p_i in p) < m
    distance = sum(abs(p_i - q_i) for p_i, q_i in zip(p, q, strict=True))
    assert distance >= abs(sum(q) - 1)


@pytest.mark.claim("prop-sigmoids-share")
@given(on_sets, weights)
@quick
def test_overlapping_labels_teach_shares(w, other):
    """Summed over all label sets, the loss is smallest at q/s; other distributions lose more."""
    P = random_sets(w)
    q = marginals(P)
    n, s = len(q), mpmath.fsum(q)
    assume(s > 0)

    def loss(p):
        return mpmath.fsum(P_y * cross(y, p) for y, P_y in P.items() if P_y)

    best = [q_i / s for q_i in q]
    p = distribution((other * 2)[:n])
    assert abs(loss(best) - s * cross(best, best)) < TINY
    if max(abs(a - b) for a, b in zip(p, best, strict=True)) > TINY:
        assert loss(p) > loss(best)


# --- sigmoids over label sets -----------------------------------------------------------------


@pytest.mark.claim("prop-sigmoids-sets")
@given(several)
@example([0.0, 0.0])
@quick
def test_sigmoids_are_a_softmax_over_sets(x):
    """Over all 2ⁿ label sets, products of sigmoids are the softmax of xᵀy; for one label, of x."""
    P = independent([sigmoid(a) for a in x])
    scores = [mpmath.fsum(a * b for a, b in zip(x, y, strict=True)) for y in P]
    assert all(abs(a - b) < TINY for a, b in zip(P.values(), softmax(scores), strict=True))
    total = mpmath.fsum(mpmath.log(1 + mpmath.exp(a)) for a in x)
    assert abs(lse(scores) - total) < TINY
    n = len(x)
    single = [P[tuple(int(i == j) for j in range(n))] for i in range(n)]
    assert abs(P[(0,) * n] - mpmath.exp(-total)) < TINY
    assert abs(mpmath.fsum(single) - mpmath.exp(lse(x) - total)) < TINY
    given_one = [v / mpmath.fsum(single) for v in single]
    assert all(abs(a - b) < TINY for a, b in zip(given_one, softmax(x), strict=True))


@pytest.mark.claim("prop-sigmoids-sets")
@given(on_sets.map(lambda w: [v + 1 for v in w]))
@example([1, 2, 3, 6])
@example([1, 1, 1, 1, 1, 1, 1, 2])
@quick
def test_additive_log_odds_mean_independence(w):
    """A distribution on label sets is the product of its marginals just if log-odds add up."""
    P = random_sets(w)
    n = len(next(iter(P)))
    zero = P[(0,) * n]
    unit = [mpmath.log(P[tuple(int(i == j) for j in range(n))] / zero) for i in range(n)]
    additive = all(
        abs(mpmath.log(v / zero) - mpmath.fsum(a * b for a, b in zip(y, unit, strict=True))) < TINY
        for y, v in P.items()
    )
    Q = independent(marginals(P))
    assert additive == all(abs(P[y] - Q[y]) < TINY for y in P)
    if additive:
        assert all(abs(P[y] - v) < TINY for y, v in independent(map_sigmoid(unit)).items())


def map_sigmoid(x):
    return [sigmoid(a) for a in x]


# --- the price --------------------------------------------------------------------------------


@pytest.mark.claim("thm-sigmoids-price")
@given(on_sets, st.lists(shares, min_size=3, max_size=3))
@quick
def test_marginals_are_the_best_independent_labels(w, r):
    """For random distributions on label sets no r beats q, and the excess is the divergence."""
    P = random_sets(w)
    q = marginals(P)
    r = r[: len(q)]

    def loss(R):
        return cross(list(P.values()), [R[y] for y in P])

    Q = independent(q)
    best, own = loss(Q), cross(list(P.values()), list(P.values()))
    assert abs(best - mpmath.fsum(h(q_i) for q_i in q)) < TINY
    if r != q:
        assert loss(independent(r)) > best
    divergence = mpmath.fsum(v * mpmath.log(v / Q[y]) for y, v in P.items() if v)
    assert abs(best - own - divergence) < TINY
    same = all(abs(P[y] - Q[y]) < TINY for y in P)
    assert (divergence < TINY) == same


@pytest.mark.claim("thm-sigmoids-price")
@given(weights)
@example([1, 1])
@example([1] * 5)
@quick
def test_exclusive_labels_cost_less_than_a_nat(w):
    """Σ h(q) − H(q) is the stated sum, at most (n − 1) log(n/(n − 1)), with equality if uniform."""
    q = distribution(w)
    n = len(q)
    price = -mpmath.fsum((1 - v) * mpmath.log(1 - v) for v in q)
    assert abs(mpmath.fsum(h(v) for v in q) - cross(q, q) - price) < TINY
    bound = (n - 1) * mpmath.log(mpmath.mpf(n) / (n - 1))
    assert price > 0
    assert bound < 1
    if len(set(w)) == 1:
        assert abs(price - bound) < TINY
    else:
        assert price < bound


# --- trained models ---------------------------------------------------------------------------


def fit(features, Y, loss):
    """Minimise a mean loss of linear logits with a small penalty on the weights alone."""
    k = Y.shape[1]

    def objective(v):
        M = v.reshape(k, -1)
        value, g = loss(features @ M[:, 1:].T + M[:, 0], Y)
        gradient = np.column_stack([g.sum(axis=0), g.T @ features + 0.01 * M[:, 1:]])
        return value + 0.005 * np.sum(M[:, 1:] ** 2), gradient.ravel()

    start = np.zeros(k * (features.shape[1] + 1))
    options = {"ftol": 0, "gtol": 1e-9, "maxiter": 5000}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    M = found.x.reshape(k, -1)
    return features @ M[:, 1:].T + M[:, 0]


def softmax_loss(x, Y):
    s = Y.sum(axis=1, keepdims=True)
    value = -np.sum(Y * softmax_ref.log_softmax(x)) / len(Y)
    return value, (s * softmax_ref.softmax(x) - Y) / len(Y)


def sigmoid_loss(x, Y):
    value = np.sum(softmax_ref.softplus(x) - Y * x) / len(Y)
    return value, (softmax_ref.sigmoid(x) - Y) / len(Y)


@pytest.mark.claim("prop-sigmoids-mean")
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_right_on_average(exclusive, seed):
    """Trained on exclusive and on overlapping labels, the mean probabilities are frequencies."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, 3))
    if exclusive:
        Y = np.eye(4)[rng.integers(4, size=120)]
    else:
        Y = (rng.random((120, 4)) < [0.2, 0.4, 0.6, 0.8]).astype(float)
    s = Y.sum(axis=1, keepdims=True)
    by_sigmoids = softmax_ref.sigmoid(fit(features, Y, sigmoid_loss))
    by_softmax = s * softmax_ref.softmax(fit(features, Y, softmax_loss))
    # The optimiser stops at a gradient of 1e-9, or where rounding lets the loss fall no further.
    assert np.abs(by_sigmoids.mean(axis=0) - Y.mean(axis=0)).max() < 1e-6
    assert np.abs(by_softmax.mean(axis=0) - Y.mean(axis=0)).max() < 1e-6
    assert abs(by_sigmoids.sum(axis=1).mean() - s.mean()) < 1e-6


# --- one against the rest ---------------------------------------------------------------------


def log_odds(W, b, f, i):
    p = softmax(
        [
            mpmath.fsum(a * c for a, c in zip(row, f, strict=True)) + b_i
            for row, b_i in zip(W, b, strict=True)
        ]
    )
    rest = mpmath.fsum(p_j for j, p_j in enumerate(p) if j != i)
    return mpmath.log(p[i] / rest)


small = st.integers(-8, 8).map(lambda k: k / 4)
pair = st.tuples(small, small)


@pytest.mark.claim("prop-sigmoids-rest")
@given(st.lists(st.tuples(pair, small), min_size=3, max_size=4), pair, pair)
@example([((1.0, 0.0), 0.0), ((0.5, 0.5), 1.0), ((0.5, 0.5), 0.0)], (0.0, 0.0), (1.0, 1.0))
@quick
def test_one_against_the_rest_is_concave(rows, f, d):
    """The log-odds do not bend along d just if the rivals' slopes agree, and else bend down."""
    W, b = [list(w) for w, _ in rows], [v for _, v in rows]
    slopes = [w[0] * d[0] + w[1] * d[1] for w in W]
    for i in range(len(W)):
        points = [[a + r * c for a, c in zip(f, d, strict=True)] for r in (-1, 0, 1)]
        left, middle, right = (log_odds(W, b, point, i) for point in points)
        bend = left - 2 * middle + right
        if len({s for j, s in enumerate(slopes) if j != i}) == 1:
            assert abs(bend) < TINY
        else:
            assert bend < -TINY


@pytest.mark.claim("prop-sigmoids-rest")
@given(st.lists(pair, min_size=3, max_size=4), st.booleans())
@quick
def test_all_affine_means_nothing_depends_on_the_features(rows, same):
    """All n log-odds have no bend along both axes and the diagonal just if the rows are equal."""
    W = [list(rows[0] if same else row) for row in rows]
    b = [0.25 * j for j in range(len(W))]
    directions = [(1, 0), (0, 1), (1, 1)]
    bends = [
        log_odds(W, b, d, i) - 2 * log_odds(W, b, (0, 0), i) + log_odds(W, b, [-v for v in d], i)
        for i in range(len(W))
        for d in directions
    ]
    assert all(abs(v) < TINY for v in bends) == (len({tuple(row) for row in W}) == 1)


@pytest.mark.claim("prop-sigmoids-reference")
@given(weights, st.data())
@quick
def test_reference(w, data):
    """In exact fractions, pairs give back p, and any n − 1 numbers in (0, 1) belong to one p."""
    n = len(w)

    def pairs(p):
        return [v / (v + p[-1]) for v in p[:-1]]

    def classes(s):
        odds = [v / (1 - v) for v in s]
        last = 1 / (1 + sum(odds))
        return [*(o * last for o in odds), last]

    p = [Fraction(v, sum(w)) for v in w]
    assert classes(pairs(p)) == p
    s = [Fraction(data.draw(st.integers(1, 15)), 16) for _ in range(n - 1)]
    assert pairs(classes(s)) == s
    assert sum(classes(s)) == 1


@pytest.mark.claim("prop-sigmoids-reference")
@given(several)
@quick
def test_reference_from_logits(x):
    """In 60 digits p_i/(p_i + p_n) is the sigmoid of x_i − x_n."""
    p = softmax(x)
    for a, v in zip(x, p, strict=True):
        assert abs(v / (v + p[-1]) - sigmoid(a - x[-1])) < TINY


# --- far away ---------------------------------------------------------------------------------


@pytest.mark.claim("prop-sigmoids-far")
@given(several, st.data(), st.integers(0, 200).map(lambda k: k / 4))
@quick
def test_certain_far_away(a, data, r):
    """Along random rays 1 − p₁ stays below the bound, for steps from 0 to 50."""
    gaps = [data.draw(st.integers(1, 32)) / 8 for _ in a[1:]]
    c = [mpmath.mpf(0), *(-mpmath.mpf(g) for g in gaps)]
    p = softmax([u + r * v for u, v in zip(a, c, strict=True)])
    bound = mpmath.exp(-r * min(gaps)) * mpmath.fsum(mpmath.exp(u - a[0]) for u in a[1:])
    assert mpmath.fsum(p[1:]) <= bound * (1 + TINY)


@pytest.mark.claim("prop-sigmoids-far")
@given(several, st.data())
@quick
def test_sigmoids_far_away(a, data):
    """A million steps out, sigmoids are 0, 1 or unchanged, by the signs of the slopes."""
    c = [data.draw(st.integers(-3, 3)) for _ in a]
    far = [sigmoid(mpmath.mpf(u) + 10**6 * v) for u, v in zip(a, c, strict=True)]
    for u, v, s in zip(a, c, far, strict=True):
        limit = sigmoid(u) if v == 0 else int(v > 0)
        assert abs(s - limit) < TINY
    assert (max(far) < TINY) == all(v < 0 for v in c)


# --- activations ------------------------------------------------------------------------------


def gelu(z):
    return z * mpmath.ncdf(z)


def gelu_slope(z):
    return mpmath.ncdf(z) + z * mpmath.npdf(z)


@pytest.mark.claim("prop-sigmoids-slopes")
@given(st.integers(-160, 160).map(lambda k: mpmath.mpf(k) / 16))
@example(mpmath.mpf(0))
@quick
def test_slopes(z):
    """Derivatives in 60 digits are those stated, within their bounds, from z = −10 to 10."""
    step = mpmath.mpf(10) ** -20

    def quotient(g):
        return (g(z + step) - g(z - step)) / (2 * step)

    close = mpmath.mpf(10) ** -35  # steps of 1e-20 are off by 1e-40 times a third derivative
    s, t = sigmoid(z), mpmath.tanh(z)
    assert abs(quotient(sigmoid) - s * (1 - s)) < close
    assert abs(quotient(mpmath.tanh) - (1 - t**2)) < close
    assert abs(quotient(gelu) - gelu_slope(z)) < close
    assert abs(t - (2 * sigmoid(2 * z) - 1)) < TINY
    assert (s * (1 - s) == mpmath.mpf(1) / 4) == (z == 0)
    assert s * (1 - s) <= mpmath.mpf(1) / 4
    assert (1 - t**2 == 1) == (z == 0)
    assert abs(gelu(z) - gelu(-z) - z) < TINY
    assert abs(gelu_slope(z) + gelu_slope(-z) - 1) < TINY
    top = gelu_slope(mpmath.sqrt(2))
    assert 1 - top - TINY <= gelu_slope(z) <= top + TINY


@pytest.mark.claim("prop-sigmoids-slopes")
def test_extreme_slopes_of_gelu():
    """At ±√2 the slope of GELU is 1.1289 and −0.1289, and its own slope changes sign there."""
    for root, value in [(mpmath.sqrt(2), 1.1289), (-mpmath.sqrt(2), -0.1289)]:
        assert abs(gelu_slope(root) - value) < 5e-5
        for side in (-0.01, 0.01):
            assert abs(gelu_slope(root + side) - 0.5) < abs(gelu_slope(root) - 0.5)


@pytest.mark.claim("prop-sigmoids-slopes")
def test_slopes_in_pytorch():
    """Autograd has the same slopes at 401 points, and chooses 0 for ReLU at 0."""
    z = torch.arange(-200, 201, dtype=torch.float64) / 40
    s, t = torch.sigmoid(z), torch.tanh(z)
    exact = torch.tensor([float(gelu_slope(mpmath.mpf(v))) for v in z.tolist()], dtype=z.dtype)
    for g, slope in [
        (torch.sigmoid, s * (1 - s)),
        (torch.tanh, 1 - t * t),
        (torch.relu, (z > 0).double()),
        (functional.gelu, exact),
    ]:
        leaf = z.clone().requires_grad_()
        g(leaf).sum().backward()
        # Slopes are at most 1.2 and all in float64: a few u, and 1e-13 leaves room for erf.
        assert (leaf.grad - slope).abs().max() < 1e-13
    assert math.isclose(float(functional.gelu(z).min()), -0.17, abs_tol=1e-4)


# --- sparsemax --------------------------------------------------------------------------------


def sparsemax(x):
    """Return the projection onto the simplex in exact fractions, by trying every support."""
    ordered = sorted(x, reverse=True)
    for k in range(len(x), 0, -1):
        tau = (sum(ordered[:k]) - 1) / k
        if ordered[k - 1] > tau:
            return [max(v - tau, Fraction(0)) for v in x]
    raise AssertionError("the largest logit alone is always a support")


@pytest.mark.claim("prop-sigmoids-sparsemax")
@given(st.lists(st.integers(-24, 24), min_size=1, max_size=5), st.data())
@example([16, 8, 1], None)
@quick
def test_sparsemax_is_nearest(k, data):
    """In exact fractions the stated point is a distribution, and others are further away."""
    x = [Fraction(v, 8) for v in k]
    p = sparsemax(x)
    assert sum(p) == 1
    assert min(p) >= 0
    ordered = sorted(x)
    leads = len(x) == 1 or ordered[-1] - ordered[-2] >= 1
    assert (max(p) == 1) == leads

    def distance(q):
        return sum((a - b) ** 2 for a, b in zip(q, x, strict=True))

    corners = [[Fraction(int(i == j)) for j in range(len(x))] for i in range(len(x))]
    others = [*corners, [Fraction(1, len(x))] * len(x)]
    if data is not None:
        w = data.draw(st.lists(st.integers(0, 8), min_size=len(x), max_size=len(x)).filter(any))
        others.append([Fraction(v, sum(w)) for v in w])
    for q in others:
        gap = sum((a - b) ** 2 for a, b in zip(q, p, strict=True))
        assert distance(q) >= distance(p) + gap
