"""Checks of the statements in the chapter *The gradient p − y*.

Statements about real numbers are checked with 60 digits, on logits that are multiples of 1/8, and
once more on `softmax_ref` and PyTorch where they compute them.

The property tests have no deadline: a first call imports, and a busy machine is slow.
"""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional

import softmax_ref

from .sixty_digits import derivative, distribution, dot, norm, softmax

TINY = 1e-50  # ten digits of room for the rounding of 60-digit arithmetic
U = 2.0**-53
H = 15  # difference quotients take steps of 1e-15: they are off by 1e-30 times a third derivative

quick = settings(deadline=None, max_examples=50)
entry = st.integers(-80, 80).map(lambda k: k / 8)
coefficient = st.integers(-16, 16).map(lambda k: k / 8)
rows = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(entry, min_size=n, max_size=n), st.lists(coefficient, min_size=n, max_size=n)
    )
)
targets = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(entry, min_size=n, max_size=n),
        st.lists(st.integers(0, 8), min_size=n, max_size=n).filter(any),
    )
)
several_logits = st.lists(entry, min_size=2, max_size=5)
share = st.integers(1, 31).map(lambda k: Fraction(k, 32))


@pytest.fixture(autouse=True, scope="module")
def precision():
    """All mpmath arithmetic of this module has 60 digits."""
    with mpmath.workdps(60):
        yield


# --- definitions ------------------------------------------------------------------------------


def loss(x, c):
    """Return −Σ c log p, as defined."""
    return -mpmath.fsum(c_i * mpmath.log(p_i) for c_i, p_i in zip(c, softmax(x), strict=True))


def residual(p, c):
    s = mpmath.fsum(c)
    return [s * p_i - c_i for p_i, c_i in zip(p, c, strict=True)]


def quotient(f, x, j):
    h = mpmath.mpf(10) ** -H
    return derivative(f, x, j, h)


def largest_gap(a, b):
    return max(abs(a_i - b_i) for a_i, b_i in zip(a, b, strict=True))


# --- gradient ---------------------------------------------------------------------------------


@pytest.mark.claim("thm-gradient")
@given(rows)
@example(([0.0], [1.0]))
@example(([2.0, 1.0, 0.125], [0.0, 1.0, 0.0]))
@quick
def test_gradient(row):
    """Difference quotients in 60 digits give s p − c for random logits and any coefficients."""
    x, c = row
    exact = residual(softmax(x), c)
    # The third derivative is at most 2 Σ|c| ≤ 20.
    assert all(abs(quotient(lambda z: loss(z, c), x, j) - g) < 1e-28 for j, g in enumerate(exact))


@pytest.mark.claim("thm-gradient")
@given(rows)
@quick
def test_chain_rule(row):
    """The derivatives −c/p, times the Jacobian, entry by entry, give s p − c in 60 digits."""
    x, c = row
    p = softmax(x)
    for j, g in enumerate(residual(p, c)):
        terms = (
            -c_i / p_i * p_i * ((i == j) - p[j])
            for i, (c_i, p_i) in enumerate(zip(c, p, strict=True))
        )
        assert abs(mpmath.fsum(terms) - g) < TINY


@pytest.mark.claim("thm-gradient")
@given(targets)
@quick
def test_computed_gradient(row):
    """softmax_ref and PyTorch's autograd return p − y for soft targets, to a few units u."""
    x, w = row
    y = distribution(w)
    exact = residual(softmax(x), y)
    logits, soft = np.array(x), np.array(y, dtype=float)
    leaf = torch.tensor(logits, requires_grad=True)
    functional.cross_entropy(leaf, torch.tensor(soft)).backward()
    # Logits differ by up to 20, which costs 20u of a probability, five of which are added.
    for g in (softmax_ref.cross_entropy_gradient(logits, soft), leaf.grad.numpy()):
        assert largest_gap(g.tolist(), exact) <= 200 * U


@pytest.mark.claim("thm-gradient")
@given(targets)
@example(([0.0, 0.0], [1, 1]))
@quick
def test_zero_only_at_the_target(row):
    """p − y is 0 at x = log y + c1, and where it is 0 the two distributions are the same."""
    x, w = row
    y = distribution(w)
    if all(w):
        best = [mpmath.log(y_i) + 3 for y_i in y]
        assert norm(residual(softmax(best), y)) < TINY
    p = softmax(x)
    assert (norm(residual(p, y)) < TINY) == (largest_gap(p, y) < TINY)


@pytest.mark.claim("prop-gradient-size")
@given(several_logits)
@example([0.0, 0.0])
@example([80.0, 0.0, -80.0])
@quick
def test_size(x):
    """Signs, sum, 1-norm and both bounds of the 2-norm hold in 60 digits for every target."""
    n, p = len(x), softmax(x)
    for t in range(n):
        e_t = [mpmath.mpf(j == t) for j in range(n)]
        g, L = residual(p, e_t), loss(x, e_t)
        assert all(g_j < 0 if j == t else g_j == p[j] > 0 for j, g_j in enumerate(g))
        assert abs(mpmath.fsum(g)) < TINY
        assert abs(mpmath.fsum(map(abs, g)) - 2 * (1 - p[t])) < TINY
        assert abs(1 - p[t] - (1 - mpmath.exp(-L))) < TINY
        rest = mpmath.fsum(p_j for j, p_j in enumerate(p) if j != t)
        assert mpmath.sqrt(mpmath.mpf(n) / (n - 1)) * rest <= norm(g) + TINY
        assert norm(g) <= mpmath.sqrt(2) * rest + TINY
        assert norm(g) < mpmath.sqrt(2)


@pytest.mark.claim("prop-gradient-size")
@pytest.mark.parametrize("n", [2, 3, 10])
def test_size_bounds_are_reached(n):
    """Equal rivals attain the lower bound of the 2-norm; a single rival approaches the upper."""
    for x, factor in [
        ([mpmath.mpf(1)] + [mpmath.mpf(0)] * (n - 1), mpmath.sqrt(mpmath.mpf(n) / (n - 1))),
        ([mpmath.mpf(1), mpmath.mpf(0)] + [mpmath.mpf(-100)] * (n - 2), mpmath.sqrt(2)),
    ]:
        p = softmax(x)
        g = residual(p, [1] + [0] * (n - 1))
        assert abs(norm(g) / (1 - p[0]) - factor) < 1e-40


# --- batches ----------------------------------------------------------------------------------


@pytest.mark.claim("prop-gradient-batch")
@given(st.lists(st.tuples(several_logits, st.integers(0, 4)), min_size=1, max_size=3), st.data())
@settings(deadline=None, max_examples=25)
def test_weighted_batch(batch, data):
    """Difference quotients of the weighted mean give w/Σw times p − y in each row."""
    X = [(x + [0.0] * 3)[:3] for x, _ in batch]
    T = [t % 3 for _, t in batch]
    w = [mpmath.mpf(data.draw(st.integers(1, 8))) / 4 for _ in range(3)]
    D = mpmath.fsum(w[t] for t in T)

    def mean(rows):
        losses = (w[t] * loss(x, [j == t for j in range(3)]) for x, t in zip(rows, T, strict=True))
        return mpmath.fsum(losses) / D

    for b, (x, t) in enumerate(zip(X, T, strict=True)):
        exact = residual(softmax(x), [mpmath.mpf(j == t) for j in range(3)])
        for j in range(3):
            slope = quotient(lambda z, b=b: mean([*X[:b], z, *X[b + 1 :]]), x, j)
            assert abs(slope - w[t] / D * exact[j]) < 1e-28


@pytest.mark.claim("prop-gradient-batch")
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mean", "sum", "none"]), st.booleans())
@quick
def test_all_options_are_coefficients_and_a_divisor(seed, reduction, soft):
    """softmax_ref and PyTorch return (s P − C)/D, the table's C and D, for every option."""
    rng = np.random.default_rng(seed)
    X, w = rng.normal(scale=3, size=(5, 4)), rng.uniform(0.25, 4, size=4)
    eps = rng.choice([0.0, 0.1])
    if soft:
        target = rng.dirichlet(np.ones(4), size=5)
        C, weights = target, np.ones(5)
    else:
        target = rng.integers(4, size=5)
        target[rng.random(5) < 0.3] = -100
        target[0] = 2  # one row counts
        counts = target != -100
        C = np.where(counts[:, None], np.eye(4)[target * counts], 0.0)
        weights = w[target * counts] * counts
    live = C.sum(axis=1, keepdims=True)
    C = ((1 - eps) * C + eps / 4 * live) * w
    D = weights.sum() if reduction == "mean" else 1.0
    expected = (C.sum(axis=1, keepdims=True) * softmax_ref.softmax(X) - C) / D
    options = {"reduction": reduction, "label_smoothing": float(eps)}
    ours = softmax_ref.cross_entropy_gradient(X, target, weight=w, **options)
    leaf = torch.tensor(X, requires_grad=True)
    theirs = functional.cross_entropy(leaf, torch.tensor(target), weight=torch.tensor(w), **options)
    theirs.sum().backward()
    # Entries are at most 8, from probabilities with errors of some 30u.
    assert np.abs(ours - expected).max() <= 500 * U
    assert np.abs(leaf.grad.numpy() - expected).max() <= 500 * U


# --- smoothing --------------------------------------------------------------------------------


def smoothed(n, t, eps):
    """Return (1 − ε) e_t + ε/n in fractions."""
    return [(1 - eps) * (j == t) + eps / n for j in range(n)]


@pytest.mark.claim("prop-gradient-smoothing")
@pytest.mark.parametrize("n", range(2, 12))
def test_smoothed_targets(n):
    """In exact fractions, for n to 11 and 31 values of ε, all three sums and identities hold."""
    for k in range(1, 32):
        eps = Fraction(k, 32)
        for t in {0, n // 2, n - 1}:
            assert sum(smoothed(n, t, eps)) == 1
            others = [1 - eps if j == t else eps / (n - 1) for j in range(n)]
            assert sum(others) == 1
            assert others == smoothed(n, t, eps * n / (n - 1))
            mixture = [(1 - eps) * (j == t) + eps / (n - 1) for j in range(n)]
            s = 1 + eps / (n - 1)
            assert sum(mixture) == s > 1
            assert mixture == [s * v for v in smoothed(n, t, n * eps / (n - 1 + eps))]


@pytest.mark.claim("prop-gradient-smoothing")
@given(several_logits, share)
@quick
def test_smoothed_loss(x, eps):
    """Both forms of the smoothed loss agree in 60 digits; softmax_ref and PyTorch compute it."""
    n = len(x)
    e = mpmath.mpf(eps.numerator) / eps.denominator
    log_p = [mpmath.log(p_j) for p_j in softmax(x)]
    for t in range(n):
        y = [(1 - e) * (j == t) + e / n for j in range(n)]
        value = loss(x, y)
        assert abs((1 - e) * -log_p[t] - e / n * mpmath.fsum(log_p) - value) < TINY
        lse = x[t] - log_p[t]
        assert abs(lse - (1 - e) * x[t] - e * mpmath.fsum(x) / n - value) < TINY
        ours = softmax_ref.cross_entropy(np.array(x), t, label_smoothing=float(eps))
        logits, target = torch.tensor(x, dtype=torch.float64), torch.tensor(t)
        theirs = functional.cross_entropy(logits, target, label_smoothing=float(eps)).item()
        # Differences of logits up to 20, weighted by y, and LSE: some 20u each.
        assert abs(ours - value) <= 200 * U
        assert abs(theirs - value) <= 200 * U


@pytest.mark.claim("prop-gradient-smoothing")
@given(several_logits, share)
@quick
def test_smoothed_optimum(x, eps):
    """At the stated gap the smoothed loss has no gradient, and other logits have a larger loss."""
    n, e = len(x), mpmath.mpf(eps.numerator) / eps.denominator
    y = [(1 - e) * (j == 0) + e / n for j in range(n)]
    best = [mpmath.log(1 + n * (1 - e) / e)] + [mpmath.mpf(0)] * (n - 1)
    assert norm(residual(softmax(best), y)) < TINY
    # x is rational; the gap is irrational, or an e with log(1) = 0, which takes ε = 1.
    assert loss(x, y) > loss(best, y)


# --- curvature --------------------------------------------------------------------------------


@pytest.mark.claim("thm-gradient-hessian")
@given(rows)
@example(([0.0], [1.0]))
@settings(deadline=None, max_examples=25)
def test_hessian(row):
    """Difference quotients of s p − c in 60 digits give s(diag(p) − ppᵀ)."""
    x, c = row
    p, s = softmax(x), mpmath.fsum(c)
    for j in range(len(x)):
        for k in range(len(x)):
            slope = quotient(lambda z, j=j: residual(softmax(z), c)[j], x, k)
            assert abs(slope - s * p[j] * ((j == k) - p[k])) < 1e-28


@pytest.mark.claim("thm-gradient-hessian")
@given(targets)
@quick
def test_computed_hessian(row):
    """PyTorch's Hessian is softmax_ref.jacobian for any target, with eigenvalues in [0, 1/2]."""
    x, w = row
    y = torch.tensor(np.array(w) / sum(w))
    hessian = torch.autograd.functional.hessian(
        lambda z: functional.cross_entropy(z, y), torch.tensor(x, dtype=torch.float64)
    ).numpy()
    exact = softmax_ref.jacobian(np.array(x))
    assert np.abs(hessian - exact).max() <= 200 * U
    eigenvalues = np.linalg.eigvalsh(exact)
    assert -16 * U <= eigenvalues[0] <= eigenvalues[-1] <= 0.5 + 16 * U
    v = np.arange(1.0, len(x) + 1)
    product = softmax_ref.cross_entropy_hvp(np.array(x), np.array(w) / sum(w), v)
    assert np.abs(product - exact @ v).max() <= 200 * U


@pytest.mark.claim("thm-gradient-hessian")
@given(targets, st.data())
@quick
def test_convex_in_the_logits(row, data):
    """L lies strictly below its chords, unless they run along the ones: there it is constant."""
    x, w = row
    y = distribution(w)
    v = data.draw(st.lists(entry, min_size=len(x), max_size=len(x)))
    ends = [[a - b for a, b in zip(x, v, strict=True)], [a + b for a, b in zip(x, v, strict=True)]]
    excess = (loss(ends[0], y) + loss(ends[1], y)) / 2 - loss(x, y)
    if len(set(v)) == 1:
        assert abs(excess) < TINY
        assert abs(loss(ends[1], y) - loss(x, y)) < TINY
    else:
        assert excess > TINY


@pytest.mark.claim("prop-gradient-step")
@given(targets, st.data())
@quick
def test_rise_above_the_tangent_is_a_divergence(row, data):
    """In 60 digits L(x + v) − L(x) − gᵀv is D(p ‖ p′), between 0 and |v|²/4."""
    x, w = row
    y = distribution(w)
    v = data.draw(st.lists(entry, min_size=len(x), max_size=len(x)))
    end = [a + b for a, b in zip(x, v, strict=True)]
    p, q = softmax(x), softmax(end)
    rise = loss(end, y) - loss(x, y) - dot(residual(p, y), v)
    D = mpmath.fsum(p_i * mpmath.log(p_i / q_i) for p_i, q_i in zip(p, q, strict=True))
    assert abs(rise - D) < TINY
    assert -TINY < rise <= dot(v, v) / 4 + TINY


@pytest.mark.claim("prop-gradient-step")
@given(targets, st.integers(1, 31).map(lambda k: mpmath.mpf(k) / 8))
@quick
def test_steps_below_four_descend(row, eta):
    """Steps from 1/8 to 31/8 lower the loss by the guaranteed amount, from random logits."""
    x, w = row
    y = distribution(w)
    g = residual(softmax(x), y)
    after = loss([a - eta * b for a, b in zip(x, g, strict=True)], y)
    assert after <= loss(x, y) - eta * (1 - eta / 4) * dot(g, g) + TINY


@pytest.mark.claim("prop-gradient-step")
def test_the_quarter_cannot_be_improved():
    """For two tied classes and small steps the rise is |v|²/4 to 12 digits."""
    s = mpmath.mpf(10) ** -7
    rise = loss([s, -s], [1, 0]) - loss([0, 0], [1, 0]) + s
    assert abs(rise / (2 * s**2 / 4) - 1) < 1e-12


# --- log_softmax and NLL ----------------------------------------------------------------------


@pytest.mark.claim("prop-gradient-nll")
@given(several_logits)
@quick
def test_nll_of_log_softmax(x):
    """Value, chain rule and log_softmax(log_softmax(x)) = log_softmax(x) hold in 60 digits."""
    n, p = len(x), softmax(x)
    a = [mpmath.log(p_i) for p_i in p]
    again = [mpmath.log(p_i) for p_i in softmax(a)]
    assert largest_gap(a, again) < TINY
    for t in range(n):
        y = [mpmath.mpf(j == t) for j in range(n)]
        assert abs(-a[t] - loss(x, y)) < TINY
        # Kᵀ(−e_t), with K_ij = δ_ij − p_j: minus row t of K.
        back = [-((t == j) - p[j]) for j in range(n)]
        assert largest_gap(back, residual(p, y)) < TINY


@pytest.mark.claim("prop-gradient-nll")
@given(several_logits)
@quick
def test_computed_nll(x):
    """nll_loss of log_softmax is cross_entropy, here and in PyTorch, also of log-probabilities."""
    row, leaf = np.array(x), torch.tensor(x, dtype=torch.float64)
    for t in range(len(x)):
        target = torch.tensor(t)
        whole = softmax_ref.cross_entropy(row, t)
        log_p = softmax_ref.log_softmax(row)
        parts = [
            softmax_ref.nll_loss(log_p, t),
            softmax_ref.cross_entropy(log_p, t),
            functional.cross_entropy(leaf, target).item(),
            functional.nll_loss(functional.log_softmax(leaf, 0), target).item(),
        ]
        # Log-probabilities down to −22, each within a few u of itself.
        assert all(math.isclose(part, whole, rel_tol=0, abs_tol=200 * U) for part in parts)
