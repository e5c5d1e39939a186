"""Losses that underflow on their way: what each implementation makes of −log softmax."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

import softmax_ref
from softmax_ref import textbook
from softmax_ref.formats import Format

Function = Callable[[NDArray], NDArray]


def to_torch(x: NDArray) -> torch.Tensor:
    """Return an array as a tensor of the same format; every number stays what it is."""
    # float64 holds the numbers of all formats here, so that the way through it rounds nothing.
    return torch.from_numpy(x.astype(np.float64)).to(getattr(torch, x.dtype.name))


def by_torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Function:
    """Make a function of tensors one of arrays."""
    return lambda x: function(to_torch(x)).to(torch.float64).numpy().astype(x.dtype)


def implementations() -> dict[str, dict[str, Function]]:
    """Return softmax and −log softmax of each implementation, by name.

    "log of softmax" takes the logarithm of finished probabilities; "log_softmax" does not.

    Returns
    -------
    dict of dict of callable
        First the kind, one of "softmax", "log of softmax", "log_softmax"; then the implementation.
        Each callable takes an array of shape (m, n) and returns one of the same shape and format.
    """
    softmaxes = {
        "textbook": textbook.softmax,
        "stable": softmax_ref.softmax,
        "SciPy": lambda x: special.softmax(x, axis=-1),
        "torch": by_torch(lambda x: torch.softmax(x, dim=-1)),
    }
    logarithms = {
        "stable": softmax_ref.log_softmax,
        "SciPy": lambda x: special.log_softmax(x, axis=-1),
        "torch": by_torch(lambda x: torch.log_softmax(x, dim=-1)),
    }
    return {
        "softmax": softmaxes,
        "log of softmax": {name: _minus_log(f) for name, f in softmaxes.items()},
        "log_softmax": {name: _minus(f) for name, f in logarithms.items()},
    }


def _minus_log(function: Function) -> Function:
    return lambda x: -np.log(function(x))


def _minus(function: Function) -> Function:
    return lambda x: -function(x)


def apply(function: Function, logits: NDArray, number_format: Format) -> NDArray | None:
    """Round logits to a format and apply a function in it; None if it does not take the format."""
    with np.errstate(all="ignore"), warnings.catch_warnings():  # inf and nan are what is counted
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return function(number_format.round(logits))
        except (TypeError, RuntimeError):
            return None


def autograd(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], logits, target) -> NDArray:
    """Return the gradient of a loss of tensors by PyTorch's autograd, as float64.

    Parameters
    ----------
    loss : callable
        Takes logits, shape (m, n), and targets, shape (m,); returns one loss for each row.
    logits : array of shape (m, n)
        In the format in which to compute.
    target : array of integers, shape (m,)

    Returns
    -------
    array of shape (m, n), float64
    """
    x = to_torch(logits).requires_grad_()
    loss(x, torch.from_numpy(target)).sum().backward()
    return x.grad.to(torch.float64).numpy()
