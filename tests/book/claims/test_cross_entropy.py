"""Checks of the statements in the chapter *Entropy, divergence, cross-entropy*.

Distributions have integer weights over their sum, so that zeros, ties and equal distributions are
common, and two that differ do so by more than 1e-6.  Statements about real numbers are checked with
60 digits, and once more on `softmax_ref` where it computes them.

The property tests have no deadline: a first call imports, and a busy machine is slow.
"""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

import softmax_ref

from .sixty_digits import cross, derivative, distribution, entropy, lse, norm, softmax

TINY = 1e-50  # ten digits of room for the rounding of 60-digit arithmetic
GAP = 1e-14  # distributions that differ do so by 1/900 in an entry, and D is at least |p − q|²/2
U = 2.0**-53
INF = mpmath.inf

quick = settings(deadline=None, max_examples=60)
weights = st.lists(st.integers(0, 30), min_size=1, max_size=5).filter(any)
pairs = st.integers(1, 5).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 30), min_size=n, max_size=n).filter(any)] * 2)
)
entry = st.integers(-320, 320).map(lambda k: k / 8)
logits = st.lists(entry, min_size=1, max_size=5)
several_logits = st.lists(entry, min_size=2, max_size=5)


@pytest.fixture(autouse=True, scope="module")
def precision():
    """All mpmath arithmetic of this module has 60 digits."""
    with mpmath.workdps(60):
        yield


# --- definitions ------------------------------------------------------------------------------


def divergence(p, q):
    """Return D(p ‖ q) as defined."""
    terms = [
        p_i * mpmath.log(p_i / q_i) if q_i else INF for p_i, q_i in zip(p, q, strict=True) if p_i
    ]
    return mpmath.fsum(terms)


def one_hot(t, n):
    return [mpmath.mpf(i == t) for i in range(n)]


def difference_quotients(f, x):
    """Return the central difference quotients of f at x; they are off by h² times a few."""
    h = mpmath.mpf(10) ** -15
    return [derivative(f, x, j, h) for j in range(len(x))]


# --- divergence and entropy -------------------------------------------------------------------


@pytest.mark.claim("thm-entropy-kl")
@given(pairs)
@example(([1, 1], [1, 0]))
@example(([1, 0], [1, 1]))
@example(([1, 0, 2], [1, 0, 2]))
@example(([1, 2], [2, 4]))
@quick
def test_divergence(pair):
    """For random distributions, zeros included, D ≥ 0; it is 0 and ∞ exactly where stated."""
    p, q = map(distribution, pair)
    D = divergence(p, q)
    equal = all(a * sum(pair[1]) == b * sum(pair[0]) for a, b in zip(*pair, strict=True))
    excluded = any(b == 0 < a for a, b in zip(*pair, strict=True))
    assert (D == INF) == excluded
    assert abs(D) < TINY if equal else D > GAP


@pytest.mark.claim("thm-entropy-kl")
@given(pairs)
@example(([1, 1], [1, 0]))
@example(([1, 0, 0], [1, 0, 3]))
@quick
def test_computed_divergence(pair):
    """softmax_ref.kl_divergence agrees with 60 digits, and is 0 or ∞ where the theorem says so."""
    p, q = (np.array(w) / sum(w) for w in pair)
    D = softmax_ref.kl_divergence(p, q)
    exact = divergence(*([mpmath.mpf(v) for v in w.tolist()] for w in (p, q)))
    # Up to five terms, each at most log 900 + 1 < 8 times p_i and right to a few u.
    assert exact == D or abs(D - exact) <= 64 * U
    assert not np.array_equal(p, q) or D == 0


@pytest.mark.claim("thm-entropy-kl")
@given(logits, st.data())
@quick
def test_divergence_from_a_softmax_is_finite(x, data):
    """The divergence of any distribution from a softmax of logits up to ±40 is finite."""
    w = data.draw(st.lists(st.integers(0, 5), min_size=len(x), max_size=len(x)).filter(any))
    assert 0 <= divergence(distribution(w), softmax(x)) + TINY < 81 + math.log(5)


@pytest.mark.claim("cor-entropy-bounds")
@given(weights)
@example([7])
@example([0, 3, 0])
@example([2, 2, 0, 2])
@example([1, 1, 1])
@quick
def test_entropy_bounds(w):
    """Entropy lies between 0 and log k ≤ log n, and is equal to each exactly where stated."""
    p, n, k = distribution(w), len(w), sum(w_i > 0 for w_i in w)
    H = entropy(p)
    assert -TINY < H < mpmath.log(k) + TINY
    assert (abs(H) < TINY) == (k == 1)
    assert (abs(H - mpmath.log(k)) < TINY) == (len({w_i for w_i in w if w_i}) == 1)
    assert (abs(H - mpmath.log(n)) < TINY) == (len(set(w)) == 1)
    computed = softmax_ref.entropy(np.array(w) / sum(w))
    assert abs(computed - H) <= 16 * U  # five terms below 1/e, each within a few u
    assert computed >= 0


# --- cross-entropy ----------------------------------------------------------------------------


@pytest.mark.claim("thm-entropy-cross")
@given(pairs)
@example(([1, 1], [1, 0]))
@example(([1, 0], [1, 1]))
@example(([1, 2], [2, 4]))
@quick
def test_cross_entropy_is_entropy_plus_divergence(pair):
    """In 60 digits H(y, q) = H(y) + D(y ‖ q), also where both are ∞; the minimum is at q = y."""
    y, q = map(distribution, pair)
    left, right = cross(y, q), entropy(y) + divergence(y, q)
    assert left == right == INF or abs(left - right) < TINY
    excess = left - entropy(y)
    equal = all(a * sum(pair[1]) == b * sum(pair[0]) for a, b in zip(*pair, strict=True))
    assert abs(excess) < TINY if equal else excess > GAP


@pytest.mark.claim("prop-entropy-logits")
@given(logits, st.data())
@quick
def test_cross_entropy_from_logits(x, data):
    """−Σ y log p is LSE(x) − yᵀx for soft and one-hot targets, in 60 digits and as computed."""
    n = len(x)
    w = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n).filter(any))
    y, p = distribution(w), softmax(x)
    dot = mpmath.fsum(y_i * x_i for y_i, x_i in zip(y, x, strict=True))
    assert abs(cross(y, p) - (lse(x) - dot)) < TINY
    row = np.array(x)
    # Differences of logits up to 80 within 80u, five of them weighted by y; LSE adds a few u.
    soft = softmax_ref.cross_entropy(row, np.array(w) / sum(w))
    assert abs(soft - cross(y, p)) <= 1000 * U
    for t in range(n):
        assert abs(cross(one_hot(t, n), p) + mpmath.log(p[t])) < TINY
        assert abs(lse(x) - x[t] + mpmath.log(p[t])) < TINY
        assert abs(softmax_ref.cross_entropy(row, t) + mpmath.log(p[t])) <= 1000 * U


@pytest.mark.claim("prop-entropy-logits")
@given(st.lists(entry, min_size=3, max_size=3), st.lists(weights, min_size=1, max_size=6))
@quick
def test_several_samples_are_one_soft_target(x, samples):
    """The mean loss over several targets is the loss of their mean, in 60 digits and computed."""
    targets = [distribution([*w, 1, 1, 1][:3]) for w in samples]
    p = softmax(x)
    mean = [mpmath.fsum(column) / len(targets) for column in zip(*targets, strict=True)]
    losses = [cross(y, p) for y in targets]
    assert abs(mpmath.fsum(losses) / len(losses) - cross(mean, p)) < TINY
    rows = np.tile(np.array(x), (len(targets), 1))
    y = np.array(targets, dtype=float)
    computed = softmax_ref.cross_entropy(rows, y)
    assert abs(computed - softmax_ref.cross_entropy(rows[0], y.mean(axis=0))) <= 1000 * U


@pytest.mark.claim("prop-entropy-logits")
def test_pytorch_agrees_on_the_three_forms():
    """PyTorch's loss of indices, of soft targets and of batches is ours, to a few units u."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        x, y = rng.normal(scale=5, size=(6, 4)), rng.dirichlet(np.ones(4), size=6)
        t = rng.integers(4, size=6)
        for target in (t, y):
            theirs = functional.cross_entropy(torch.tensor(x), torch.tensor(target)).item()
            assert abs(softmax_ref.cross_entropy(x, target) - theirs) <= 256 * U


# --- likelihood -------------------------------------------------------------------------------


@pytest.mark.claim("thm-entropy-likelihood")
@given(st.lists(st.tuples(pairs, st.integers(0, 4)), min_size=1, max_size=5))
@quick
def test_likelihood_is_exp_of_minus_the_loss(rows):
    """For random models and samples the product of probabilities is e^(−BL), and 0 for L = ∞."""
    predictions = [distribution(pair[1]) for pair, _ in rows]
    targets = [t % len(q) for q, (_, t) in zip(predictions, rows, strict=True)]
    samples = list(zip(predictions, targets, strict=True))
    likelihood = mpmath.fprod(q[t] for q, t in samples)
    L = mpmath.fsum(cross(one_hot(t, len(q)), q) for q, t in samples) / len(samples)
    if likelihood == 0:
        assert L == INF
    else:
        assert abs(likelihood / mpmath.exp(-len(samples) * L) - 1) < TINY


@pytest.mark.claim("thm-entropy-likelihood")
def test_shares_maximise_the_likelihood():
    """For every sample of 1 to 6 draws the shares beat every other distribution with twelfths."""
    grid = [(i, j, 12 - i - j) for i in range(13) for j in range(13 - i)]
    for B in range(1, 7):
        for counts in [(i, j, B - i - j) for i in range(B + 1) for j in range(B + 1 - i)]:
            # Integers: the likelihood of q = g/12 against that of the shares, times (12B)^B.
            best = math.prod((12 * c) ** c for c in counts)
            for g in grid:
                value = math.prod((B * g_i) ** c for g_i, c in zip(g, counts, strict=True))
                same = all(B * g_i == 12 * c for g_i, c in zip(g, counts, strict=True))
                assert value == best if same else value < best


@pytest.mark.claim("thm-entropy-likelihood")
@given(weights, st.integers(-40, 40), logits)
@example([1, 0, 2], 0, [0.0])
@quick
def test_best_logits(w, c, other):
    """The floor H(y) is reached at log y + c1 only; with a class missing it is approached only."""
    y, n = distribution(w), len(w)

    def L(x):
        return lse(x) - mpmath.fsum(y_i * x_i for y_i, x_i in zip(y, x, strict=True))

    x = (other + [0.0] * n)[:n]
    p = softmax(x)
    # A difference of logits of 1/8 from irrational or rational log-odds: never equal unless so.
    is_best = all(abs(a - b) < TINY for a, b in zip(p, y, strict=True))
    assert L(x) > entropy(y) - TINY
    assert is_best == (abs(L(x) - entropy(y)) < TINY)
    if all(w):
        assert abs(L([mpmath.log(y_i) + c for y_i in y]) - entropy(y)) < TINY
    else:
        gaps = []
        for s in (10, 20, 40):
            far = [mpmath.log(y_i) if y_i else -mpmath.mpf(s) for y_i in y]
            gaps.append(L(far) - entropy(y))
        assert gaps[0] > gaps[1] > gaps[2] > 0
        assert gaps[2] < n * mpmath.exp(-40)


# --- squared error ----------------------------------------------------------------------------


def squared(x, t):
    p = softmax(x)
    return norm([p_i - (i == t) for i, p_i in enumerate(p)]) ** 2 / 2


def jacobian_times(p, v):
    mean = mpmath.fsum(p_i * v_i for p_i, v_i in zip(p, v, strict=True))
    return [p_i * (v_i - mean) for p_i, v_i in zip(p, v, strict=True)]


@pytest.mark.claim("thm-entropy-squared")
@given(st.lists(st.integers(-24, 24).map(lambda k: k / 8), min_size=2, max_size=5))
@quick
def test_both_gradients(x):
    """Difference quotients in 60 digits give p − y and J(p − y) for every target."""
    p = softmax(x)
    for t in range(len(x)):
        residual = [p_i - (i == t) for i, p_i in enumerate(p)]
        # h = 1e-15: the quotients are off by h² times a third derivative below 10.
        for f, exact in [
            (lambda z, t=t: lse(z) - z[t], residual),
            (lambda z, t=t: squared(z, t), jacobian_times(p, residual)),
        ]:
            for a, b in zip(difference_quotients(f, x), exact, strict=True):
                assert abs(a - b) < 1e-28


@pytest.mark.claim("thm-entropy-squared")
@given(several_logits, st.integers(0, 640).map(lambda k: k / 8))
@example([0.0, 0.0], 0.0)
@example([0.0, 0.0, 0.0], 80.0)
@quick
def test_saturation(x, d):
    """Where a wrong logit leads by d, squared error's gradient is below its bound, ours above."""
    n = len(x)
    x = [max(x[1:]) + d, *x[1:]]  # class 0 leads by d, and the target is another one
    p = softmax(x)
    for t in range(1, n):
        residual = [p_i - (i == t) for i, p_i in enumerate(p)]
        small, large = norm(jacobian_times(p, residual)), norm(residual)
        assert small <= 2 * mpmath.sqrt(2) * (n - 1) * mpmath.exp(-d) + TINY
        bound = mpmath.sqrt(mpmath.mpf(n) / (n - 1)) / (1 + mpmath.exp(-d))
        assert bound - TINY <= large < mpmath.sqrt(2)
        assert bound > 0.5
        # At most 1, as the loss is bounded; computed values carry errors of at most 1e-12.
        row = np.array(x)
        ours = softmax_ref.cross_entropy_gradient(row, t)
        assert abs(np.linalg.norm(ours) - large) < 1e-12


@pytest.mark.claim("thm-entropy-squared")
@given(several_logits)
@quick
def test_squared_error_is_bounded(x):
    """½r² < S ≤ r² with r = 1 − p_t, hence 0 < S < 1, for random logits and every target."""
    p = softmax(x)
    for t in range(len(x)):
        r = mpmath.fsum(p_j for j, p_j in enumerate(p) if j != t)
        assert r**2 / 2 < squared(x, t) <= r**2 + TINY
        assert 0 < squared(x, t) < 1


@pytest.mark.claim("thm-entropy-squared")
@pytest.mark.parametrize("n", [2, 3, 10])
def test_squared_error_is_not_convex_and_cross_entropy_has_no_bound(n):
    """S lies above one of its chords for n = 2, 3, 10; L takes tiny and huge values."""

    def at(lead):
        return [mpmath.mpf(lead)] + [mpmath.mpf(0)] * (n - 1)

    assert squared(at(-20), 0) > (squared(at(-80), 0) + squared(at(40), 0)) / 2 + 0.2
    values = [lse(at(lead)) - lead for lead in (100, 1, 0, -1, -1000)]
    assert values[0] < 1e-40
    assert values[-1] > 999
    assert all(a < b for a, b in itertools.pairwise(values))


# --- binary cross-entropy ---------------------------------------------------------------------


def sigmoid(a):
    return 1 / (1 + mpmath.exp(-a))


def binary(a, y):
    """Return the loss as printed; what has the weight 0 counts as 0."""
    return cross([1 - y, y], [1 - sigmoid(a), sigmoid(a)])


targets = st.integers(0, 16).map(lambda k: k / 16)


@pytest.mark.claim("prop-entropy-binary")
@given(entry, targets)
@example(0.0, 0.0)
@example(0.0, 1.0)
@quick
def test_binary_forms(a, y):
    """Softmax of (0, a) and all three safe forms give the printed loss in 60 digits."""
    a, y = mpmath.mpf(a), mpmath.mpf(y)
    value = binary(a, y)
    assert abs(cross([1 - y, y], softmax([0, a])) - value) < 1e-40  # 1 − σ(40) keeps 42 digits

    def zeta(b):
        return mpmath.log(1 + mpmath.exp(b))

    assert abs(y * zeta(-a) + (1 - y) * zeta(a) - value) < 1e-40
    assert abs(zeta(a) - y * a - value) < 1e-40
    assert abs(max(0, a) - y * a + mpmath.log(1 + mpmath.exp(-abs(a))) - value) < 1e-40


@pytest.mark.claim("prop-entropy-binary")
@given(st.integers(-80, 80).map(lambda k: k / 8), targets)
@example(0.0, 0.5)
@quick
def test_binary_derivatives(a, y):
    """Difference quotients give σ(a) − y and σ(a)σ(−a), which lies in (0, 1/4]."""
    a, y, h = mpmath.mpf(a), mpmath.mpf(y), mpmath.mpf(10) ** -12
    first = (binary(a + h, y) - binary(a - h, y)) / (2 * h)
    second = (binary(a + h, y) - 2 * binary(a, y) + binary(a - h, y)) / h**2
    assert abs(first - (sigmoid(a) - y)) < 1e-23  # h²/6 of a third derivative below 1
    assert abs(second - sigmoid(a) * sigmoid(-a)) < 1e-23
    assert 0 < sigmoid(a) * sigmoid(-a) <= 0.25


@pytest.mark.claim("prop-entropy-binary")
@given(st.floats(-1000, 1000), targets)
@example(40.0, 1.0)
@example(-800.0, 0.0)
@quick
def test_computed_binary_loss(a, y):
    """softmax_ref.binary_cross_entropy is right to 8u, for logits up to ±1000."""
    with mpmath.workdps(500):  # so that 1 + e^−1000 needs no care
        exact = y * mpmath.log1p(mpmath.exp(-mpmath.mpf(a)))
        exact += (1 - y) * mpmath.log1p(mpmath.exp(mpmath.mpf(a)))
    # exp, log1p, a product, a sum of two terms of one sign: a few u each; subnormals by 1e-320.
    ours = softmax_ref.binary_cross_entropy(np.float64(a), y)
    assert abs(ours - exact) <= 8 * U * exact + 1e-320


@pytest.mark.claim("prop-entropy-binary")
@given(st.floats(-1000, 1000), targets)
@example(-40.0, 0.0)
@quick
def test_pytorch_agrees_on_the_binary_loss(a, y):
    """PyTorch's loss with logits agrees to a few units u of the logit, its gradient too."""
    leaf = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    target = torch.tensor(y, dtype=torch.float64)
    theirs = functional.binary_cross_entropy_with_logits(leaf, target)
    theirs.backward()
    # It adds (1 − y)a to −log σ(a), which cancels for a < 0: an error of u|a|, not of u times L.
    ours = float(softmax_ref.binary_cross_entropy(np.float64(a), y))
    assert abs(theirs.item() - ours) <= 4 * U * (abs(a) + 1)
    assert abs(leaf.grad.item() - (float(softmax_ref.sigmoid(np.float64(a))) - y)) <= 4 * U
