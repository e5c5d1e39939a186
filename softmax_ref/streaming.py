"""Log-sum-exp over chunks, and softmax and cross-entropy of logits that are never all in memory.

The usual running pair (max, Σ exp(x − max)) rounds anew whenever the maximum moves, so its last
digits depend on how the logits were cut into chunks. Here they do not:

- exp(x) = f · 2^k with k = round(x / ln 2) and f = exp(x − k ln 2) between 0.7 and 1.42. Both
  depend on the logit alone, not on its neighbours (Dukhan and Ablavatski).
- The sum is kept as (hi + lo) · 2^K with K the largest k so far. Changing K is exact, as it
  multiplies by a power of two.
- The terms are cut into high parts, which add exactly in any order, and a rest.

Everything is held in float64, whatever format the logits have. PyTorch tensors stay on their
device; autograd does not follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ._arrays import as_array, is_integer, rows_of

#: Logits above it are refused, those below its negative count as −inf.
LARGEST = 2.0**20

# ln 2 in two parts. The first has 32 bits, so that k times it is exact for |k| < 2^21.
_LN2_HIGH = 0.693147180369123816490
_LN2_LOW = 1.90821492927058770002e-10
_ZERO = np.float64(0.0)
_NO_TERM = np.float64(-(2.0**21))  # the exponent K of an empty sum, below that of any logit


@dataclass(frozen=True)
class RunningLogSumExp:
    """The log-sum-exp of what has been seen so far, for one row or an array of rows.

    Objects are immutable. ``RunningLogSumExp()`` is the empty sum, the identity of
    :meth:`merge`, which is associative and commutative.

    Attributes
    ----------
    exponent, high, low : arrays of shape (...), float64
        The sum of the exponentials is (high + low) · 2^exponent.

    Notes
    -----
    Error: at most ulp + 2**-51 in every format; of :meth:`value`, in float64.

    References
    ----------
    M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018,
    arXiv:1805.02867. M. Dukhan and A. Ablavatski, "Two-pass softmax algorithm", 2020,
    arXiv:2001.04438, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(-5.0, 5.0, 1001)
    >>> whole = RunningLogSumExp().update(x)
    >>> cut = RunningLogSumExp()
    >>> for chunk in np.split(x, [3, 500, 501]):
    ...     cut = cut.update(chunk)
    >>> bool(whole.value() == cut.value())
    True
    """

    exponent: Any = _NO_TERM
    high: Any = _ZERO
    low: Any = _ZERO

    def update(self, chunk: Any) -> RunningLogSumExp:
        """The sum with the logits of `chunk` added.

        Parameters
        ----------
        chunk : array of shape (..., m)
            More logits of each row, along the last axis.

        Raises
        ------
        ValueError
            "logits must not exceed 2**20; got 3e+38."
        """
        return self.merge(_sum_of(chunk))

    def merge(self, other: RunningLogSumExp) -> RunningLogSumExp:
        """The sum of both: what one would have got by updating one with the other's chunks."""
        model = self.high if is_torch_array(self.high) else other.high
        xp = array_namespace(model)
        (k1, high1, low1), (k2, high2, low2) = (
            [xp.asarray(a, device=model.device) for a in (s.exponent, s.high, s.low)]
            for s in (self, other)
        )
        k = xp.maximum(k1, k2)
        scale1, scale2 = _power(k1 - k), _power(k2 - k)
        high, rest = _two_sum(high1 * scale1, high2 * scale2)
        return RunningLogSumExp(k, *_two_sum(high, rest + (low1 * scale1 + low2 * scale2)))

    def value(self) -> Any:
        """log of the sum, float64: −inf for an empty one, nan if a logit was nan."""
        xp = array_namespace(self.high)
        with np.errstate(all="ignore"):
            # Bring the sum to between 0.7 and 1.42, where the logarithm is small and log1p exact.
            shift = xp.round(xp.log2(xp.where(self.high > 0, self.high, 1.0)))
            k = self.exponent + shift
            high, low = self.high * _power(-shift), self.low * _power(-shift)
            y = k * _LN2_HIGH + (xp.log1p((high - 1) + low) + k * _LN2_LOW)
            return xp.where(self.high == 0, -xp.inf, y)[()]

    def softmax(self, chunk: Any) -> Any:
        """Probabilities of the logits of `chunk`, in its format, once every chunk has been seen.

        Parameters
        ----------
        chunk : array of shape (..., m)
            Logits of each row, along the last axis.
        """
        rows = rows_of(chunk, -1, "chunk")
        with np.errstate(all="ignore"):
            f, k = _fraction_and_exponent(chunk)
            k = k - self.exponent[..., None]
            half = array_namespace(k).floor(k / 2)  # 2^k itself may be below the normal numbers
            p = f / self.high[..., None] * _power(half) * _power(k - half)
        return rows.full(p)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and the rounding error, exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _power(k: Any) -> Any:
    """2^k for integers k ≤ 1023, from the bits of the exponent; 0 below the normal numbers."""
    xp = array_namespace(k)
    bits = xp.astype(xp.clip(k, -1023, 1023) + 1023, xp.int64) << 52
    return bits.view(xp.float64)


def _fraction_and_exponent(chunk: Any) -> tuple[Any, Any]:
    """exp(x) = f · 2^k for each logit; f is 0 for −inf and for what counts as −inf."""
    x = as_array(chunk, "chunk")
    xp = array_namespace(x)
    x = xp.astype(x, xp.float64)
    if xp.any(x > LARGEST):
        raise ValueError(f"logits must not exceed 2**20; got {float(xp.max(x)):g}.")
    gone = x < -LARGEST
    x = xp.where(gone, 0.0, x)
    k = xp.round(xp.where(xp.isnan(x), 0.0, x) / (_LN2_HIGH + _LN2_LOW))
    f = xp.exp((x - k * _LN2_HIGH) - k * _LN2_LOW)
    return xp.where(gone, 0.0, f), xp.where(gone, _NO_TERM, k)


def _sum_of(chunk: Any) -> RunningLogSumExp:
    """The sum of one chunk's exponentials, independent of their order."""
    f, k = _fraction_and_exponent(chunk)
    xp = array_namespace(f)
    if f.shape[-1] == 0:
        zero = xp.sum(f, axis=-1)
        return RunningLogSumExp(zero + _NO_TERM, zero, zero)
    exponent = xp.max(k, axis=-1)
    rest = f * _power(k - exponent[..., None])
    high = low = xp.zeros_like(exponent)
    # Adding and subtracting 1.5 · 2^28 leaves multiples of 2^-24 of the terms, at most 2: up to
    # 2^28 of them add without rounding. Then the same for the rest, at most 2^-25.
    for splitter in (1.5 * 2.0**28, 1.5 * 2.0**3):
        part = (rest + splitter) - splitter
        rest = rest - part
        high, error = _two_sum(high, xp.sum(part, axis=-1))
        low = low + error
    return RunningLogSumExp(exponent, *_two_sum(high, low + xp.sum(rest, axis=-1)))


def softmax_in_chunks(chunks: Callable[[], Iterable[Any]] | Iterable[Any]) -> Iterator[Any]:
    """Softmax of logits that come in chunks, chunk by chunk; they are gone through twice.

    Parameters
    ----------
    chunks : sequence of arrays of shape (..., m), or a function without arguments that returns
        an iterator over them
        Logits, cut along the last axis. A function makes it possible to read or compute each chunk
        again, so that only one is ever held.

    Yields
    ------
    array of the shape and format of the chunk
        Independent of how the logits are cut, to 2 ulp.

    Raises
    ------
    TypeError
        If `chunks` is an iterator, which can be gone through only once.

    Notes
    -----
    Error: at most 4 ulp in float64, 0.51 ulp in float32 and float16 and bfloat16.

    Examples
    --------
    >>> import numpy as np
    >>> for p in softmax_in_chunks([np.array([2.0, 1.0]), np.array([0.1])]):
    ...     print(p.round(6))
    [0.659001 0.242433]
    [0.098566]
    """
    if isinstance(chunks, Iterator):
        raise TypeError(
            "chunks must be a sequence, or a function that returns an iterator, as the logits are "
            "gone through twice; got an iterator."
        )
    again = chunks if callable(chunks) else lambda: chunks
    total = RunningLogSumExp()
    for chunk in again():
        total = total.update(chunk)
    for chunk in again():
        yield total.softmax(chunk)


def cross_entropy_in_chunks(chunks: Iterable[Any], target: Any) -> Any:
    """Cross-entropy of class indices, each row's, with logits that come in chunks of classes.

    Parameters
    ----------
    chunks : iterable of arrays of shape (..., m)
        Logits, cut along the last axis, gone through once.
    target : array of integers of shape (...)
        Index of the right class, counted over all chunks.

    Returns
    -------
    array of shape (...), float64
        Independent of how the logits are cut, to 2 ulp or 2^-100. Small losses keep their digits.

    Raises
    ------
    IndexError
        If a target is negative or no chunk has it: "target must be between 0 and 2; got 3."
    TypeError
        If `target` does not hold integers.

    Notes
    -----
    Error: at most 4·ulp + 2**-98 in every format; in float64, which holds the result.

    Examples
    --------
    >>> import numpy as np
    >>> chunks = (np.array([[x, x + 1.0]]) for x in (0.0, 2.0, 40.0))
    >>> float(cross_entropy_in_chunks(chunks, [4])[0].round(6))
    1.313262
    """
    given = target if is_torch_array(target) else np.asarray(target)
    if not is_integer(given):
        raise TypeError(f"target must hold class indices, integers; got {given.dtype}.")
    total, of_target, n = RunningLogSumExp(), RunningLogSumExp(), 0
    for chunk in chunks:
        xp = array_namespace(as_array(chunk, "chunk"))
        total = total.update(chunk)
        m = chunk.shape[-1]
        classes = xp.arange(n, n + m, device=chunk.device)
        of_target = of_target.update(xp.where(classes == given[..., None], chunk, -xp.inf))
        n += m
    if (given < 0).any() or (given >= n).any():
        bad = given[(given < 0) | (given >= n)]
        raise IndexError(f"target must be between 0 and {n - 1}; got {int(bad.reshape(-1)[0])}.")
    return _log_quotient(total, of_target)


def _log_quotient(total: RunningLogSumExp, part: RunningLogSumExp) -> Any:
    """log(total / part), by log1p of the rest where the part is more than half."""
    xp = array_namespace(total.high)
    with np.errstate(all="ignore"):
        scale = _power(part.exponent - total.exponent)
        t = part.high * scale
        rest = (total.high - t) + total.low
        # A difference of logarithms would lose what large logits have in common.
        quotient = RunningLogSumExp(
            total.exponent - part.exponent, total.high / part.high, total.low / part.high
        )
        log = xp.where(part.high == 0, total.value() - part.value(), quotient.value())
        return xp.where(rest < t, xp.log1p(rest / t), log)[()]
