"""The code exercise of the chapter on number formats."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from ..formats import FORMATS
from ._checker import Exercise, Wrong, register

LARGEST = FORMATS["bfloat16"].max


def round_to_bfloat16(x: float) -> float:
    """Return x rounded once to bfloat16, as a float."""
    if x == 0 or not math.isfinite(x):
        return x
    exponent = max(math.frexp(x)[1] - 1, -126) - 7  # the ulp is 2**exponent
    y = math.copysign(math.ldexp(round(math.ldexp(x, -exponent)), exponent), x)
    return math.copysign(math.inf, x) if abs(y) > LARGEST else y


def _truth(x: float) -> float:
    """Round in rational arithmetic: the unit is the largest power of two with |x| / unit >= 128."""
    value, unit = Fraction(x), Fraction(1, 2**133)
    while abs(value) / unit >= 256:
        unit *= 2
    y = round(value / unit) * unit  # a Fraction rounds ties to even
    return math.copysign(math.inf, x) if abs(y) > LARGEST else float(y)


def _with(
    to_integer: Callable[[float], int] = round,
    bits: int = 8,
    smallest: int = -126,
    largest: float = LARGEST,
) -> Callable[[float], float]:
    """A rounding in which one thing is different."""

    def rounding(x: float) -> float:
        if x == 0 or not math.isfinite(x):
            return x
        exponent = max(math.frexp(x)[1] - 1, smallest) - (bits - 1)
        y = math.ldexp(to_integer(math.ldexp(x, -exponent)), exponent)
        return math.copysign(math.inf, x) if abs(y) > largest else y

    return rounding


def _by_float32(x: float) -> float:
    with np.errstate(over="ignore"):
        return round_to_bfloat16(float(np.float32(x)))


register(
    Exercise(
        name="formats-round",
        task="Round a float64 once to bfloat16, a tie to even, and return a float.",
        solution=round_to_bfloat16,
        inputs=[
            (x,)
            for x in (
                0.0,
                1.0,
                0.1,
                1 / 3,
                -math.e,
                257.0,  # a tie between 256 and 258
                259.0,  # a tie between 258 and 260
                1 + 2.0**-8 + 2.0**-40,  # just above a tie: float32 is the tie
                1 + 3 * 2.0**-8 - 2.0**-40,  # just below one
                2.0**-126,
                1.4 * 2.0**-133,  # between the smallest two positive numbers
                2.0**-136,
                3.39e38,
                -3.4e38,
            )
        ],
        truth=_truth,
        oracle="exact rational arithmetic",
        because="The result is a number of the format, so it must be exact.",
        wrong=[
            Wrong(
                "truncated",
                _with(to_integer=math.trunc),
                "The lower bits were cut off. Round to the nearest number instead.",
            ),
            Wrong(
                "ties upwards",
                _with(to_integer=lambda v: math.floor(v + 0.5)),
                "Adding one half and taking the floor sends every tie upwards. Ties go to even.",
            ),
            Wrong(
                "by float32",
                _by_float32,
                "The number was rounded twice: float32 made a tie of it. Round the float64.",
            ),
            Wrong(
                "seven bits",
                _with(bits=7),
                "bfloat16 stores seven fraction bits, and a hidden 1 in front: eight in all.",
            ),
            Wrong(
                "float16",
                lambda x: float(FORMATS["float16"].round(x)),
                "These are float16 numbers. bfloat16 has fewer digits and a wider range.",
            ),
            Wrong(
                "no subnormal numbers",
                _with(smallest=-1022),
                "Below 2**-126 the spacing no longer shrinks. Bound the exponent from below.",
            ),
            Wrong(
                "no overflow",
                _with(largest=math.inf),
                "The result is beyond the largest bfloat16 number and should be infinite.",
            ),
            Wrong(
                "largest number instead of infinity",
                lambda x: math.copysign(min(abs(round_to_bfloat16(x)), LARGEST), x),
                "What rounds beyond the largest number becomes infinite, not the largest number.",
            ),
        ],
    )
)
