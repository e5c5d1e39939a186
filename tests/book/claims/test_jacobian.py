"""Checks of the statements in the chapter *The Jacobian*.

Two kinds of oracle.  Statements about the matrix diag(p) − ppᵀ are checked in exact rational
arithmetic: integer weights w give the logits log w and the probabilities w_i / Σw, so nothing is
rounded.  Statements about softmax as a function of the logits are checked with 60 digits.
"""

import math
import tracemalloc
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import softmax_ref
from softmax_ref.derivatives import jacobian_by_loop
from softmax_ref.formats import get_format

DIGITS = 60
U = 2.0**-53

logits = st.lists(st.floats(-40, 40, allow_subnormal=False), min_size=1, max_size=6)
several_logits = st.lists(st.floats(-40, 40, allow_subnormal=False), min_size=2, max_size=6)
weights = st.lists(st.integers(1, 1000), min_size=1, max_size=6)
several_weights = st.lists(st.integers(1, 1000), min_size=2, max_size=6)

EXTREMES = [
    [0.0],  # one class
    [3.0, 3.0],  # a tie
    [1.0, 1.0, 1.0, 1.0],
    [0.0, 700.0],  # saturated
    [-700.0, 0.0, 0.0],
    [1000.0, 999.0, -1000.0],  # exp(1000) overflows
]


# --- oracles ----------------------------------------------------------------------------------


def softmax_of(x):
    """Return softmax with the working number of digits, for floats or mpmath numbers."""
    exponentials = [mpmath.exp(mpmath.mpf(x_i)) for x_i in x]
    total = mpmath.fsum(exponentials)
    return [e / total for e in exponentials]


def derivative(function, x, j):
    """Return all derivatives by x_j from central differences.

    With 60 digits and h = 1e-20 the truncation error is about 1e-40 and the rounding error about
    1e-60 / 1e-20.  Tolerances of 1e-35 leave five digits of room.
    """
    h = mpmath.mpf(10) ** -20
    up, down = (
        function([mpmath.mpf(x_k) + (k == j) * s for k, x_k in enumerate(x)]) for s in (h, -h)
    )
    return [(a - b) / (2 * h) for a, b in zip(up, down, strict=True)]


def exact_jacobian(w):
    """Return p and diag(p) − ppᵀ as fractions, for the logits log w."""
    p = [Fraction(w_i, sum(w)) for w_i in w]
    return p, [[p_i * ((i == j) - p_j) for j, p_j in enumerate(p)] for i, p_i in enumerate(p)]


def times(A, v):
    return [sum(a * b for a, b in zip(row, v, strict=True)) for row in A]


def pivots(A):
    """Return the pivots of exact Gaussian elimination without exchanges, for symmetric A.

    By Sylvester's law their signs are the signs of the eigenvalues, as long as no pivot but the
    last is 0.
    """
    A = [list(row) for row in A]
    for k in range(len(A) - 1):
        for i in range(k + 1, len(A)):
            factor = A[i][k] / A[k][k]
            A[i] = [a - factor * b for a, b in zip(A[i], A[k], strict=True)]
    return [A[k][k] for k in range(len(A))]


def rounding(x):
    """Bound the absolute error of a float64 softmax entry or of a product of two of them.

    The normwise bound of Blanchard, Higham and Higham (2021) is (n + 2 + 2(max − min))u to first
    order; a product of two entries doubles it, and NumPy's exp may add one unit.
    """
    return 2 * (len(x) + 4 + 2 * (max(x) - min(x))) * U


# --- the formula ------------------------------------------------------------------------------


def check_jacobian_formula(J, x):
    """Compare a matrix with 60-digit central differences of softmax at x, column by column."""
    with mpmath.workdps(DIGITS):
        for j in range(len(x)):
            for i, value in enumerate(derivative(softmax_of, x, j)):
                assert abs(value - J[i][j]) <= rounding(x), (i, j)


@pytest.mark.claim("thm-jacobian")
@settings(deadline=None)
@given(logits)
def test_formula_is_the_derivative(x):
    """Central differences in 60 digits agree with diag(p) − ppᵀ to 35 digits on random logits."""
    with mpmath.workdps(DIGITS):
        p = softmax_of(x)
        for j in range(len(x)):
            for i, value in enumerate(derivative(softmax_of, x, j)):
                assert abs(value - p[i] * ((i == j) - p[j])) < 1e-35


@pytest.mark.claim("thm-jacobian")
@settings(deadline=None)
@given(logits)
def test_reference_jacobian(x):
    """softmax_ref's loop and its vectorised form agree with 60-digit central differences."""
    check_jacobian_formula(jacobian_by_loop(x), x)
    check_jacobian_formula(softmax_ref.jacobian(np.array(x)), x)


@pytest.mark.parametrize("x", EXTREMES)
def test_reference_jacobian_at_extremes(x):
    check_jacobian_formula(jacobian_by_loop(x), x)
    check_jacobian_formula(softmax_ref.jacobian(np.array(x)), x)


def test_reference_jacobian_of_many_classes():
    x = np.random.default_rng(1).normal(size=400)
    J = softmax_ref.jacobian(x)
    with mpmath.workdps(DIGITS):
        for j in (0, 399):
            column = derivative(softmax_of, x.tolist(), j)
            assert np.abs(np.array([float(c) for c in column]) - J[:, j]).max() <= rounding(x)


@pytest.mark.parametrize(
    "fault",
    [
        lambda p: np.diag(p) + np.outer(p, p),  # the sign of the second case
        lambda p: np.diag(p * (1 - p)),  # the second case forgotten
        lambda p: np.diag(p) - np.outer(p, np.ones_like(p)),  # p_j forgotten
        lambda p: np.eye(len(p)) - np.outer(np.ones_like(p), p),  # log_softmax's instead
    ],
)
def test_a_wrong_formula_is_refused(fault):
    x = [2.0, 1.0, 0.1]
    with pytest.raises(AssertionError):
        check_jacobian_formula(fault(softmax_ref.softmax(np.array(x))), x)


# --- structure --------------------------------------------------------------------------------


def check_structure(p, J, v):
    """Check parts 1 to 4 in exact arithmetic, with v as the test vector of part 2."""
    n = len(p)
    mean = sum(a * b for a, b in zip(p, v, strict=True))
    variance = sum(p_i * (v_i - mean) ** 2 for p_i, v_i in zip(p, v, strict=True))
    pairs = sum(p[i] * p[j] * (v[i] - v[j]) ** 2 for i in range(n) for j in range(n)) / 2
    assert [list(column) for column in zip(*J, strict=True)] == J
    assert sum(a * b for a, b in zip(v, times(J, v), strict=True)) == variance == pairs >= 0
    assert (pairs == 0) == (len(set(v)) == 1)
    # n − 1 positive pivots and a last one that is 0: positive semidefinite, rank n − 1.
    *leading, last = pivots(J)
    assert all(d > 0 for d in leading)
    assert last == 0
    assert times(J, [1] * n) == [0] * n
    assert [sum(column) for column in zip(*J, strict=True)] == [0] * n


@pytest.mark.claim("prop-jacobian-structure")
@settings(deadline=None)
@given(weights, st.data())
def test_structure(w, data):
    """In exact rational arithmetic: symmetry, the variance, rank n − 1, the kernel, zero sums."""
    v = data.draw(st.lists(st.integers(-50, 50), min_size=len(w), max_size=len(w)))
    check_structure(*exact_jacobian(w), v)


@settings(deadline=None)
@given(logits)
def test_reference_jacobian_keeps_the_structure(x):
    J = softmax_ref.jacobian(np.array(x))
    assert np.array_equal(J, J.T)
    # A row sums n entries of at most 1/4, each with the error bounded in `rounding`.
    assert np.abs(J.sum(axis=1)).max() <= len(x) * rounding(x)
    assert np.linalg.eigvalsh(J).min() >= -len(x) * rounding(x)


def test_a_wrong_structure_is_refused():
    p, J = exact_jacobian([3, 2, 1])
    J[0][1] += Fraction(1, 10**12)
    with pytest.raises(AssertionError):
        check_structure(p, J, [1, 2, 3])
    with pytest.raises(AssertionError):
        check_structure(p, [[-a for a in row] for row in exact_jacobian([3, 2, 1])[1]], [1, 2, 3])


# --- the bound one half -----------------------------------------------------------------------


def half_minus(J, bound=Fraction(1, 2)):
    return [[bound * (i == j) - a for j, a in enumerate(row)] for i, row in enumerate(J)]


@pytest.mark.claim("thm-jacobian-one-half")
@settings(deadline=None)
@given(weights)
def test_eigenvalues_at_most_one_half(w):
    """In exact arithmetic I/2 − J is positive definite; only n = 2 at a tie gives a zero pivot."""
    *leading, last = pivots(half_minus(exact_jacobian(w)[1]))
    assert all(d > 0 for d in leading)
    assert (last == 0) if len(w) == 2 and w[0] == w[1] else (last > 0)


@pytest.mark.claim("thm-jacobian-one-half")
@pytest.mark.parametrize("n", [3, 4, 10, 1000])
def test_one_half_is_approached(n):
    """At (s, s, 0, …, 0) the eigenvalue p₁ comes within 1e-12 of 1/2 and stays below it."""
    big = n * 10**12
    p, J = exact_jacobian([big, big] + [1] * (min(n, 10) - 2))
    direction = [1, -1] + [0] * (len(p) - 2)
    assert times(J, direction) == [p[0] * d for d in direction]
    assert Fraction(1, 2) - Fraction(1, 10**12) < p[0] < Fraction(1, 2)
    x = np.array([20.0, 20.0] + [0.0] * (n - 2))
    largest = np.linalg.eigvalsh(softmax_ref.jacobian(x))[-1]
    # eigvalsh is backward stable: an error of a small multiple of n·u, here at most 1e-12.
    assert largest == pytest.approx(1 / (2 + (n - 2) * math.exp(-20)), abs=1e-12)


def test_a_smaller_bound_is_refused():
    _, J = exact_jacobian([1000, 1000, 1])
    assert min(pivots(half_minus(J, Fraction(49, 100)))) < 0


def lipschitz_quotient(x, y):
    """Return the change of softmax over the change of the logits, in the 2-norm."""
    change = [a - b for a, b in zip(softmax_of(x), softmax_of(y), strict=True)]
    moved = [mpmath.mpf(a) - mpmath.mpf(b) for a, b in zip(x, y, strict=True)]
    return mpmath.norm(change) / mpmath.norm(moved)


@pytest.mark.claim("cor-jacobian-lipschitz")
@settings(deadline=None)
@given(st.sampled_from([1, 2, 2, 2, 3, 6]), st.sampled_from([0, 5, 40]), st.data())
def test_lipschitz_constant_one_half(n, lead, data):
    """For random pairs of logits, near ties and far, the quotient of the changes is below 1/2."""
    scale = data.draw(st.sampled_from([1, 2**-6, 2**-12]))
    vectors = st.lists(st.integers(-20, 20), min_size=n, max_size=n)
    # Two classes may lead by much, where the quotient comes close to 1/2.
    x, y = ([lead * (i < 2) + scale * k for i, k in enumerate(data.draw(vectors))] for _ in "xy")
    assume(x != y)
    with mpmath.workdps(DIGITS):
        assert lipschitz_quotient(x, y) < mpmath.mpf(1) / 2


@pytest.mark.claim("cor-jacobian-lipschitz")
@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_no_smaller_lipschitz_constant(n):
    """Two close points beside a tie of two classes come within 1e-6 of the quotient 1/2."""
    x = [40.0, 40.0] + [0.0] * (n - 2)
    y = [40.0 + 2**-12, 40.0 - 2**-12] + [0.0] * (n - 2)
    with mpmath.workdps(DIGITS):
        assert 0.5 - 1e-6 < lipschitz_quotient(x, y) < 0.5


# --- eigenvalues ------------------------------------------------------------------------------


def eigenvalues(x):
    """Return p and the eigenvalues of diag(p) − ppᵀ, both falling, with the working digits."""
    p = softmax_of(x)
    J = mpmath.matrix(len(x), len(x))
    for i in range(len(x)):
        for j in range(len(x)):
            J[i, j] = p[i] * ((i == j) - p[j])
    found = sorted(mpmath.eigsy(J, eigvals_only=True), reverse=True)
    return sorted(p, reverse=True), found


# mpmath's symmetric eigenvalues are backward stable: absolute errors near 1e-59 here.
SLACK = mpmath.mpf(10) ** -55


@pytest.mark.claim("prop-jacobian-interlacing")
@settings(max_examples=50, deadline=None)  # 60-digit eigenvalues take some milliseconds each
@given(logits)
def test_eigenvalues_interlace(x):
    """60-digit eigenvalues lie between neighbouring sorted probabilities, the last one at 0."""
    with mpmath.workdps(DIGITS):
        p, found = eigenvalues(x)
        assert abs(found[-1]) < SLACK
        for k in range(len(x) - 1):
            assert p[k + 1] - SLACK <= found[k] <= p[k] + SLACK


@pytest.mark.claim("prop-jacobian-interlacing")
@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=4), st.integers(0, 3))
def test_shared_probability_is_an_eigenvalue(x, k):
    """Repeating a logit makes its probability an eigenvalue, to 55 digits."""
    x = [*x, x[k % len(x)]]
    with mpmath.workdps(DIGITS):
        shared = softmax_of(x)[-1]
        assert min(abs(value - shared) for value in eigenvalues(x)[1]) < SLACK


@pytest.mark.claim("prop-jacobian-saturation")
@settings(max_examples=50, deadline=None)
@given(several_logits)
def test_confidence_bounds_the_norm(x):
    """60-digit norms lie between n/(n−1) and 2 times p_max(1 − p_max), and below 2(n−1)e^(−d)."""
    n = len(x)
    with mpmath.workdps(DIGITS):
        p, (norm, *_) = eigenvalues(x)
        spread = p[0] * mpmath.fsum(p[1:])
        assert n * spread / (n - 1) - SLACK <= norm <= 2 * spread + SLACK
        first, second = sorted(map(mpmath.mpf, x), reverse=True)[:2]
        assert norm <= 2 * (n - 1) * mpmath.exp(second - first) + SLACK
        if n == 2:
            assert abs(norm - 2 * spread) < SLACK


def test_the_bounds_on_the_norm_are_attained():
    with mpmath.workdps(DIGITS):
        for n in (2, 3, 5):  # equal logits attain the lower bound, 1/n
            assert abs(eigenvalues([0.0] * n)[1][0] - mpmath.mpf(1) / n) < SLACK
        # (s, s, −s): the upper bound is approached, so no factor below 2 holds for all x.
        p, (norm, *_) = eigenvalues([60.0, 60.0, 0.0])
        assert norm / (p[0] * (1 - p[0])) > 2 - mpmath.mpf(10) ** -20


# --- products ---------------------------------------------------------------------------------


def check_products(jvp, vjp, x, v):
    """Compare both products with the 60-digit matrix, in units of the largest |v|."""
    with mpmath.workdps(DIGITS):
        p = softmax_of(x)
        J = [[p_i * ((i == j) - p_j) for j, p_j in enumerate(p)] for i, p_i in enumerate(p)]
        expected = times(J, list(map(mpmath.mpf, v)))
        # Each entry is a sum of n terms p_i p_j (v_i − v_j) with the error of `rounding` each.
        tolerance = len(x) * rounding(x) * 2 * max(map(abs, v))
        for product in (jvp, vjp):
            found = product(np.array(x), np.array(v))
            assert max(abs(a - b) for a, b in zip(expected, found, strict=True)) <= tolerance


@pytest.mark.claim("prop-jacobian-products")
@settings(deadline=None)
@given(logits, st.data())
def test_products_equal_the_matrix_products(x, data):
    """softmax_ref's JVP and VJP agree with the 60-digit matrix times a random vector."""
    floats = st.floats(-1e3, 1e3)
    v = data.draw(st.lists(floats, min_size=len(x), max_size=len(x)))
    check_products(softmax_ref.softmax_jvp, softmax_ref.softmax_vjp, x, v)


@pytest.mark.parametrize("x", EXTREMES)
def test_products_at_extremes(x):
    v = [1.0, -2.0, 0.5, 3.0][: len(x)]
    check_products(softmax_ref.softmax_jvp, softmax_ref.softmax_vjp, x, v)


class Counted:
    """A number that counts the arithmetic done with its kind."""

    operations = 0

    def __init__(self, value):
        self.value = value

    def _combine(self, other, value):
        Counted.operations += 1
        return Counted(value)

    def __add__(self, other):
        return self._combine(other, self.value + other.value)

    def __sub__(self, other):
        return self._combine(other, self.value - other.value)

    def __mul__(self, other):
        return self._combine(other, self.value * other.value)


@pytest.mark.claim("prop-jacobian-products")
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_products_take_linear_time(n):
    """Counting every operation of p ∘ (v − pᵀv) gives 4n − 1."""
    p = [Counted(Fraction(1, n)) for _ in range(n)]
    v = [Counted(Fraction(k)) for k in range(n)]
    Counted.operations = 0
    mean = p[0] * v[0]
    for p_j, v_j in zip(p[1:], v[1:], strict=True):
        mean = mean + p_j * v_j
    product = [p_i * (v_i - mean) for p_i, v_i in zip(p, v, strict=True)]
    assert Counted.operations == 4 * n - 1
    expected = times(exact_jacobian([1] * n)[1], list(range(n)))
    assert [entry.value for entry in product] == expected


@pytest.mark.claim("prop-jacobian-products")
@pytest.mark.parametrize("product", [softmax_ref.softmax_jvp, softmax_ref.softmax_vjp])
def test_products_take_linear_memory(product):
    """A product with 100,000 classes uses less than 20 vectors; the matrix would be 80 GB."""
    n = 100_000
    x, v = np.random.default_rng(5).normal(size=(2, n))
    tracemalloc.start()
    product(x, v)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * x.nbytes


def test_a_wrong_product_is_refused():
    def no_mean(x, v):
        return softmax_ref.softmax(x) * v

    def plain_mean(x, v):
        return softmax_ref.softmax(x) * (v - v.mean())

    for fault in (no_mean, plain_mean):
        with pytest.raises(AssertionError):
            check_products(softmax_ref.softmax_jvp, fault, [2.0, 1.0, 0.1], [1.0, -2.0, 0.5])


# --- log_softmax ------------------------------------------------------------------------------


def check_log_softmax_jacobian(K, x):
    """Compare K, a function of p, with 60-digit central differences of log_softmax at x."""
    with mpmath.workdps(DIGITS):
        p = softmax_of(x)
        for j in range(len(x)):
            column = derivative(lambda z: list(map(mpmath.log, softmax_of(z))), x, j)
            for i, value in enumerate(column):
                assert abs(value - K(p)[i][j]) < 1e-20, (i, j)


def log_softmax_jacobian(p):
    return [[(i == j) - p_j for j, p_j in enumerate(p)] for i in range(len(p))]


# log p_i of a p_i near e^(−80) keeps 60 digits of itself: h = 1e-20 leaves 1e-38 in the quotient.
@pytest.mark.claim("prop-jacobian-log-softmax")
@settings(deadline=None)
@given(logits)
def test_log_softmax_jacobian(x):
    """Central differences of log_softmax in 60 digits agree with I − 1pᵀ on random logits."""
    check_log_softmax_jacobian(log_softmax_jacobian, x)


@pytest.mark.claim("prop-jacobian-log-softmax")
@settings(deadline=None)
@given(weights, st.data())
def test_log_softmax_algebra(w, data):
    """In exact arithmetic: both products, K1 = 0, K² = K, diag(p)K = J and rank n − 1."""
    p, J = exact_jacobian(w)
    n = len(p)
    K = log_softmax_jacobian(p)
    columns = [list(column) for column in zip(*K, strict=True)]
    v = data.draw(st.lists(st.integers(-50, 50), min_size=n, max_size=n))
    mean = sum(a * b for a, b in zip(p, v, strict=True))
    assert times(K, v) == [v_i - mean for v_i in v]
    assert times(columns, v) == [v_i - sum(v) * p_i for v_i, p_i in zip(v, p, strict=True)]
    assert times(K, [1] * n) == [0] * n
    assert [times(K, column) for column in columns] == columns
    assert [[p_i * a for a in row] for p_i, row in zip(p, K, strict=True)] == J
    *leading, last = pivots(K)
    assert all(d != 0 for d in leading)
    assert last == 0


@pytest.mark.claim("prop-jacobian-log-softmax")
@settings(deadline=None)
@given(several_logits)
def test_log_softmax_norm(x):
    """The largest singular value of K is √n‖p‖, at least 1 and below √n, and 1 only if uniform."""
    p = softmax_ref.softmax(np.array(x))
    n = len(p)
    norm = np.linalg.norm(np.array(log_softmax_jacobian(p)), 2)
    # The singular values are backward stable: a small multiple of n·u·√n, below 1e-13.
    assert norm == pytest.approx(math.sqrt(n) * np.linalg.norm(p), abs=1e-13)
    with mpmath.workdps(DIGITS):
        squared = n * mpmath.fsum(q**2 for q in softmax_of(x))
        assert squared < n
        assert (squared - 1 < 1e-50) if len(set(x)) == 1 else (squared > 1 - SLACK)


@settings(deadline=None)
@given(several_weights)
def test_log_softmax_norm_is_1_only_if_uniform(w):
    p, _ = exact_jacobian(w)
    squared = len(p) * sum(p_i**2 for p_i in p)
    assert (squared == 1) if len(set(w)) == 1 else (1 < squared < len(p))


def test_the_transposed_log_softmax_jacobian_is_refused():
    def transposed(p):
        return [list(row) for row in zip(*log_softmax_jacobian(p), strict=True)]

    with pytest.raises(AssertionError):
        check_log_softmax_jacobian(transposed, [2.0, 1.0, 0.1])


# --- finite differences -----------------------------------------------------------------------


def sigmoid(s):
    return 1 / (1 + mpmath.exp(-s))


@pytest.mark.claim("lem-jacobian-one-logit")
@settings(max_examples=50, deadline=None)
@given(several_logits, st.integers(0, 5))
def test_one_logit_moves_along_a_sigmoid(x, j):
    """With 60 digits p_j is σ(x_j − c), p_i is q_i(1 − p_j), and third derivatives are ≤ 1/8."""
    j %= len(x)
    with mpmath.workdps(DIGITS):
        others = [x_k for k, x_k in enumerate(x) if k != j]
        c = mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(x_k)) for x_k in others))
        p = softmax_of(x)
        assert abs(p[j] - sigmoid(x[j] - c)) < SLACK
        q = iter(softmax_of(others))
        for i in range(len(x)):
            if i != j:
                assert abs(p[i] - next(q) * (1 - p[j])) < SLACK

            def entry(s, i=i):
                return softmax_of([s if k == j else x_k for k, x_k in enumerate(x)])[i]

            # mpmath.diff raises its precision by itself; 1e-20 is far above its error.
            assert abs(mpmath.diff(entry, x[j], 3)) <= 0.125 + 1e-20


def test_one_eighth_is_attained_at_a_tie():
    with mpmath.workdps(DIGITS):
        assert abs(mpmath.diff(sigmoid, 0, 3) + mpmath.mpf(1) / 8) < 1e-20


def central_difference_errors(dtype, x, j, h):
    """Return the largest error in column j, and ε, that of the softmax values used."""
    z = np.array(x, dtype)
    step = np.zeros_like(z)
    step[j] = h
    points = [z + step, z - step]
    assert all(abs(float(point[j]) - float(z[j])) == h for point in points), "h is not exact"
    values = [softmax_ref.softmax(point) for point in points]
    with mpmath.workdps(40):
        epsilon = max(
            abs(float(a) - b)
            for value, point in zip(values, points, strict=True)
            for a, b in zip(value, softmax_of(point.tolist()), strict=True)
        )
        p = softmax_of(z.tolist())
        quotients = [(float(a) - float(b)) / (2 * h) for a, b in zip(*values, strict=True)]
        error = max(
            abs(quotient - p[i] * ((i == j) - p[j])) for i, quotient in enumerate(quotients)
        )
    return float(error), float(epsilon)


def step_bound(h, epsilon):
    return h**2 / 48 + epsilon / h


@pytest.mark.claim("prop-jacobian-step")
@pytest.mark.parametrize(
    ("dtype", "smallest"), [("float64", -51), ("float32", -22), ("float16", -9)]
)
def test_step_bound_holds(dtype, smallest):
    """At every exact step 2^k, in three formats, the error stays below h²/48 + ε/h, ε measured."""
    for exponent in range(smallest, 2):
        h = 2.0**exponent
        # At the tie [2, 2] the third derivative is 1/8: a smaller constant than 1/48 would fail.
        for x, j in [([2.0, 1.0, 0.1], 0), ([-1.0, 1.0, 2.0], 2), ([2.0, 2.0], 0)]:
            error, epsilon = central_difference_errors(dtype, x, j, h)
            # The subtraction and the division, done in float64, may add 3u of the quotient.
            assert error <= step_bound(h, epsilon) + 3 * U, (h, j)


@pytest.mark.claim("prop-jacobian-step")
@settings(deadline=None)
@given(st.floats(1e-30, 1e-2), st.floats(0.01, 100))
def test_best_step_minimises_the_bound(epsilon, factor):
    """At (24ε)^(1/3) the bound is a sixteenth of the step's square, and smallest."""
    best = (24 * epsilon) ** (1 / 3)
    assert step_bound(best, epsilon) == pytest.approx(best**2 / 16, rel=1e-14)  # a few roundings
    assert step_bound(best, epsilon) <= step_bound(best * factor, epsilon) * (1 + 1e-14)


def test_the_constant_1_48_is_sharp():
    """At a tie and for small h the truncation error is h²/48 (1 − O(h²))."""
    with mpmath.workdps(DIGITS):
        h = mpmath.mpf(10) ** -6
        quotient = (sigmoid(h) - sigmoid(-h)) / (2 * h)
        assert abs(quotient - mpmath.mpf(1) / 4) * 48 / h**2 == pytest.approx(1, abs=1e-10)


# --- the target's gradient --------------------------------------------------------------------


@pytest.mark.claim("prop-jacobian-target")
@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_saturated_target_rounds_to_one(name):
    """In five formats 1 − u/2 rounds to 1 and a number just below it rounds to 1 − u."""
    number_format = get_format(name)
    u = number_format.unit_roundoff
    assert number_format.round(1 - u / 2) == 1
    assert number_format.round(1 - u / 4) == 1
    assert number_format.round(1 - u / 2 * (1 + 2**-20)) == 1 - u


@pytest.mark.claim("prop-jacobian-target")
@settings(deadline=None)
@given(
    st.lists(st.floats(2**-60, 1, width=32), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 1e-6, 1e-3]),
)
def test_sum_of_the_others_keeps_its_digits(stored, random, eta):
    """Float32 sums in random orders stay within (1 + η)(1 + u)^(n−2) − 1 of the exact sum."""
    u = Fraction(1, 2**24)
    eta = Fraction(eta)
    # The stored value is p(1 + δ) with |δ| ≤ η; take the true p at either end of that range.
    true = [Fraction(s) / (1 + random.choice([-eta, eta])) for s in stored]
    terms = [np.float32(s) for s in stored]
    while len(terms) > 1:  # add any two, in any order
        random.shuffle(terms)
        terms.append(terms.pop() + terms.pop())
    n = len(stored) + 1
    error = abs(Fraction(float(terms[0])) / sum(true) - 1)
    assert error <= (1 + eta) * (1 + u) ** (n - 2) - 1


@pytest.mark.claim("prop-jacobian-target")
def test_margin_20_in_float32():
    """At margin 20 in float32 p_t − 1 is 0, and minus the other probability is −2.061e-9."""
    p = softmax_ref.softmax(np.array([20, 0], np.float32))
    assert p[0] - np.float32(1) == 0
    assert f"{-p[1]:.3e}" == "-2.061e-09"
    gradient = softmax_ref.cross_entropy_gradient(np.array([20, 0], np.float32), 0)
    assert f"{gradient[0]:.3e}" == "-2.061e-09"


def test_one_half_ulp_is_the_exact_threshold():
    """The two-class margin in the text, log(2^25 − 1), separates 0 from a non-zero p_t − 1."""
    threshold = math.log(2**25 - 1)
    float32 = get_format("float32")
    for margin, lost in [(threshold + 1e-6, True), (threshold - 1e-6, False)]:
        p_t = 1 / (1 + math.exp(-margin))
        assert bool(float32.round(p_t) == 1) == lost
