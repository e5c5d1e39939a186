"""Products with the Jacobians of softmax and log_softmax, from the probabilities.

All act along the last axis, in O(n) time and memory.
The largest probability of a row can be so near 1 that 1 − p has no digit left in it.
So nothing here subtracts a probability from 1: the sum of the others takes its place.
"""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace


def at_largest(p: Any) -> tuple[Any, Any]:
    """Index of each row's largest entry, with the axis kept, and a mask that is true there."""
    xp = array_namespace(p)
    index = xp.argmax(p, axis=-1, keepdims=True)
    return index, xp.arange(p.shape[-1], device=p.device) == index


def complement(p: Any) -> Any:
    """1 − p for the probabilities of a row, the largest one's from the sum of the others."""
    if p.shape[-1] == 0:
        return p
    xp = array_namespace(p)
    _, largest = at_largest(p)
    others = xp.sum(xp.where(largest, 0, p), axis=-1, keepdims=True)
    return xp.where(largest, others, 1 - p)


def softmax_product(p: Any, v: Any) -> Any:
    """(diag(p) − ppᵀ)v, for JVP and VJP alike, as the matrix is symmetric.

    Adding a constant to v changes nothing, so v is first shifted to be 0 at the largest
    probability; the large term p·v·(1 − p), which would cancel, is then not there.
    """
    xp = array_namespace(p)
    index, _ = at_largest(p)
    v = v - xp.take_along_axis(v, index, axis=-1)
    return p * (v - xp.sum(p * v, axis=-1, keepdims=True))


def log_softmax_jvp(p: Any, v: Any) -> Any:
    """(I − 1pᵀ)v, with v shifted as in :func:`softmax_product`."""
    xp = array_namespace(p)
    index, _ = at_largest(p)
    v = v - xp.take_along_axis(v, index, axis=-1)
    return v - xp.sum(p * v, axis=-1, keepdims=True)


def log_softmax_vjp(p: Any, g: Any) -> Any:
    """(I − p1ᵀ)g; the entry at the largest probability is the negative sum of the others."""
    xp = array_namespace(p)
    _, largest = at_largest(p)
    h = g - p * xp.sum(g, axis=-1, keepdims=True)
    return balance(h, largest)


def balance(h: Any, at: Any) -> Any:
    """`h` with the entry where `at` is true replaced by the negative sum of the others."""
    xp = array_namespace(h)
    others = xp.sum(xp.where(at, 0, h), axis=-1, keepdims=True)
    return xp.where(at, -others, h)
