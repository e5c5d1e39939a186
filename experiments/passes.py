"""Four ways to go through memory for one softmax, each block by block, with its accesses counted.

A block is meant to fit into the nearest cache: what is done to it between a load and a store costs
no traffic.  The running sum is a Python float, so that only the sum within a block rounds in the
format of the logits.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOG2_E = 1 / math.log(2)
LN_2 = math.log(2)


@dataclass
class Memory:
    """Logits and room for their probabilities, and how many numbers were loaded and stored.

    Attributes
    ----------
    x, out : array of shape (n,)
    block : int
        How many numbers are handled at a time.
    loads, stores : int
        Numbers read from `x` or `out`, and written to `out`, so far.
    """

    x: NDArray
    out: NDArray
    block: int
    loads: int = 0
    stores: int = 0

    def parts(self) -> Iterator[slice]:
        """Go through the array block by block."""
        for start in range(0, len(self.x), self.block):
            yield slice(start, min(start + self.block, len(self.x)))

    def load(self, part: slice, *, stored: bool = False) -> NDArray:
        """Read a block of the logits, or of what has been stored."""
        self.loads += part.stop - part.start
        return (self.out if stored else self.x)[part]

    def store(self, part: slice, values: NDArray) -> None:
        """Write a block."""
        self.stores += part.stop - part.start
        self.out[part] = values


def three_pass(memory: Memory) -> None:
    """Maximum; sum of exponentials; exponentials again, divided: 3 loads and 1 store each."""
    m = max(memory.load(part).max() for part in memory.parts())
    s = sum(float(np.exp(memory.load(part) - m).sum()) for part in memory.parts())
    _write(memory, m, s)


def three_pass_stored(memory: Memory) -> None:
    """Maximum; exponentials, stored, and their sum; quotients: 3 loads and 2 stores each."""
    m = max(memory.load(part).max() for part in memory.parts())
    s = 0.0
    for part in memory.parts():
        e = np.exp(memory.load(part) - m)
        s += float(e.sum())
        memory.store(part, e)
    for part in memory.parts():
        memory.store(part, memory.load(part, stored=True) * memory.x.dtype.type(1 / s))


def online(memory: Memory) -> None:
    """Maximum and sum together, the sum rescaled when the maximum moves: 2 loads and 1 store.

    References
    ----------
    M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018.
    """
    m, s = memory.x.dtype.type(-np.inf), 0.0
    for part in memory.parts():
        x = memory.load(part)
        larger = max(m, x.max())
        s = s * math.exp(m - larger) + float(np.exp(x - larger).sum())
        m = larger
    _write(memory, m, s)


def two_pass(memory: Memory) -> None:
    """No maximum: each exponential is f·2^k, and sums keep their own exponent: 2 loads, 1 store.

    References
    ----------
    M. Dukhan and A. Ablavatski, "Two-pass softmax algorithm", 2020.
    """
    largest, s = -(2**20), 0.0
    for part in memory.parts():
        f, k = _fraction_and_exponent(memory.load(part))
        larger = max(largest, int(k.max()))
        s = math.ldexp(s, largest - larger) + float(np.ldexp(f, k - larger).sum())
        largest = larger
    for part in memory.parts():
        f, k = _fraction_and_exponent(memory.load(part))
        memory.store(part, np.ldexp(f, k - largest) * memory.x.dtype.type(1 / s))


def _fraction_and_exponent(x: NDArray) -> tuple[NDArray, NDArray]:
    """Return f and k with exp(x) = f·2^k and f between 0.7 and 1.42."""
    k = np.rint(x * x.dtype.type(LOG2_E))
    return np.exp(x - k * x.dtype.type(LN_2)), k.astype(np.int32)


def _write(memory: Memory, m: float, s: float) -> None:
    for part in memory.parts():
        memory.store(part, np.exp(memory.load(part) - m) * memory.x.dtype.type(1 / s))


FORMS: dict[str, Callable[[Memory], None]] = {
    "three-pass": three_pass,
    "three-pass, stored": three_pass_stored,
    "two-pass": two_pass,
    "online": online,
}


def work(form: Callable[[Memory], None], x: NDArray, out: NDArray, block: int) -> Callable:
    """Return a function without arguments that computes one softmax."""
    return lambda: form(Memory(x, out, block))
