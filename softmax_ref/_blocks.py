"""Blocks of rows that stay in cache, and threads over them.

A chain of array operations over a large array sends every intermediate through memory.
The same chain over a block that fits in the core's own cache does not.
Every function of the package that works row by row goes through :func:`by_rows`; a row that is
itself longer than a block is taken in pieces by :func:`pieces`.
The block decides only what is in cache when; the results do not depend on threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from array_api_compat import array_namespace

#: Entries in a block: 32,768 of float64 are 256 KiB, and the chain holds about three such arrays.
BLOCK = 32_768

_threads = 1


def set_num_threads(n: int) -> None:
    """Let row-wise functions on NumPy arrays use `n` threads (1 at the start).

    PyTorch tensors are not affected: PyTorch has threads of its own.

    Parameters
    ----------
    n : int
        At least 1.

    Raises
    ------
    ValueError
        If `n` is less than 1.

    Examples
    --------
    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(1)
    """
    global _threads
    if n < 1:
        raise ValueError(f"the number of threads must be at least 1; got {n}.")
    _threads = int(n)


def get_num_threads() -> int:
    """Number of threads that row-wise functions on NumPy arrays use.

    Examples
    --------
    >>> get_num_threads()
    1
    """
    return _threads


def pieces(x: Any) -> Iterator[slice]:
    """Slices of the last axis, each of at most a block; a tensor's axis is one slice.

    Examples
    --------
    >>> import numpy as np
    >>> list(pieces(np.zeros((1, 40_000))))
    [slice(0, 32768, None), slice(32768, 65536, None)]
    """
    n = x.shape[-1]
    step = BLOCK if isinstance(x, np.ndarray) else max(n, 1)
    return (slice(start, start + step) for start in range(0, n, step))


def by_rows(function: Callable[..., Any], x: Any, *others: Any) -> Any:
    """``function(x, *others)``, computed for blocks of rows at a time.

    A PyTorch tensor is one block: on a GPU a block is a launch, and PyTorch has its own threads.

    Parameters
    ----------
    function : callable
        Takes arrays whose first axis is the rows, returns one such array.
    x : array of shape (..., n)
    others : arrays whose leading axes are those of `x`

    Returns
    -------
    array whose leading axes are those of `x`
    """
    xp = array_namespace(x)
    batch, n = tuple(x.shape[:-1]), x.shape[-1]
    count = math.prod(batch)
    arrays = [xp.reshape(a, (count, *a.shape[len(batch) :])) for a in (x, *others)]
    step = max(1, BLOCK // max(n, 1))

    def compute(rows: slice) -> Any:
        with np.errstate(all="ignore"):  # each function's docstring says what the edges give
            return function(*(a[rows] for a in arrays))

    if count <= step or not isinstance(x, np.ndarray):
        result = compute(slice(None))
        return xp.reshape(result, (*batch, *result.shape[1:]))

    first = compute(slice(0, step))
    result = np.empty((count, *first.shape[1:]), dtype=first.dtype)
    result[:step] = first

    def fill(start: int) -> None:
        result[start : start + step] = compute(slice(start, start + step))

    starts = range(step, count, step)
    if _threads == 1:
        for start in starts:
            fill(start)
    else:
        with ThreadPoolExecutor(_threads) as pool:
            list(pool.map(fill, starts))  # list() so that an exception in a thread is raised here
    return result.reshape(*batch, *first.shape[1:])
