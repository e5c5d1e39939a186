"""Softmax regression by gradient descent, with every stored number in one format."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.digits import CLASSES
from softmax_ref import logsumexp
from softmax_ref.formats import Format

Array = NDArray[np.float64]


@dataclass
class History:
    """What happened in a training, one entry for each step until it ended.

    Attributes
    ----------
    largest_logit, largest_sum : list of float
        The largest logit and the largest log-sum-exp of a row, before the step's update.
    nan_classes : list of int
        For how many classes the weights hold a nan after the update.
    nan_rows : list of int
        How many rows have a nan among their probabilities.
    zero_rows : list of int
        How many rows have only zeros.
    weights : array of shape (10, 65)
        The weights at the end, the bias in the last column.
    """

    largest_logit: list[float] = field(default_factory=list)
    largest_sum: list[float] = field(default_factory=list)
    nan_classes: list[int] = field(default_factory=list)
    nan_rows: list[int] = field(default_factory=list)
    zero_rows: list[int] = field(default_factory=list)
    weights: Array = field(default_factory=lambda: np.zeros((CLASSES, 65)))

    @property
    def nan_step(self) -> int | None:
        """The step whose update brought the first nan into the weights; None if none did."""
        return first(count > 0 for count in self.nan_classes)

    @property
    def all_nan_step(self) -> int | None:
        """The step whose update made the weights of every class nan; None if none did."""
        return first(count == CLASSES for count in self.nan_classes)


def first(events) -> int | None:
    """Return the number of the first event that is true, counted from 1; None without one."""
    return next((i for i, event in enumerate(events, start=1) if event), None)


def with_bias(pixels: Array) -> Array:
    """Append a column of ones."""
    return np.column_stack([pixels, np.ones(len(pixels))])


def descend(
    softmax: Callable[[NDArray], NDArray],
    pixels: Array,
    labels: NDArray[np.int64],
    number_format: Format,
    *,
    learning_rate: float,
    steps: int,
) -> History:
    """Train from zero weights by gradient descent on all images at once.

    Logits, probabilities, gradients and weights are numbers of the format.  A product of matrices
    is accumulated in float64 and rounded once, as hardware for narrow formats accumulates wider.
    Training ends early two steps after everything is nan.

    Parameters
    ----------
    softmax : callable
        Probabilities of rows of logits, computed in the format.
    pixels : array of shape (m, 64)
    labels : array of shape (m,)
    number_format : Format
    learning_rate : float
    steps : int

    Returns
    -------
    History
    """
    f = number_format
    x = f.round(with_bias(pixels)).astype(np.float64)
    y = np.eye(CLASSES)[labels]
    history = History(weights=np.zeros((CLASSES, x.shape[1])))
    with np.errstate(all="ignore"):  # inf and nan are what is looked for
        for _ in range(steps):
            logits = f.round(x @ history.weights.T)
            p = softmax(logits)
            by_logit = (p - y.astype(f.dtype)).astype(np.float64)
            gradient = f.round(by_logit.T @ x / len(x)).astype(np.float64)
            history.weights = f.round(history.weights - f.round(learning_rate * gradient))
            history.weights = history.weights.astype(np.float64)
            _record(history, logits.astype(np.float64), p)
            if history.all_nan_step and len(history.nan_classes) > history.all_nan_step:
                break
    return history


def _record(history: History, logits: Array, p: NDArray) -> None:
    lost = np.isnan(p).any(axis=1)
    history.largest_logit.append(float(logits.max()))
    history.largest_sum.append(float(np.max(logsumexp(logits))))
    history.nan_rows.append(int(lost.sum()))
    history.zero_rows.append(int((p == 0).all(axis=1).sum()))
    history.nan_classes.append(int(np.isnan(history.weights).any(axis=1).sum()))


def accuracy(weights: Array, pixels: Array, labels: NDArray[np.int64]) -> float:
    """Return the share of images whose largest logit is that of their label; 0 with any nan."""
    if not np.isfinite(weights).all():
        return 0.0
    return float(np.mean((with_bias(pixels) @ weights.T).argmax(axis=1) == labels))
