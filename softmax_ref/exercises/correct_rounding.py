"""The code exercise of the chapter on correct rounding."""

from __future__ import annotations

from fractions import Fraction

from ._checker import Exercise, Wrong, register


def ends(high: float, low: float, error: float) -> tuple[float, float]:
    """Return the two numbers to which high + low - error and high + low + error round."""
    return high + (low - error), high + (low + error)


def _truth(high: float, low: float, error: float) -> list[float]:
    middle = Fraction(high) + Fraction(low)
    return [float(middle - Fraction(error)), float(middle + Fraction(error))]


_HALF = 2.0**-53

register(
    Exercise(
        name="rounding-code",
        task="Return what the two ends of high + low ± error round to.",
        solution=ends,
        inputs=[
            (1.0, 0.0, 0.0),
            (1.0, 0.0, 0.5),
            (1.0, 0.25, 0.125),
            (1.0, _HALF, 0.0),
            (1.0, _HALF, 2.0**-52),
            (1.0, _HALF, 2.0**-60),
            (1.0, _HALF * (1 - 2.0**-20), 2.0**-80),
            (1.0, _HALF * (1 - 2.0**-20), 2.0**-70),
            (1.0, -_HALF / 2, 2.0**-62),
            (3.0, 2.0**-52, 2.0**-61),
            (-1024.0, 2.0**-43, 2.0**-50),
        ],
        truth=_truth,
        oracle="fractions, rounded once",
        because="The ends are asked for exactly: low ± error has no rounding error here.",
        wrong=[
            Wrong(
                "the error put into high",
                lambda high, low, error: ((high - error) + low, (high + error) + low),
                "high ± error is rounded, and low is added to what is left. Put the error into "
                "low.",
            ),
            Wrong(
                "the sum rounded first",
                lambda high, low, error: ((high + low) - error, (high + low) + error),
                "high + low is rounded before the error counts. Put the error into low.",
            ),
            Wrong(
                "only one end moved",
                lambda high, low, error: (high + low, high + (low + error)),
                "The true value may lie below the sum as well. Move both ends.",
            ),
            Wrong(
                "a relative error",
                lambda high, low, error: (high + low * (1 - error), high + low * (1 + error)),
                "error is absolute, and you multiplied low by it.",
            ),
            Wrong(
                "upper end first",
                lambda high, low, error: (high + (low + error), high + (low - error)),
                "The lower end comes first.",
            ),
            Wrong(
                "low forgotten",
                lambda high, low, error: (high - error, high + error),
                "The value is high + low, and low decides the rounding.",
            ),
        ],
    )
)
