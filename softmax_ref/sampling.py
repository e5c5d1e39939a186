"""Samples from a softmax by Gumbel noise.

If G_i are independent standard Gumbel numbers, argmax(x_i + G_i) is i with probability
softmax(x)_i. A standard Gumbel number is −log E for a standard exponential E.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from ._arrays import Rows, rows_of
from .stable import Axis, _temperature, softmax_rows


def _gumbel(rows: Rows, generator: Any) -> Any:
    """Standard Gumbel noise, one number for each entry of the rows, in float64.

    float64 also for float32 logits: with 24 bits an exponential of exactly 0, which decides a
    sample by itself, would come once in millions of draws.
    """
    shape = tuple(rows.data.shape)
    if is_torch_array(rows.data):
        import torch

        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator must be a torch.Generator for tensors; got {type(generator).__name__}."
            )
        noise = torch.empty(shape, dtype=torch.float64, device=rows.data.device)
        return -torch.log(noise.exponential_(generator=generator))
    if not isinstance(generator, np.random.Generator):
        raise TypeError(
            "generator must be a numpy.random.Generator for NumPy arrays; "
            f"got {type(generator).__name__}."
        )
    with np.errstate(divide="ignore"):  # an exponential of 0, once in 2^53 draws or rarer
        return -np.log(generator.standard_exponential(shape))


def gumbel_max(logits: Any, generator: Any, axis: int = -1) -> Any:
    """One class index for each row, drawn with the probabilities softmax(logits).

    Parameters
    ----------
    logits : array of shape (..., n, ...)
        As for :func:`softmax_ref.softmax`.
    generator : numpy.random.Generator, or torch.Generator for tensors
        The source of randomness. The same state gives the same samples.
    axis : int
        The axis of the classes.

    Returns
    -------
    array of int64, of the shape of `logits` without `axis`
        A class with logit −inf is never drawn.

    Raises
    ------
    ValueError
        If a row is not a distribution: "logits must be finite or −inf, with a finite one in each
        row."
    TypeError
        If the generator does not belong to the kind of array.

    References
    ----------
    C. J. Maddison, D. Tarlow and T. Minka, "A* sampling", NeurIPS 2014.

    Examples
    --------
    >>> import numpy as np
    >>> gumbel_max([[-np.inf, -np.inf, 0.0]] * 4, np.random.default_rng(0))
    array([2, 2, 2, 2])
    """
    rows = rows_of(logits, axis, "logits")
    xp, x = rows.xp, rows.data
    if xp.any(xp.isnan(x) | (x == xp.inf)) or not xp.all(xp.any(x > -xp.inf, axis=-1)):
        raise ValueError("logits must be finite or −inf, with a finite one in each row.")
    index = xp.argmax(x + _gumbel(rows, generator), axis=-1)
    return index if is_torch_array(index) or index.ndim else index[()]


def gumbel_softmax(
    logits: Any, generator: Any, axis: Axis = -1, *, temperature: float = 1.0
) -> Any:
    """softmax((logits + Gumbel noise)/T): a relaxed sample, differentiable in the logits.

    Parameters
    ----------
    logits : array of shape (..., n, ...)
        As for :func:`softmax_ref.softmax`.
    generator : numpy.random.Generator, or torch.Generator for tensors
        The source of randomness. The same state gives the same noise as in :func:`gumbel_max`.
    axis : int, tuple of int or None
        The axis or axes of the classes.
    temperature : float
        As T tends to 0, the sample tends to the one-hot vector of :func:`gumbel_max`.

    Returns
    -------
    array of the shape and format of `logits`
        Edges as for :func:`softmax_ref.softmax`.

    Raises
    ------
    TypeError
        If the generator does not belong to the kind of array.
    ValueError
        If the temperature is not positive.

    References
    ----------
    E. Jang, S. Gu and B. Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.zeros((2, 3))
    >>> p = gumbel_softmax(logits, np.random.default_rng(0), temperature=0.1)
    >>> p.argmax(-1) == gumbel_max(logits, np.random.default_rng(0))
    array([ True,  True])
    """
    rows = rows_of(logits, axis, "logits")
    temperature = _temperature(temperature, rows)
    if rows.data.shape[-1] == 0:
        return rows.full(rows.data)
    noisy = rows.data + rows.xp.astype(_gumbel(rows, generator), rows.data.dtype)
    return rows.full(softmax_rows(noisy, temperature))
