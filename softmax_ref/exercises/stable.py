"""The code exercise of the chapter on the stable softmax."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from ._checker import Exercise, Wrong, register


def masked_softmax(x: Any, allowed: Any, T: float) -> Any:
    """Return softmax of x/T along the last axis over the allowed classes, 0 elsewhere."""
    some = allowed.any(axis=-1, keepdims=True)
    x = np.where(allowed, x, -np.inf)
    m = np.where(some, x.max(axis=-1, keepdims=True), 0)
    with np.errstate(over="ignore"):  # a difference may overflow to -inf: its exponential is 0
        e = np.exp((x - m) / x.dtype.type(T))
    return e / np.where(some, e.sum(axis=-1, keepdims=True), 1)


def _quotient(z: Any, axis: int | None = -1) -> Any:
    e = np.exp(z)
    return e / e.sum(axis=axis, keepdims=True)


def _forbid(x: Any, allowed: Any) -> Any:
    return np.where(allowed, x, x.dtype.type(-np.inf))


def _shifted(x: Any, axis: int | None = -1) -> Any:
    return x - x.max(axis=axis, keepdims=True)


def _scaled_first(x: Any, allowed: Any, T: float) -> Any:
    return np.where(
        allowed.any(axis=-1, keepdims=True),
        _quotient(_shifted(_forbid(x, allowed) / x.dtype.type(T))),
        x.dtype.type(0),
    )


def _zeroed_logits(x: Any, allowed: Any, T: float) -> Any:
    return masked_softmax(np.where(allowed, x, 0).astype(x.dtype), allowed | True, T)


def _masked_afterwards(x: Any, allowed: Any, T: float) -> Any:
    return np.where(allowed, _quotient(_shifted(x) / x.dtype.type(T)), x.dtype.type(0))


def _no_keepdims(x: Any, allowed: Any, T: float) -> Any:
    z = _shifted(_forbid(x, allowed)) / x.dtype.type(T)
    return np.nan_to_num(np.exp(z) / np.exp(z).sum(axis=-1))


def _constant(x: Any, allowed: Any, T: float) -> Any:
    return _quotient(_shifted(np.where(allowed, x, x.dtype.type(-1e9))) / x.dtype.type(T))


def _unshifted(x: Any, allowed: Any, T: float) -> Any:
    return np.nan_to_num(_quotient(_forbid(x, allowed) / x.dtype.type(T)))


def _maximum_of_all_rows(x: Any, allowed: Any, T: float) -> Any:
    z = _shifted(_forbid(x, allowed), axis=None) / x.dtype.type(T)
    return np.where(allowed.any(axis=-1, keepdims=True), _quotient(z), x.dtype.type(0))


def _masked_softmax_truth(x: Any, allowed: Any, T: float) -> Any:
    if x.ndim > 1:
        return [_masked_softmax_truth(*row, T) for row in zip(x, allowed, strict=True)]
    logits = [Decimal(float(v)) for v, a in zip(x, allowed, strict=True) if a]
    # The exponent's range is bounded in decimal arithmetic too, and the largest logit is 3e38.
    terms = [((v - max(logits)) / Decimal(T)).exp() for v in logits]
    entries = iter(terms)
    return [next(entries) / sum(terms) if a else Decimal(0) for a in allowed]


YES, NO = True, False
HUGE = np.array([3e38, 2.9e38, -3e38], dtype=np.float32)

register(
    Exercise(
        name="stable-code",
        task="Return softmax of x/T over the allowed classes, for rows of any kind.",
        solution=masked_softmax,
        inputs=[
            (np.array([5.0]), np.array([YES]), 1.0),
            (np.array([5.0]), np.array([NO]), 1.0),
            (np.array([0.0, 0.0]), np.array([YES, YES]), 1.0),
            (np.array([1.0, 0.0]), np.array([YES, YES]), 2.0),
            (np.array([0.0, 0.0]), np.array([YES, NO]), 1.0),
            (np.array([1000.0, 999.0]), np.array([YES, YES]), 1.0),
            (np.array([-1000.0, -1001.0]), np.array([YES, YES]), 1.0),
            (np.array([0.0, 2000.0, 1.0]), np.array([YES, NO, YES]), 1.0),
            (np.array([0.0, np.inf, 1.0]), np.array([YES, NO, YES]), 0.5),
            (HUGE, np.array([YES, YES, YES]), 0.5),
            (
                np.array([[1.0, 2.0], [3.0, 5.0]]),
                np.array([[YES, YES], [YES, YES]]),
                1.0,
            ),
            (
                np.array([[1000.0, 999.0], [0.0, 1.0]]),
                np.array([[YES, YES], [YES, YES]]),
                1.0,
            ),
            (
                np.array([[2.0, 1.0, 0.1], [2.0, 1.0, 0.1], [2.0, 1.0, 0.1]]),
                np.array([[YES, YES, YES], [YES, NO, YES], [NO, NO, NO]]),
                1.0,
            ),
            (
                np.round(30 * np.sin(np.arange(15.0)), 1).reshape(5, 3),
                np.arange(15).reshape(5, 3) % 4 > 0,
                0.5,
            ),
        ],
        truth=_masked_softmax_truth,
        oracle="the definition on the allowed classes, in 60-digit arithmetic",
        relative=4096,
        same_dtype=True,
        because="Rounding (x - max)/T costs its size in units u, twice, here below 240 where the "
        "result is not 0; exp and the sum add a few. Slips cost 1e-6 and more.",
        wrong=[
            Wrong(
                "no shift",
                _unshifted,
                "Without the shift the exponentials overflow or all become 0. Subtract the largest "
                "allowed logit.",
            ),
            Wrong(
                "nan where nothing is allowed",
                lambda x, allowed, T: _quotient(_shifted(_forbid(x, allowed)) / x.dtype.type(T)),
                "-inf - (-inf) is nan. Give a row without any allowed class a harmless maximum, "
                "and divide it by 1.",
            ),
            Wrong(
                "maximum of all rows",
                _maximum_of_all_rows,
                "Shifted by the maximum of another row, a whole row can underflow: 0/0. Take the "
                "maximum along axis=-1.",
            ),
            Wrong(
                "sum over all rows",
                lambda x, allowed, T: np.nan_to_num(
                    _quotient(_shifted(_forbid(x, allowed)) / x.dtype.type(T), axis=None)
                ),
                "The sum runs over all rows together. Give it axis=-1.",
            ),
            Wrong(
                "no keepdims",
                _no_keepdims,
                "The sum has lost an axis. keepdims=True lets each row meet its own.",
            ),
            Wrong(
                "masked afterwards",
                _masked_afterwards,
                "The forbidden classes took part in the maximum and in the sum. Mask the logits, "
                "not the probabilities.",
            ),
            Wrong(
                "forbidden logits set to 0",
                _zeroed_logits,
                "exp(0) is 1, not 0. A forbidden class needs the logit -inf.",
            ),
            Wrong(
                "forbidden logits set to -1e9",
                _constant,
                "A row of nothing but -1e9 is uniform. Use -inf, and treat such a row apart.",
            ),
            Wrong(
                "scaled, then shifted",
                _scaled_first,
                "x/T overflows where (x - max)/T does not. Subtract first.",
            ),
            Wrong(
                "multiplied by T",
                lambda x, allowed, T: masked_softmax(x, allowed, 1 / T),
                "The logits are divided by the temperature.",
            ),
            Wrong(
                "T ignored",
                lambda x, allowed, T: masked_softmax(x, allowed, 1.0),
                "Your result does not depend on T. Divide the shifted logits by it.",
            ),
        ],
    )
)
