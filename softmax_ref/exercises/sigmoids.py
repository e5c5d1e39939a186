"""The code exercise of the chapter *Softmax or sigmoids?*."""

from __future__ import annotations

from decimal import Decimal
from math import prod
from typing import Any

import numpy as np

from .. import logsumexp, sigmoid, softmax, softplus
from ._checker import Exercise, Wrong, register


def exactly_one(x: Any) -> Any:
    """Return the probability that exactly one independent label of each row is true."""
    return np.exp(logsumexp(x, axis=-1) - softplus(x).sum(axis=-1))


def _exactly_one_truth(x: Any) -> list[Decimal]:
    odds = [[Decimal(float(v)).exp() for v in row] for row in x]
    return [sum(row, Decimal(0)) * prod(1 / (1 + o) for o in row) for row in odds]


def _none(x: Any) -> Any:
    return np.exp(-softplus(x).sum(axis=-1))


def _by_odds(x: Any) -> Any:
    odds = np.exp(x)
    return odds.sum(axis=-1) / np.prod(1 + odds, axis=-1)


register(
    Exercise(
        name="sigmoids-exactly-one",
        task="Return, for each row of logits, the probability of exactly one true label.",
        solution=exactly_one,
        inputs=[
            (np.array([[0.0]]),),
            (np.array([[0.0, 0.0]]),),
            (np.array([[1.0, -2.0]]),),
            (np.array([[1000.0, -1000.0]]),),
            (np.array([[0.0, 0.0, 0.0]]),),
            (np.array([[0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [1000.0, 3.0, -1000.0]]),),
        ],
        truth=_exactly_one_truth,
        oracle="products of 1 / (1 + exp x) in 60-digit arithmetic",
        relative=4096,
        because="Rounding two logarithms near 1000 costs up to 2000 u of the exponential.",
        wrong=[
            Wrong(
                "sum of the sigmoids",
                lambda x: sigmoid(x).sum(axis=-1),
                "This is the expected number of labels. It can exceed 1.",
            ),
            Wrong(
                "at least one",
                lambda x: 1 - _none(x),
                "This is the probability of at least one label.",
            ),
            Wrong("none", _none, "This is the probability that no label is true."),
            Wrong(
                "all true",
                lambda x: np.prod(sigmoid(x), axis=-1),
                "This is the probability that all labels are true.",
            ),
            Wrong(
                "others forgotten",
                lambda x: sigmoid(x).max(axis=-1),
                "Each label can be the one, and the others must then be false.",
            ),
            Wrong(
                "product over the whole batch",
                lambda x: np.exp(logsumexp(x, axis=-1) - softplus(x).sum()),
                "Your sum of softplus runs over all rows. Give it axis=-1.",
            ),
            Wrong(
                "odds overflow",
                _by_odds,
                "Right, until the odds overflow at a logit of 1000. Work with logarithms.",
            ),
            Wrong(
                "not exponentiated",
                lambda x: logsumexp(x, axis=-1) - softplus(x).sum(axis=-1),
                "This is the logarithm of the probability.",
            ),
            Wrong(
                "softmax first",
                lambda x: exactly_one(softmax(x)),
                "The labels are independent: their probabilities are sigmoids of x, not softmax.",
            ),
        ],
    )
)
