"""A second source of the truth: mpmath, from the definition, one row at a time."""

import mpmath
import numpy as np

DIGITS = 400  # e^−746 beside 1 takes 324


def truth(op, row):
    """The exact results for a row of finite numbers and −inf, as mpmath numbers."""
    with mpmath.workdps(DIGITS):
        x = [mpmath.mpf(float(v)) for v in row]
        largest = max(x)
        terms = [mpmath.exp(v - largest) for v in x]
        total = mpmath.fsum(terms)
        if op == "softmax":
            return [term / total for term in terms]
        lse = largest + mpmath.log(total)
        return [lse] if op == "logsumexp" else [v - lse for v in x]


def distance(got, exact, fmt):
    """|got − exact| in units of the format's spacing at the exact value; inf where one is."""
    if not np.isfinite(got) or mpmath.isinf(exact):
        return 0.0 if got == exact else np.inf
    with mpmath.workdps(DIGITS):
        return float(abs(mpmath.mpf(float(got)) - exact) / fmt.ulp(float(exact)))
