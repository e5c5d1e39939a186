"""Softmax regression on real handwritten digits, trained with the project's own gradient.

The data are scikit-learn's bundled 8 × 8 digits: 1,797 images of the ten digits, 64 pixels each.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from softmax_ref import cross_entropy, cross_entropy_gradient

CLASSES = 10
BRIGHTEST = 16.0  # pixel values run from 0 to 16
TEST_SHARE = 0.25
SMALL_GRADIENT = 1e-9  # largest entry of the gradient at what is called the optimum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DigitsSplit:
    """Images for training and images held out.

    Attributes
    ----------
    train_pixels, test_pixels : array of shape (1347, 64) and (450, 64)
        Brightness from 0 to 1, float64.
    train_labels, test_labels : array of shape (1347,) and (450,)
        The digit that each image shows, int64.
    """

    train_pixels: Array
    train_labels: NDArray[np.int64]
    test_pixels: Array
    test_labels: NDArray[np.int64]


@dataclass(frozen=True)
class SoftmaxRegression:
    """A trained model: logits are ``pixels @ weights.T + bias``.

    Attributes
    ----------
    weights : array of shape (10, 64)
    bias : array of shape (10,)
    objective : float
        The value of the regularised loss at the weights.
    steps : int
        How many steps the optimiser took.
    """

    weights: Array
    bias: Array
    objective: float
    steps: int

    def logits(self, pixels: Array) -> Array:
        """Return the logits of images, shape (m, 10)."""
        return pixels @ self.weights.T + self.bias

    def accuracy(self, pixels: Array, labels: NDArray[np.int64]) -> float:
        """Return the share of images whose largest logit is that of their label."""
        return float(np.mean(self.logits(pixels).argmax(axis=1) == labels))


@cache
def load_digits_split(seed: int = 0) -> DigitsSplit:
    """Load the digits and hold a quarter out, with the same share of each digit.

    Parameters
    ----------
    seed : int
        Decides which images are held out.

    Examples
    --------
    >>> split = load_digits_split(seed=0)
    >>> split.train_pixels.shape, split.test_pixels.shape
    ((1347, 64), (450, 64))
    """
    pixels, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        pixels / BRIGHTEST, labels, test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    return DigitsSplit(train, train_labels, test, test_labels)


def objective(parameters: Array, pixels: Array, labels: NDArray, C: float) -> tuple[float, Array]:
    """Return the regularised loss and its gradient.

    The loss is scikit-learn's, divided by C m so that it stays of the size of one image's loss:
    the mean cross-entropy of the m images plus ‖W‖² / (2 C m).  The bias is not regularised.

    Parameters
    ----------
    parameters : array of shape (650,)
        The 10 × 65 matrix [W, b], row by row.
    pixels : array of shape (m, 64)
    labels : array of shape (m,)
    C : float
        Inverse strength of the regularisation.

    Returns
    -------
    value : float
    gradient : array of shape (650,)
    """
    matrix = parameters.reshape(CLASSES, -1)
    weights, bias = matrix[:, :-1], matrix[:, -1]
    penalty = 1 / (C * len(labels))
    logits = pixels @ weights.T + bias
    value = float(cross_entropy(logits, labels)) + penalty / 2 * np.sum(weights**2)
    by_logit = cross_entropy_gradient(logits, labels)  # (p − y) / m, one row for each image
    gradient = np.column_stack([by_logit.T @ pixels + penalty * weights, by_logit.sum(axis=0)])
    return value, gradient.ravel()


def train(
    pixels: Array, labels: NDArray[np.int64], *, C: float = 1.0, max_steps: int = 20_000
) -> SoftmaxRegression:
    """Minimise the regularised loss from zero weights, by L-BFGS.

    Parameters
    ----------
    pixels : array of shape (m, 64)
    labels : array of shape (m,)
    C : float
        Inverse strength of the regularisation, as in scikit-learn's ``LogisticRegression``.
    max_steps : int
        Where to stop if the optimum is not reached before.

    Returns
    -------
    SoftmaxRegression
        Both its weights and its bias add up to 0 over the classes: the loss does not see a common
        shift of all logits, so neither the penalty nor the optimiser moves along it.
    """
    options = {"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 0, "gtol": SMALL_GRADIENT}
    with threadpool_limits(limits=1):  # on matrices this small, threads wait more than they work
        found = minimize(
            objective,
            np.zeros(CLASSES * (pixels.shape[1] + 1)),
            args=(pixels, labels, C),
            jac=True,
            method="L-BFGS-B",
            options=options,
        )
    matrix = found.x.reshape(CLASSES, -1)
    return SoftmaxRegression(matrix[:, :-1], matrix[:, -1], float(found.fun), int(found.nit))


@cache
def digit_logits(C: float = 1.0, seed: int = 0) -> Array:
    """Return the logits of the held-out digits under a model trained on the others.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation; a larger C gives larger logits.
    seed : int
        Decides which images are held out.

    Returns
    -------
    array of shape (450, 10), float64
        One row for each held-out image; in the order of ``load_digits_split(seed)``.
    """
    split = load_digits_split(seed)
    return train(split.train_pixels, split.train_labels, C=C).logits(split.test_pixels)
