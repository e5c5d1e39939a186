"""Blocks of rows that stay in cache, and threads over them.

A chain of array operations over a large array sends every intermediate through memory.
The same chain over a block that fits in the core's own cache does not.
Every function of the package that works row by row goes through :func:`by_rows`; a row that is
itself longer than a block is taken in pieces by :func:`pieces`.
The block decides only what is in cache when; the results do not depend on threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

#: Bytes in a block. The chain holds two such arrays at a time, three at most: they stay in a core's
#: share of the cache, and a block is long enough to pay for the calls that it takes.
BLOCK = 2**21

#: Entries in NumPy's buffer. In x − m, with one m a row, NumPy copies m into its buffer for each
#: entry of x as soon as the buffer has room for two rows, and takes twice the time. With this size
#: it does so only for rows of at most half as many entries, for which it pays.
BUFFER = 512

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


def block_length(x: Any) -> int:
    """Number of entries of `x` in a block; for a PyTorch tensor, all of them.

    On a GPU a block would be a kernel launch, and on a CPU PyTorch has threads of its own.
    """
    return BLOCK // x.itemsize if isinstance(x, np.ndarray) else max(math.prod(x.shape), 1)


def pieces(x: Any) -> Iterator[slice]:
    """Slices of the last axis, each of at most a block, the last one first.

    The search for the maximum has just gone through the row and left its end in cache.

    Examples
    --------
    >>> import numpy as np
    >>> list(pieces(np.zeros((1, 300_000))))
    [slice(262144, 524288, None), slice(0, 262144, None)]
    """
    step = block_length(x)
    return (slice(start, start + step) for start in reversed(range(0, x.shape[-1], step)))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a forked process has not its parent's and needs its own."""
    return ThreadPoolExecutor(threads)


def by_rows(fill: Callable[..., None], out: Any, x: Any, *others: Any) -> Any:
    """Fill `out` from `x`, a block of rows at a time.

    Parameters
    ----------
    fill : callable
        ``fill(out, x, *others)`` takes blocks, arrays whose first axis is the rows, and fills the
        first from the rest.
    out : array whose leading axes are those of `x`
    x : array of shape (..., n)
    others : arrays whose leading axes are those of `x`

    Returns
    -------
    `out`
    """
    batch = len(x.shape) - 1
    count, n = math.prod(x.shape[:-1]), x.shape[-1]
    flat = [a.reshape(count, *a.shape[batch:]) for a in (out, x, *others)]
    step = max(1, block_length(x) // max(n, 1))

    starts = range(0, count, step)
    waiting = iter(starts)

    def fill_blocks() -> None:
        """Fill blocks until none is left: one task a thread, as each wakes a thread."""
        with np.errstate(all="ignore"):  # each function's docstring says what the edges give
            np.setbufsize(BUFFER)  # until errstate ends
            for start in waiting:
                fill(*(a[start : start + step] for a in flat))

    extra = min(_threads, len(starts)) - 1 if isinstance(x, np.ndarray) else 0
    tasks = [_pool(_threads, os.getpid()).submit(fill_blocks) for _ in range(extra)]
    try:
        fill_blocks()
    finally:
        for task in tasks:
            if not task.cancel():  # one that has not begun would find no block left
                task.result()  # raises here what a thread has raised
    return out


def map_rows(function: Callable[..., Any], *arrays: Any, reduced: bool = False) -> Any:
    """``function(*arrays)`` by blocks of rows for NumPy, at once for PyTorch.

    For functions that make their result themselves, from operations that autograd can follow.

    Parameters
    ----------
    function : callable
        Gives an array of the shape of the first argument, or without its last axis if `reduced`.
    arrays : arrays with the same leading axes
    reduced : bool

    Returns
    -------
    array of the dtype of the first of `arrays`
    """
    x = arrays[0]
    if not isinstance(x, np.ndarray):
        return function(*arrays)

    def fill(out: Any, *blocks: Any) -> None:
        out[...] = function(*blocks)

    return by_rows(fill, np.empty(x.shape[:-1] if reduced else x.shape, x.dtype), *arrays)
