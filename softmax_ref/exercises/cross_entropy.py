"""The code exercises of the chapter *Entropy, divergence, cross-entropy*."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from ._checker import Exercise, Wrong, register


def divergence(p: Any, q: Any) -> Any:
    """Return D(p || q) for each row."""
    with np.errstate(divide="ignore", invalid="ignore"):  # zeros are dealt with below
        terms = p * np.log(p / q)
    return np.where(p == 0, 0.0, terms).sum(axis=-1)


def binary_loss(a: Any, y: Any) -> Any:
    """Return y softplus(-a) + (1 - y) softplus(a), entry by entry."""
    return y * _softplus(-a) + (1 - y) * _softplus(a)


def _softplus(b: Any) -> Any:
    return np.maximum(0, b) + np.log1p(np.exp(-np.abs(b)))


def _divergence_truth(p: Any, q: Any) -> list[Decimal]:
    return [
        sum(
            (_term(Decimal(float(a)), Decimal(float(b))) for a, b in zip(*rows, strict=True)),
            Decimal(0),
        )
        for rows in zip(p, q, strict=True)
    ]


def _term(p: Decimal, q: Decimal) -> Decimal:
    if p == 0:
        return Decimal(0)
    return p * (p / q).ln() if q else Decimal(math.inf)


register(
    Exercise(
        name="entropy-kl",
        task="Return the divergence D(p || q) in nats for each row.",
        solution=divergence,
        inputs=[
            (np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])),
            (np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])),
            (np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])),
            (np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]])),
            (np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])),
            (np.array([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.25, 0.5]])),
            (np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([[0.25, 0.75], [0.5, 0.5]])),
            (
                np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.0, 0.75, 0.0]]),
                np.array([[0.125, 0.125, 0.25, 0.5], [0.5, 0.25, 0.25, 0.0]]),
            ),
        ],
        truth=_divergence_truth,
        oracle="the definition in 60-digit arithmetic",
        absolute=64,
        because="Up to four terms below 1.4, each within a few u, which may cancel.",
        wrong=[
            Wrong(
                "zeros forgotten",
                lambda p, q: (p * np.log(p / q)).sum(axis=-1),
                "0 * log(0) is nan in floating point. A class with p = 0 counts as 0.",
            ),
            Wrong(
                "p and q exchanged",
                lambda p, q: divergence(q, p),
                "The divergence is not symmetric: the weights are p, the true distribution.",
            ),
            Wrong(
                "cross-entropy",
                lambda p, q: np.where(p == 0, 0.0, -p * np.log(q)).sum(axis=-1),
                "Subtract the entropy of p, or take log(p / q) in place of -log q.",
            ),
            Wrong(
                "a small number added",
                lambda p, q: (p * np.log((p + 1e-12) / (q + 1e-12))).sum(axis=-1),
                "The small number hides an infinity: excluding what happens costs inf.",
            ),
            Wrong(
                "classes with q = 0 dropped",
                lambda p, q: np.where(p * q == 0, 0.0, p * np.log(p / q)).sum(axis=-1),
                "A class with q = 0 < p must make the result inf, not vanish from the sum.",
            ),
            Wrong(
                "sum over the whole batch",
                lambda p, q: np.where(p == 0, 0.0, p * np.log(p / q)).sum(),
                "Each row has its own divergence. Give the sum axis=-1.",
            ),
            Wrong(
                "mean over the classes",
                lambda p, q: np.where(p == 0, 0.0, p * np.log(p / q)).mean(axis=-1),
                "The weights p make a mean of it already. Sum over the classes.",
            ),
            Wrong(
                "in bits",
                lambda p, q: divergence(p, q) / math.log(2),
                "Your result is in bits. With the natural logarithm it is in nats.",
            ),
            Wrong("wrong sign", lambda p, q: -divergence(p, q), "A divergence is never negative."),
        ],
    )
)


def _binary_truth(a: Any, y: Any) -> Any:
    def loss(a: float, y: float) -> Decimal:
        x, t = Decimal(float(a)), Decimal(float(y))
        return t * (1 + (-x).exp()).ln() + (1 - t) * (1 + x.exp()).ln()

    return np.vectorize(loss, otypes=[object])(a, y)


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


register(
    Exercise(
        name="entropy-binary",
        task="Return the binary cross-entropy of logits a with targets y, entry by entry.",
        solution=binary_loss,
        inputs=[
            (np.array([0.0]), np.array([1.0])),
            (np.array([1.0]), np.array([1.0])),
            (np.array([1.0]), np.array([0.0])),
            (np.array([2.0]), np.array([0.25])),
            (np.array([40.0]), np.array([0.0])),
            (np.array([40.0]), np.array([1.0])),
            (np.array([-800.0]), np.array([1.0])),
            (np.array([800.0]), np.array([0.5])),
            (np.array([-40.0, 3.0]), np.array([0.0, 0.5])),
            (np.array([[2.0, -1.0], [0.0, 5.0]]), np.array([[1.0, 0.0], [0.75, 1.0]])),
        ],
        truth=_binary_truth,
        oracle="the definition in 60-digit arithmetic",
        relative=256,
        because="max(0, a) - y a may cancel three bits of a logit up to 5; the rest is a few u.",
        wrong=[
            Wrong(
                "the printed formula",
                lambda a, y: -y * np.log(_sigmoid(a)) - (1 - y) * np.log(1 - _sigmoid(a)),
                "sigmoid(40) rounds to 1, and 1 minus it to 0. Take logarithms of no probability.",
            ),
            Wrong(
                "probabilities cut off",
                lambda a, y: (
                    -y * np.log(np.clip(_sigmoid(a), 1e-12, 1 - 1e-12))
                    - (1 - y) * np.log(1 - np.clip(_sigmoid(a), 1e-12, 1 - 1e-12))
                ),
                "Cutting probabilities off caps the loss at 27.6. A margin of 40 costs 40.",
            ),
            Wrong(
                "log(1 + ...) for log1p",
                lambda a, y: np.maximum(0, a) - y * a + np.log(1 + np.exp(-np.abs(a))),
                "1 + exp(-40) rounds to 1. log1p keeps the small number.",
            ),
            Wrong(
                "softplus without a shift",
                lambda a, y: y * np.log1p(np.exp(-a)) + (1 - y) * np.log1p(np.exp(a)),
                "exp(800) overflows. Take exponentials of -|a| only.",
            ),
            Wrong(
                "targets exchanged",
                lambda a, y: binary_loss(a, 1 - y),
                "y is the probability of class 1, whose sigmoid rises with a.",
            ),
            Wrong(
                "the term of class 1 only",
                lambda a, y: y * _softplus(-a),
                "A target of 0 has a loss too: the term with 1 - y.",
            ),
            Wrong(
                "mean over the entries",
                lambda a, y: binary_loss(a, y).mean(),
                "One loss for each entry was asked for, not their mean.",
            ),
            Wrong(
                "wrong sign",
                lambda a, y: -binary_loss(a, y),
                "A loss is never negative.",
            ),
        ],
    )
)
