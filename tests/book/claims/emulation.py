"""Arithmetic of the book's formats by MPFR, for claim tests: correct rounding, and 400 bits."""

import gmpy2
import numpy as np
from gmpy2 import mpfr

from softmax_ref.formats import FORMATS

SMALL = ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]  # every number can be tried


def precise():
    """400 bits, far more than any of the formats, and exponents without a practical bound."""
    return gmpy2.context(precision=400)


def arithmetic(fmt):
    """MPFR's arithmetic in this format; its significands lie in [1/2, 1), hence the shifts by 1.

    What overflows becomes infinite, also in float8_e4m3fn, where the format itself has nan.
    """
    return gmpy2.context(
        precision=fmt.precision,
        emax=fmt.max_exponent + 1,
        emin=fmt.min_exponent - fmt.precision + 2,
        subnormalize=True,
    )


def every_number(name):
    """All finite numbers of a small format, as float64."""
    fmt = FORMATS[name]
    pattern = np.dtype(f"u{fmt.dtype.itemsize}")
    numbers = np.arange(2 ** (8 * fmt.dtype.itemsize), dtype=np.uint32).astype(pattern)
    with np.errstate(invalid="ignore"):  # signalling nans are among the patterns
        values = numbers.view(fmt.dtype).astype(np.float64)
    return np.unique(values[np.isfinite(values)])


def sum_and_height(terms, order):
    """Add `terms` pairwise until one is left; `order`, a Random, says which two come next.

    Returns the sum, and the most additions that a term went through.
    """
    terms = [(v, 0) for v in terms]
    while len(terms) > 1:
        a, i = terms.pop(order.randrange(len(terms)))
        b, j = terms.pop(order.randrange(len(terms)))
        terms.append((a + b, max(i, j) + 1))
    return terms[0]


def add_in_some_order(terms, order):
    """The sum alone."""
    return sum_and_height(terms, order)[0]


def numbers(values):
    """Python floats as MPFR numbers, exactly (outside of any small format's context)."""
    with precise():
        return [mpfr(float(v)) for v in values]
