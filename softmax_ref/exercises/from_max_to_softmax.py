"""The code exercises of the chapter *From max to softmax*."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def choice(x: Any, available: Any) -> Any:
    """Return softmax over the available classes and 0 for the others."""
    return softmax(np.where(available, x, -np.inf))


def gumbel_noise(u: Any) -> Any:
    """Return -log(-log u), the number at which the Gumbel distribution function is u."""
    return -np.log(-np.log(u))


def _choice_truth(x: Any, available: Any) -> list[Decimal]:
    shares = iter(_truth.softmax(x[available]))
    return [next(shares) if offered else Decimal(0) for offered in available]


def _renormalised(x: Any, available: Any) -> Any:
    p = softmax(x) * available
    return p / p.sum()


def _menu(logits: list[float], offered: str) -> tuple[Any, Any]:
    """Logits, and which classes are on offer: "101" for the first and the third."""
    return np.array(logits), np.array([mark == "1" for mark in offered])


register(
    Exercise(
        name="max-choice",
        task="Return softmax over the available classes and 0 for the others.",
        solution=choice,
        inputs=[
            _menu([3.0], "1"),
            _menu([0.0, 0.0], "10"),
            _menu([1.0, 0.0], "11"),
            _menu([0.0, 1.0, 1.0], "011"),
            _menu([2.0, 1.0, 0.1], "101"),
            _menu([1000.0, 0.0, 1.0], "011"),
            _menu([-1000.0, -1001.0, 0.0], "110"),
            _menu([2.0, 1.0, 0.1, 5.0], "1111"),
            _menu([-1.0, 4.0, 2.5, 0.0, 3.0, -2.0], "101011"),
        ],
        truth=_choice_truth,
        oracle="the definition on the available classes, in 60-digit arithmetic",
        relative=64,
        because="Differences of logits up to 6 round by 6 u, and the sum and the quotient by a "
        "few u; the results that are 0 must be 0.",
        wrong=[
            Wrong(
                "logits multiplied by the mask",
                lambda x, available: softmax(x * available),
                "A logit of 0 is a class of strength 1, not an absent one. Absent is -inf.",
            ),
            Wrong(
                "zeroed afterwards",
                lambda x, available: softmax(x) * available,
                "What is left no longer sums to 1. Take the class away before softmax.",
            ),
            Wrong(
                "renormalised afterwards",
                _renormalised,
                "An absent class with a huge logit takes everything, and 0/0 is left. Take it "
                "away before softmax.",
            ),
            Wrong(
                "-100 for -inf",
                lambda x, available: softmax(np.where(available, x, -100.0)),
                "-100 is a logit like any other, and some logits are smaller. Use -np.inf.",
            ),
            Wrong(
                "absent classes dropped",
                lambda x, available: softmax(x[available]),
                "Keep a place for each absent class, and put 0 there.",
            ),
            Wrong(
                "mask the wrong way round",
                lambda x, available: softmax(np.where(available, -np.inf, x)),
                "You offer the classes that are not available.",
            ),
            Wrong(
                "uniform over the available classes",
                lambda x, available: available / available.sum(),
                "Classes on offer still differ in strength: use their logits.",
            ),
            Wrong(
                "mask ignored",
                lambda x, available: softmax(x),
                "A class that is not available must get 0.",
            ),
        ],
    )
)


register(
    Exercise(
        name="max-noise",
        task="Turn uniform numbers u into Gumbel noise that increases with u.",
        solution=gumbel_noise,
        inputs=[
            (np.array([0.5]),),
            (np.array([0.25]),),
            (np.array([0.875]),),
            (np.array([0.125, 0.75]),),
            (np.array([1e-300, 1 - 2.0**-53]),),
            (np.array([[0.1, 0.2, 0.3], [0.4, 0.6, 0.9]]),),
        ],
        truth=lambda u: np.vectorize(lambda v: -(-Decimal(float(v)).ln()).ln(), otypes=[object])(u),
        oracle="the definition in 60-digit arithmetic",
        relative=16,
        absolute=16,
        because="Two logarithms, each within a few u; a relative error of the inner one is an "
        "absolute error of the outer.",
        wrong=[
            Wrong(
                "sign of the result",
                lambda u: np.log(-np.log(u)),
                "The sign is wrong: your noise falls as u grows.",
            ),
            Wrong(
                "exponential noise",
                lambda u: -np.log(u),
                "That is E, the exponential number. The noise is G = -log E.",
            ),
            Wrong(
                "1 - u",
                lambda u: -np.log(-np.log1p(-u)),
                "That is Gumbel noise too, but it falls as u grows. Use u where you use 1 - u.",
            ),
            Wrong(
                "inner sign forgotten",
                lambda u: -np.log(np.log(u)),
                "log u is negative for u below 1. Change its sign before the second logarithm.",
            ),
            Wrong(
                "logistic noise",
                lambda u: np.log(u) - np.log1p(-u),
                "That is logistic noise: the difference of two Gumbel numbers.",
            ),
            Wrong(
                "the distribution function",
                lambda u: np.exp(-np.exp(-u)),
                "That is the distribution function F. You need its inverse.",
            ),
            Wrong(
                "a guard inside the logarithms",
                lambda u: -np.log(-np.log(u + 1e-9) + 1e-9),
                "A small number added as a guard changes the noise at both ends. Uniform numbers "
                "between 0 and 1 need no guard.",
            ),
        ],
    )
)
