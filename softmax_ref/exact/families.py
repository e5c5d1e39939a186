"""Inputs on which softmax, log_softmax and log-sum-exp go wrong, by family."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..formats import Format

Array = NDArray[np.float64]
Family = Callable[[np.random.Generator, Format, int], Array]


def _limit(fmt: Format) -> float:
    """Where softmax entries underflow to zero in the format."""
    return -math.log(fmt.smallest_subnormal)


def _spread(scale: float) -> Family:
    return lambda rng, fmt, n: rng.normal(scale=scale, size=n)


def _any_exponent(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    """Every magnitude of the format, subnormal numbers included, equally often."""
    exponent = rng.uniform(math.log2(fmt.smallest_subnormal), math.log2(fmt.max), n)
    x: Array = np.exp2(exponent) * rng.choice([-1, 1], n)
    return x


def _ties(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    return rng.choice(rng.normal(scale=4, size=1 + n // 8), n)


def _dominant(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    x = rng.normal(size=n)
    x[rng.integers(n)] += rng.uniform(0, 1.2) * _limit(fmt)
    return x


def _normalised(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    """Log-probabilities: log-sum-exp is near 0."""
    x = rng.normal(scale=rng.choice([0.01, 1, 5]), size=n)
    x -= x.max()
    return x - math.log(np.exp(x).sum())


def _near_largest(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    sign = rng.choice([-1, 1], n) if rng.random() < 0.5 else rng.choice([-1, 1])
    steps = rng.integers(0, 4, n) * fmt.unit_roundoff
    return sign * fmt.max * (1 - steps)


def _subnormal_results(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    normal = -math.log(fmt.smallest_normal)
    x: Array = -rng.uniform(normal - 2, _limit(fmt) + 2, n)
    x[rng.integers(n)] = 0.0
    x += rng.choice([0, 1, -3.5])
    return x


def _gaps(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    x = rng.normal(scale=3, size=n)
    if fmt.has_infinity:
        x[rng.random(n) < 0.3] = -np.inf
        x[rng.integers(n)] = rng.normal()
    return x


def _equal(rng: np.random.Generator, fmt: Format, n: int) -> Array:
    return np.full(n, rng.normal(scale=10))


FAMILIES: dict[str, Family] = {
    "spread 0.01": _spread(0.01),
    "spread 1": _spread(1.0),
    "spread 10": _spread(10.0),
    "spread 200": _spread(200.0),
    "any exponent": _any_exponent,
    "ties": _ties,
    "dominant entry": _dominant,
    "log-probabilities": _normalised,
    "near ±largest": _near_largest,
    "subnormal results": _subnormal_results,
    "−inf among entries": _gaps,
    "all equal": _equal,
}


def draw(name: str, rng: np.random.Generator, fmt: Format, n: int) -> NDArray[np.generic]:
    """A row of the family `name`, in the format."""
    x = FAMILIES[name](rng, fmt, n)
    finite = np.clip(x, -fmt.max, fmt.max)
    return np.atleast_1d(np.asarray(fmt.round(np.where(np.isfinite(x), finite, x))))
