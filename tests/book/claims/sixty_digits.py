"""Definitions in mpmath, for claim tests about real numbers; the caller sets the 60 digits."""

import mpmath


def softmax(x):
    exponentials = [mpmath.exp(x_i) for x_i in x]
    total = mpmath.fsum(exponentials)
    return [e / total for e in exponentials]


def lse(x):
    """Return LSE by its definition; an empty sum and e^(−∞) are 0, and log 0 is −∞."""
    total = mpmath.fsum(mpmath.exp(x_i) for x_i in x)
    return mpmath.log(total) if total else -mpmath.inf


def cross(y, q):
    """Return H(y, q) as defined: what does not happen counts as 0, and −log 0 is ∞."""
    return mpmath.fsum(
        -y_i * mpmath.log(q_i) if q_i else mpmath.inf for y_i, q_i in zip(y, q, strict=True) if y_i
    )


def entropy(p):
    return cross(p, p)


def distribution(w):
    """Return the distribution with these weights."""
    return [mpmath.mpf(w_i) / sum(w) for w_i in w]


def dot(a, b):
    return mpmath.fsum(a_i * b_i for a_i, b_i in zip(a, b, strict=True))


def norm(v):
    return mpmath.sqrt(mpmath.fsum(v_i**2 for v_i in v))


def moved(x, j, h):
    """Return x with h added to x_j."""
    return [x_i + h * (i == j) for i, x_i in enumerate(x)]


def derivative(f, x, j, h):
    """Return the central difference quotient of f at x in x_j."""
    return (f(moved(x, j, h)) - f(moved(x, j, -h))) / (2 * h)


def is_constant(v):
    return len(set(v)) == 1
