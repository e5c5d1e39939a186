"""The code exercise of the chapter on underflow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from .. import softmax
from . import _truth
from ._checker import Exercise, Wrong, register


def loss(x: Any, t: int) -> Any:
    """Return the cross-entropy of a row of logits and a target, without a probability."""
    shifted = x - x.max()
    return np.log(np.exp(shifted).sum()) - shifted[t]


def _unshifted(x: Any, t: int) -> Any:
    return np.log(np.exp(x).sum()) - x[t]


def _clipped(x: Any, t: int) -> Any:
    return -np.log(np.clip(softmax(x)[t], 1e-7, 1))


register(
    Exercise(
        name="underflow-code",
        task="Return the cross-entropy loss of one row, for any finite logits.",
        solution=loss,
        inputs=[
            (np.array([0.0]), 0),
            (np.array([0.0, 0.0]), 1),
            (np.array([1.0, 0.0]), 1),
            (np.array([0.0, -20.0]), 1),
            (np.array([0.0, -800.0]), 1),
            (np.array([1000.0, 1000.0]), 0),
            (np.array([1000.0, -1000.0]), 1),
            (np.array([-1000.0, -1000.0, -1000.0]), 0),
            (np.array([2.0, 1.0, 0.1]), 0),
            (np.array([-1000.0, -1001.0, -1003.0]), 2),
        ],
        truth=lambda x, t: _truth.logsumexp(x) - Decimal(float(x[t])),
        oracle="log-sum-exp less the target's logit, in 60-digit arithmetic",
        relative=64,
        because="The logits are whole numbers but for one, so x - max loses nothing there; the "
        "sum, the logarithm and the difference cost a few u.",
        wrong=[
            Wrong(
                "log of softmax",
                lambda x, t: -np.log(softmax(x)[t]),
                "The probability underflows before its logarithm is taken. Never form it.",
            ),
            Wrong(
                "epsilon inside the logarithm",
                lambda x, t: -np.log(softmax(x)[t] + 1e-7),
                "The epsilon changes every loss, and caps the large ones. Leave it out.",
            ),
            Wrong(
                "probability clipped",
                _clipped,
                "Clipping the probability caps the loss. Never form the probability.",
            ),
            Wrong(
                "no shift",
                _unshifted,
                "Without the shift the exponentials become 0 or infinite. Subtract the maximum.",
            ),
            Wrong(
                "maximum not added back",
                lambda x, t: np.log(np.exp(x - x.max()).sum()) - x[t],
                "The target's logit must be shifted as well: subtract the maximum from it.",
            ),
            Wrong(
                "wrong sign",
                lambda x, t: -loss(x, t),
                "A loss is not negative: log-sum-exp less the target's logit.",
            ),
            Wrong(
                "probability",
                lambda x, t: softmax(x)[t],
                "You returned the probability. The loss is minus its logarithm.",
            ),
        ],
    )
)
