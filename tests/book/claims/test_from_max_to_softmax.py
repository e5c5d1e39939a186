"""Checks of the statements in the chapter *From max to softmax*.

What can be exact is checked in fractions.  Statements about exponentials are checked with 60 digits
on numbers that are multiples of 1/8, where a strict inequality is strict by far more than 1e-50.
The property tests have no deadline: a first call imports, and a busy machine is slow.
"""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

import softmax_ref

from .sixty_digits import dot, entropy, lse, moved, softmax

DIGITS = 60
TINY = 1e-50  # ten digits of room for the rounding of 60-digit arithmetic

entry = st.integers(-80, 80).map(lambda k: k / 8)
several_logits = st.lists(entry, min_size=2, max_size=6)
weights = st.lists(st.integers(1, 1000), min_size=2, max_size=5)
quick = settings(deadline=None, max_examples=60)


@pytest.fixture(autouse=True, scope="module")
def precision():
    """All mpmath arithmetic of this module has 60 digits."""
    with mpmath.workdps(DIGITS):
        yield


# --- oracles ----------------------------------------------------------------------------------


def scaled(beta, x):
    return [beta * x_i for x_i in x]


def close(p, q, tolerance=TINY):
    return all(abs(a - b) <= tolerance for a, b in zip(p, q, strict=True))


def hardmax(x, rule):
    """Return the one-hot list of the largest entry, ties broken by `rule` (min or max)."""
    winner = rule(i for i, x_i in enumerate(x) if x_i == max(x))
    return [int(i == winner) for i in range(len(x))]


# --- the hard maximum -------------------------------------------------------------------------


@pytest.mark.claim("prop-max-hard")
@given(st.lists(st.integers(-4, 4).map(Fraction), min_size=2, max_size=6))
@example([Fraction(1), Fraction(1)])
@example([Fraction(2), Fraction(1), Fraction(1)])
@quick
def test_slopes_of_the_hard_maximum(x):
    """In exact fractions the slopes of max are one-hot and hardmax stays put, except at ties."""
    # The entries are whole numbers, so steps below 1/2 cannot change which one is largest alone.
    steps = (Fraction(1, 1000), Fraction(1, 10**9))
    winners = [i for i, x_i in enumerate(x) if x_i == max(x)]
    for i, step, rule in itertools.product(range(len(x)), steps, (min, max)):
        up, down = moved(x, i, step), moved(x, i, -step)
        right, left = (max(up) - max(x)) / step, (max(x) - max(down)) / step
        if len(winners) == 1:
            assert right == left == (i == winners[0])
            assert hardmax(up, rule) == hardmax(down, rule) == hardmax(x, rule)
        elif i in winners:
            assert (right, left) == (1, 0)
            assert hardmax(up, rule) == [int(i == j) for j in range(len(x))]


# --- odds and features ------------------------------------------------------------------------


@pytest.mark.claim("prop-max-odds")
@given(several_logits)
@quick
def test_log_odds_of_softmax(x):
    """In 60 digits the log-odds of softmax are the differences of the logits, for every pair."""
    p = softmax(x)
    for (p_i, x_i), (p_j, x_j) in itertools.product(zip(p, x, strict=True), repeat=2):
        assert abs(mpmath.log(p_i / p_j) - (x_i - x_j)) < TINY


@pytest.mark.claim("prop-max-odds")
@given(weights, entry)
@quick
def test_log_odds_determine_softmax(w, c):
    """For random distributions, logits with the right log-odds give back each probability."""
    p = [Fraction(w_i, sum(w)) for w_i in w]
    logs = [mpmath.log(mpmath.mpf(q.numerator) / q.denominator) for q in p]
    x = [c + log - logs[0] for log in logs]  # log-odds against the first class, anywhere
    assert close(softmax(x), [mpmath.mpf(q.numerator) / q.denominator for q in p])


def travel(W, b, f):
    return softmax([dot(row, f) + b_i for row, b_i in zip(W, b, strict=True)])


small = st.integers(-24, 24).map(lambda k: k / 8)
models = st.tuples(
    st.lists(st.lists(small, min_size=2, max_size=2), min_size=3, max_size=3),
    st.lists(small, min_size=3, max_size=3),
)
points = st.lists(small, min_size=2, max_size=2)


@pytest.mark.claim("thm-max-features")
@given(models, points, points, small)
@quick
def test_features_multiply_the_odds(model, f, g, delta):
    """With linear scores a step of a feature multiplies the odds alike at any two points."""
    W, b = model
    for k, (i, j) in itertools.product(range(2), itertools.combinations(range(3), 2)):
        factors = []
        for start in (f, g):
            before, after = travel(W, b, start), travel(W, b, moved(start, k, delta))
            factors.append(after[i] / after[j] / (before[i] / before[j]))
        assert abs(factors[0] / factors[1] - 1) < TINY
        assert abs(factors[0] / mpmath.exp((W[i][k] - W[j][k]) * delta) - 1) < TINY


@pytest.mark.claim("thm-max-features")
@given(models, points, points)
@quick
def test_weights_are_recovered_from_odds(model, f, g):
    """Four evaluations of a black box that multiplies odds predict it at any other point."""

    def black_box(z):
        # Multiplicative in the odds by construction: no exponential of a linear score.
        v = [
            mpmath.exp(b_i) * mpmath.power(3, row[0] * z[0]) * mpmath.power(5, row[1] * z[1])
            for row, b_i in zip(*model, strict=True)
        ]
        return [v_i / mpmath.fsum(v) for v_i in v]

    def log_odds(z):
        p = black_box(z)
        return [mpmath.log(p_i / p[-1]) for p_i in p]

    origin = log_odds([0, 0])
    steps = [log_odds([1, 0]), log_odds([0, 1])]
    W = [[step[i] - origin[i] for step in steps] for i in range(3)]
    for z in (f, g):
        assert close(travel(W, origin, z), black_box(z))


@pytest.mark.claim("thm-max-features")
def test_an_interaction_of_features_breaks_the_rule():
    """A score with a product of two features has no constant factor: the condition excludes it."""

    def odds(f):
        p = softmax([f[0] * f[1], 0])
        return p[0] / p[1]

    at_origin, elsewhere = odds([1, 0]) / odds([0, 0]), odds([1, 1]) / odds([0, 1])
    assert abs(at_origin - 1) < TINY
    assert abs(elsewhere - mpmath.e) < TINY


@pytest.mark.claim("prop-max-bayes")
@given(
    st.lists(st.integers(1, 80).map(lambda k: k / 8), min_size=2, max_size=5),
    weights,
    st.integers(0, 20),
)
@quick
def test_bayes_rule_for_poisson_counts(rates, prior, z):
    """For Poisson counts Bayes' rule and softmax of the stated logits agree in 60 digits."""
    assume(len(rates) <= len(prior))
    prior = prior[: len(rates)]
    joint = [
        w * mpmath.exp(-rate) * mpmath.mpf(rate) ** z / mpmath.factorial(z)
        for w, rate in zip(prior, rates, strict=True)
    ]
    x = [
        mpmath.log(rate) * z - rate + mpmath.log(mpmath.mpf(w) / sum(prior))
        for w, rate in zip(prior, rates, strict=True)
    ]
    assert close([q / mpmath.fsum(joint) for q in joint], softmax(x))


@pytest.mark.claim("prop-max-bayes")
@pytest.mark.parametrize("seed", range(20))
def test_bayes_rule_for_gaussians(seed):
    """For Gaussians with a common covariance the logits are linear in z, as the statement says."""
    rng = np.random.default_rng(seed)
    root = mpmath.matrix(rng.normal(size=(2, 2)))
    precision = (root * root.T + mpmath.eye(2)) ** -1
    means = [mpmath.matrix(m) for m in rng.normal(scale=2, size=(3, 2))]
    z = mpmath.matrix(rng.normal(scale=2, size=2))
    density = [mpmath.exp(-((z - m).T * precision * (z - m))[0] / 2) for m in means]
    bayes = [w * d for w, d in zip((1, 2, 3), density, strict=True)]
    # η = Σ⁻¹μ, τ(z) = z, A = ½ μᵀΣ⁻¹μ; the constant and −½ zᵀΣ⁻¹z belong to h.
    x = [
        ((precision * m).T * z)[0] - (m.T * precision * m)[0] / 2 + mpmath.log(w / mpmath.mpf(6))
        for w, m in zip((1, 2, 3), means, strict=True)
    ]
    assert close([q / mpmath.fsum(bayes) for q in bayes], softmax(x))


# --- maximum entropy --------------------------------------------------------------------------


def mean_score(beta, x):
    return dot(softmax(scaled(beta, x)), x)


def beta_for(s, x):
    """Return β with mean score s, by bisection: the mean increases with β."""
    low, high = mpmath.mpf(-1), mpmath.mpf(1)
    while mean_score(low, x) > s:
        low *= 2
    while mean_score(high, x) < s:
        high *= 2
    for _ in range(100):  # the interval shrinks below 1e-28 of its first length
        middle = (low + high) / 2
        low, high = (middle, high) if mean_score(middle, x) < s else (low, middle)
    return (low + high) / 2


whole_scores = st.lists(st.integers(-3, 3), min_size=2, max_size=5)


@pytest.mark.claim("thm-max-entropy")
@given(
    whole_scores,
    st.integers(1, 15),
    st.lists(st.integers(-100, 100), min_size=5, max_size=5),
)
@example([1, 2, 3, 4, 5, 6][:5], 9, [1, 0, 0, 0, -1])
@example([3, -3, 0], 5, [1, -2, 1, 0, 0])
@settings(deadline=None, max_examples=30)
def test_entropy_is_largest_at_softmax(x, sixteenths, direction):
    """Moving away from softmax(βx) at a fixed mean score lowers the entropy, in any direction."""
    m, M, n = min(x), max(x), len(x)
    assume(m < M)
    s = m + Fraction(M - m) * sixteenths / 16
    s = mpmath.mpf(s.numerator) / s.denominator
    q = softmax(scaled(beta_for(s, x), x))
    assert abs(dot(q, x) - s) < 1e-25  # what bisection leaves
    # Take from the direction what would change the sum or the mean score.
    v = [Fraction(d) for d in direction[:n]]
    centred = [x_i - Fraction(sum(x), n) for x_i in x]
    v = [v_i - sum(v) / n for v_i in v]
    along = sum(a * b for a, b in zip(v, centred, strict=True)) / sum(c * c for c in centred)
    v = [v_i - along * c for v_i, c in zip(v, centred, strict=True)]
    assume(any(v))
    v = [mpmath.mpf(v_i.numerator) / v_i.denominator for v_i in v]
    reach = min(q_i / -v_i for q_i, v_i in zip(q, v, strict=True) if v_i < 0)  # up to the edge
    for part in (mpmath.mpf(1) / 1000, mpmath.mpf(1) / 2, mpmath.mpf(1)):
        p = [max(q_i + part * reach * v_i, 0) for q_i, v_i in zip(q, v, strict=True)]
        assert entropy(p) < entropy(q)


@pytest.mark.claim("thm-max-entropy")
@given(whole_scores)
@quick
def test_beta_and_the_mean_score(x):
    """The mean score rises strictly with β, from min to max, and β = 0 gives the plain average."""
    assume(min(x) < max(x))
    betas = [-16, -4, -1, 0, mpmath.mpf(1) / 8, 1, 4, 16]
    means = [mean_score(beta, x) for beta in betas]
    assert all(a < b for a, b in itertools.pairwise(means))
    assert abs(means[3] - mpmath.mpf(sum(x)) / len(x)) < TINY
    # Scores are whole numbers: one that is g above the least adds at most g·e^(−16g) ≤ e^(−16).
    assert min(x) < means[0] < min(x) + 5 * mpmath.exp(-16)
    assert max(x) > means[-1] > max(x) - 5 * mpmath.exp(-16)


@pytest.mark.claim("thm-max-entropy")
@given(whole_scores, st.lists(st.integers(0, 50), min_size=5, max_size=5))
@quick
def test_extreme_mean_scores(x, w):
    """At the largest mean score only the best classes remain, and the uniform choice is best."""
    w = w[: len(x)]
    assume(sum(w) > 0)
    p = [Fraction(w_i, sum(w)) for w_i in w]
    mean = sum(p_i * x_i for p_i, x_i in zip(p, x, strict=True))
    assert min(x) <= mean <= max(x)
    best = [x_i == max(x) for x_i in x]
    assert (mean == max(x)) == (not any(p_i for p_i, b in zip(p, best, strict=True) if not b))
    on_best = [w_i for w_i, b in zip(w, best, strict=True) if b]
    if any(on_best):
        q = [mpmath.mpf(w_i) / sum(on_best) for w_i in on_best]
        gap = mpmath.log(len(q)) - entropy(q)
        assert abs(gap) < TINY if len(set(q)) == 1 else gap > TINY
    cold = softmax(scaled(200, x))  # a score that is 1 less has a weight below e^(−200) = 1e-87
    assert close(cold, [mpmath.mpf(b) / sum(best) for b in best])


@pytest.mark.claim("thm-max-entropy")
def test_a_general_optimiser_finds_the_die():
    """SciPy's constrained optimiser, which knows nothing of softmax, finds the die of mean 4.5."""
    points = np.arange(1.0, 7.0)
    found = minimize(
        lambda p: np.sum(p * np.log(p)),
        np.full(6, 1 / 6),
        jac=lambda p: np.log(p) + 1,
        method="SLSQP",
        bounds=[(1e-9, 1)] * 6,
        constraints=[LinearConstraint(np.stack([np.ones(6), points]), [1, 4.5], [1, 4.5])],
        options={"ftol": 1e-14, "maxiter": 200},
    )
    beta = float(beta_for(mpmath.mpf("4.5"), [1, 2, 3, 4, 5, 6]))
    # The entropy is flat to second order at its maximum, so 1e-14 in it is about 1e-7 in p.
    assert np.abs(found.x - softmax_ref.softmax(beta * points)).max() < 1e-6
    assert round(beta, 4) == 0.3710


# --- Luce -------------------------------------------------------------------------------------


def menus(n):
    """Return all non-empty subsets of range(n)."""
    return [S for r in range(1, n + 1) for S in itertools.combinations(range(n), r)]


def solve(rows, right):
    """Solve a square linear system in fractions by Gauss–Jordan elimination."""
    table = [[*row, r] for row, r in zip(rows, right, strict=True)]
    for k in range(len(table)):
        pivot = next(i for i in range(k, len(table)) if table[i][k])
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [v / table[k][k] for v in table[k]]
        for i in range(len(table)):
            if i != k:
                table[i] = [a - table[i][k] * b for a, b in zip(table[i], table[k], strict=True)]
    return [row[-1] for row in table]


@pytest.mark.claim("thm-max-luce")
@given(weights)
@settings(deadline=None, max_examples=30)
def test_independence_leaves_only_softmax(w):
    """For every subset the linear equations of independence have one solution: the softmax."""
    n = len(w)
    full = [Fraction(w_i, sum(w)) for w_i in w]
    x = [mpmath.log(mpmath.mpf(q.numerator) / q.denominator) for q in full]
    for S in menus(n):
        # Unknown P_S: it sums to 1, and P_S(i) P_A(j) = P_S(j) P_A(i) for neighbours i, j in S.
        rows, right = [[Fraction(1)] * len(S)], [Fraction(1)]
        for k, (i, j) in enumerate(itertools.pairwise(S)):
            row = [Fraction(0)] * len(S)
            row[k], row[k + 1] = full[j], -full[i]
            rows.append(row)
            right.append(Fraction(0))
        P = solve(rows, right)
        assert all(q > 0 for q in P)
        exact = [mpmath.mpf(q.numerator) / q.denominator for q in P]
        assert close(exact, softmax([x[i] for i in S]))


@pytest.mark.claim("thm-max-luce")
@given(weights)
@quick
def test_softmax_satisfies_the_axioms(w):
    """In exact fractions shares of strengths are positive, and their odds ignore all else."""
    for S in menus(len(w)):
        total = sum(w[i] for i in S)
        P = {i: Fraction(w[i], total) for i in S}
        assert all(P[i] > 0 for i in S)
        assert all(P[i] / P[j] == Fraction(w[i], w[j]) for i in S for j in S)


@pytest.mark.claim("thm-max-luce")
@given(several_logits, entry)
@quick
def test_strengths_are_unique_up_to_a_constant(x, c):
    """Logits that differ by a constant give the same choices, and log-odds give them back."""
    p = softmax(x)
    assert close(p, softmax([x_i + c for x_i in x]))
    recovered = [mpmath.log(p_i / p[0]) for p_i in p]
    assert close(recovered, [x_i - x[0] for x_i in x])


@pytest.mark.claim("thm-max-luce")
def test_two_buses_violate_independence():
    """The odds of car against bus change when a bus is repainted, so no logits fit all menus."""
    car, blue, red = 0, 1, 2
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    pair, all_three = {car: half, blue: half}, {car: half, blue: quarter, red: quarter}
    assert pair[car] / pair[blue] == 1
    assert all_three[car] / all_three[blue] == 2


# --- Gumbel -----------------------------------------------------------------------------------

ROWS = [
    [2.0, 1.0, 0.1],
    [0.0],
    [0.0, 0.0, 0.0],
    [1.0, 2.0, 5.0],
    [-4.0, 3.5, 3.5, 0.25, -0.5],
    [10.0, -10.0],
]


def cumulative(g):
    return mpmath.exp(-mpmath.exp(-g))


def density(g):
    return mpmath.exp(-g - mpmath.exp(-g))


@pytest.mark.claim("thm-max-gumbel")
@pytest.mark.parametrize("x", ROWS, ids=str)
def test_the_integral_by_quadrature(x):
    """Quadrature of the density of class k times the others' distribution functions gives p_k F."""
    with mpmath.workdps(25):
        p, centre = softmax(x), lse(x)
        # Below centre − 5 the density of the maximum is under e^(−140), above centre + 60 under
        # e^(−60) < 1e-26.
        grid = [centre + v for v in (-5, -2, 0, 1, 3, 6, 12, 25, 60)]
        for k, c in itertools.product(range(len(x)), (3, 8)):  # up to grid[c], and all of it

            def integrand(z, k=k):
                others = (cumulative(z - x_j) for j, x_j in enumerate(x) if j != k)
                return density(z - x[k]) * mpmath.fprod(others)

            value = mpmath.quad(integrand, grid[: c + 1])
            assert abs(value - p[k] * cumulative(grid[c] - centre)) < 1e-15


@pytest.mark.claim("thm-max-gumbel")
def test_the_mean_by_quadrature():
    """The mean of a standard Gumbel number is Euler's constant, by quadrature to 20 digits."""
    with mpmath.workdps(25):
        mean = mpmath.quad(lambda g: g * density(g), [-5, -2, 0, 1, 3, 6, 12, 25, 70])
        assert abs(mean - mpmath.euler) < 1e-20
        for x in ROWS:
            shifted = [lse(x) + v for v in (-5, -2, 0, 1, 3, 6, 12, 25, 70)]
            mean = mpmath.quad(lambda z, x=x: z * density(z - lse(x)), shifted)
            assert abs(mean - lse(x) - mpmath.euler) < 1e-18


DRAWS = 200_000
ALPHA = 1e-6  # probability with which a right sampler would fail one test, over all seeds


def hoeffding(events):
    """Return the deviation that `events` frequencies exceed with probability ALPHA at most."""
    return math.sqrt(math.log(2 * events / ALPHA) / (2 * DRAWS))


@pytest.mark.claim("thm-max-gumbel")
@pytest.mark.parametrize("x", ROWS, ids=str)
def test_sampled_winners_and_maxima(x):
    """In 200,000 seeded draws winners and maxima occur as often as stated (Hoeffding, 1e-6)."""
    x = np.array(x)
    rng = np.random.default_rng(20260101)
    disturbed = x - np.log(rng.standard_exponential((DRAWS, x.size)))
    winner, highest = disturbed.argmax(axis=1), disturbed.max(axis=1)
    p, centre = softmax_ref.softmax(x), float(softmax_ref.logsumexp(x))
    heights = [-0.5, 0.5, 2.0, math.inf]
    worst = max(
        abs(np.mean((winner == k) & (highest - centre <= h)) - p[k] * math.exp(-math.exp(-h)))
        for k in range(x.size)
        for h in heights
    )
    assert worst <= hoeffding(x.size * len(heights))
    assert not np.any(np.sort(disturbed)[:, 1:] == np.sort(disturbed)[:, :-1])  # no ties


@pytest.mark.claim("thm-max-gumbel")
@pytest.mark.parametrize("x", ROWS, ids=str)
def test_the_package_samples_softmax(x):
    """The winners of softmax_ref.gumbel_max pass the same test of frequencies."""
    draws = softmax_ref.gumbel_max(np.tile(x, (DRAWS, 1)), np.random.default_rng(7))
    frequency = np.bincount(draws, minlength=len(x)) / DRAWS
    assert np.abs(frequency - softmax_ref.softmax(np.array(x))).max() <= hoeffding(len(x))


@pytest.mark.claim("thm-max-gumbel")
def test_gaussian_noise_would_be_noticed():
    """Normal noise of the same variance fails the test of frequencies: the bound can see it."""
    x = np.array([2.0, 1.0, 0.1])
    noise = np.random.default_rng(7).normal(scale=math.pi / math.sqrt(6), size=(DRAWS, 3))
    frequency = np.bincount((x + noise).argmax(axis=1), minlength=3) / DRAWS
    assert np.abs(frequency - softmax_ref.softmax(x)).max() > 2 * hoeffding(3)
