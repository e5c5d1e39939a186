"""The definitions in decimal arithmetic, whose digits and range are set by the checker.

Nothing here is shared with the functions under test: no NumPy, no shift, no tricks.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any


def exponentials(x: Iterable[Any]) -> list[Decimal]:
    """e to the power of each entry."""
    return [Decimal(float(v)).exp() for v in x]


def softmax(x: Iterable[Any]) -> list[Decimal]:
    """Each exponential over the sum of all."""
    e = exponentials(x)
    return [v / sum(e) for v in e]


def logsumexp(x: Iterable[Any]) -> Decimal:
    """The logarithm of the sum of the exponentials."""
    return sum(exponentials(x), Decimal(0)).ln()
