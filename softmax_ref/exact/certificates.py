"""Certificates: which stage decided an entry, and an enclosure of its true value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errorfree import Array
from .rows import STAGES


@dataclass(frozen=True)
class Certificate:
    """Why each returned entry is the correctly rounded one.

    The true value lies between anchor + low and anchor + high, and where none of the format's
    rounding boundaries lies between these two, that alone shows the entry correctly rounded.
    (The ends are rounded outwards. A true value closer than 2^−100, relatively, to a boundary may
    therefore have an enclosure that reaches over it, though the test itself was sharper; so may
    one below 2^−1000, since these ends are multiples of 2^−1074, and boundaries lie between them.)
    Where the result is nan or infinite by the rules for the edges the three are nan.

    Attributes
    ----------
    stage : array of uint8
        Index into :data:`softmax_ref.exact.STAGES`.
    anchor, low, high : array of float64
        The enclosure: sums of two float64, because one is not fine enough.

    Examples
    --------
    >>> import numpy as np
    >>> from softmax_ref import exact
    >>> p, certificate = exact.softmax(np.array([1.0, 2.0, 3.0]), certificate=True)
    >>> certificate.stages()
    ['working precision', 'working precision', 'working precision']
    >>> lower, upper = certificate.enclosure(2)
    >>> float(lower) == float(upper) == float(p[2])
    True
    """

    stage: NDArray[np.uint8]
    anchor: Array
    low: Array
    high: Array

    def stages(self) -> Any:
        """Names of the stages, as a nested list in the shape of the result (a name in 0-d)."""
        return np.array(STAGES)[self.stage].tolist()

    def counts(self) -> dict[str, int]:
        """How many entries each stage decided."""
        numbers = np.bincount(np.ravel(self.stage), minlength=len(STAGES))
        return dict(zip(STAGES, numbers.tolist(), strict=True))

    def enclosure(self, index: Any) -> tuple[Fraction | float, Fraction | float]:
        """Exact lower and upper end for one entry; infinite beyond twice the largest float64."""
        return self._end(self.low, index), self._end(self.high, index)

    def _end(self, offset: Array, index: Any) -> Fraction | float:
        anchor, end = float(self.anchor[index]), float(offset[index])
        return Fraction(anchor) + Fraction(end) if math.isfinite(end) else anchor + end


@dataclass
class Recorder:
    """Collects a certificate, or nothing at all."""

    size: int
    wanted: bool
    stage: NDArray[np.uint8] = field(init=False)
    anchor: Array = field(init=False)
    low: Array = field(init=False)
    high: Array = field(init=False)

    def __post_init__(self) -> None:
        size = self.size if self.wanted else 0
        self.stage = np.zeros(size, np.uint8)
        self.anchor, self.low, self.high = np.full((3, size), np.nan)

    def write(self, index: Any, stage: int, anchor: Any, low: Any, high: Any) -> None:
        """Record an enclosure; the ends are widened by what their last operation may have lost."""
        if self.wanted:
            self.stage[index] = stage
            self.anchor[index] = anchor
            self.low[index] = np.nextafter(low, -np.inf)
            self.high[index] = np.nextafter(high, np.inf)

    def certificate(self, restore: Callable[[Any], Any]) -> Certificate:
        """What was recorded; `restore` gives an array the shape of the result."""
        return Certificate(*map(restore, (self.stage, self.anchor, self.low, self.high)))
