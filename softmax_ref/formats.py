"""Floating-point formats: limits, neighbours, spacing, one direct rounding, thresholds of exp.

Each format is described by four integers and two facts; everything else follows from them.
Values of any of these formats are exact in float64, so that is what goes in and, apart from
:meth:`Format.round`, comes out.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes
    ----------
    name : str
        As NumPy and ml_dtypes name it.
    dtype : numpy.dtype
    precision : int
        Bits of the significand, the hidden one included.
    max_exponent, min_exponent : int
        Largest and smallest e of a normal number ±1.f · 2^e.
    max : float
        Largest finite number.
    has_infinity : bool
        float8_e4m3fn has none: what is too large becomes nan.
    """

    name: str
    dtype: np.dtype[Any]
    precision: int
    max_exponent: int
    min_exponent: int
    max: float
    has_infinity: bool = True

    @property
    def smallest_normal(self) -> float:
        """2^min_exponent."""
        return math.ldexp(1.0, self.min_exponent)

    @property
    def smallest_subnormal(self) -> float:
        """Distance between neighbours below the smallest normal number."""
        return math.ldexp(1.0, self.min_exponent - self.precision + 1)

    @property
    def unit_roundoff(self) -> float:
        """u = 2^−precision: the largest relative error of rounding a number in normal range."""
        return math.ldexp(1.0, -self.precision)

    def _round(self, value: Any) -> NDArray[np.float64]:
        """The value, as float64, rounded to the format, as float64."""
        x: NDArray[np.float64] = np.asarray(value, dtype=np.float64)
        if self.precision == 53:
            return x
        _, e = np.frexp(x)  # |x| = f · 2^e, f in [1/2, 1)
        unit = np.maximum(e - 1, self.min_exponent) - (self.precision - 1)
        # Both scalings are by powers of two and exact: rint is the only rounding, to even on ties.
        with np.errstate(over="ignore"):  # beyond float64 is too large for any narrower format
            y = np.ldexp(np.rint(np.ldexp(x, -unit)), unit)
        too_large = np.copysign(np.inf if self.has_infinity else np.nan, x)
        result: NDArray[np.float64] = np.where(np.abs(y) > self.max, too_large, y)
        return result

    def round(self, x: Any) -> Any:
        """Round float64 to this format: once, to nearest, ties to even.

        A cast may not do that: PyTorch and ml_dtypes go through float32 on the way to the small
        formats, and a first rounding to the middle between two numbers spoils the second.

        Parameters
        ----------
        x : float or array of float64
            Converted to float64 first.

        Returns
        -------
        scalar or array of the format's dtype
            ±inf for what rounds beyond the largest number, or nan in a format without infinity;
            nan for nan. The sign of zero is kept.

        Examples
        --------
        >>> import numpy as np
        >>> x = 1 + 2.0**-8 + 2.0**-40  # just above the middle of two bfloat16 numbers
        >>> float(FORMATS["bfloat16"].round(x))
        1.0078125
        >>> float(np.float64(x).astype("bfloat16"))  # by float32, which is the middle: to even
        1.0
        """
        y = self._round(x).astype(self.dtype)
        return y[()] if y.ndim == 0 else y

    def ulp(self, x: Any) -> Any:
        """Distance from ``abs(x)`` to the next larger number of the format.

        Parameters
        ----------
        x : float or array of float64
            Need not hold numbers of the format: the spacing at their size counts.

        Returns
        -------
        float or array of float64
            nan for infinities and nan; the spacing of the largest numbers for anything beyond them.

        Examples
        --------
        >>> FORMATS["float16"].ulp([1.0, 3.0, 0.0]) == [2.0**-10, 2.0**-9, 2.0**-24]
        array([ True,  True,  True])
        """
        size = np.abs(np.asarray(x, dtype=np.float64))
        _, e = np.frexp(np.minimum(size, self.max))  # size = f · 2^e, f in [1/2, 1)
        exponent = np.maximum(np.where(size == 0, self.min_exponent, e - 1), self.min_exponent)
        spacing = np.ldexp(np.where(np.isfinite(size), 1.0, np.nan), exponent - self.precision + 1)
        return spacing if spacing.ndim else float(spacing)

    def next_up(self, x: float) -> float:
        """Smallest number of the format that is larger than `x`.

        Parameters
        ----------
        x : float
            Need not be a number of the format.

        Returns
        -------
        float
            inf above the largest number (in a format without infinity, too: there is no number).
            inf for inf, nan for nan.

        Examples
        --------
        >>> FORMATS["float8_e4m3fn"].next_up(1.0)
        1.125
        >>> FORMATS["float16"].next_up(0.0) == 2.0**-24
        True
        """
        if math.isnan(x) or x == math.inf:
            return x
        if x < -self.max:
            return -self.max
        y = float(self._round(x))
        if not math.isfinite(y):
            return math.inf
        if y > x:
            return y
        # Just below a power of two the spacing halves on the side of zero.
        step = self.ulp(y)
        if y < 0 and self.ulp(y + step / 2) < step:
            step /= 2
        return y + step if y + step <= self.max else math.inf

    def next_down(self, x: float) -> float:
        """Largest number of the format that is smaller than `x`; as :meth:`next_up`.

        Examples
        --------
        >>> FORMATS["float16"].next_down(1.0) == 1 - 2.0**-11
        True
        """
        return -self.next_up(-x)

    def exp_overflow(self) -> tuple[float, float]:
        """The neighbours between which exp starts to overflow.

        Returns
        -------
        tuple of float
            The largest x of the format whose exp rounds to a finite number, and the next x.
            The first beyond it whose exp rounds to inf (nan in a format without infinity).

        Examples
        --------
        >>> FORMATS["float16"].exp_overflow()
        (11.0859375, 11.09375)
        """
        # exp(x) overflows from the middle between max and the number that would come after it.
        middle = Decimal(self.max) + Decimal(self.ulp(self.max)) / 2
        return self._around_log(middle)

    def exp_underflow(self) -> tuple[float, float]:
        """The neighbours between which exp stops to underflow.

        Returns
        -------
        tuple of float
            The largest x of the format whose exp rounds to 0, and the next x, whose exp does not.

        Examples
        --------
        >>> FORMATS["float16"].exp_underflow()
        (-17.34375, -17.328125)
        """
        return self._around_log(Decimal(self.smallest_subnormal) / 2)

    def _around_log(self, y: Decimal) -> tuple[float, float]:
        """The neighbours around log(y), which is irrational: no number of the format equals it."""
        with localcontext() as context:
            context.prec = 60
            log = y.ln()
            x = float(self._round(float(log)))  # one of the two neighbours
            if Decimal(x) > log:
                x = self.next_down(x)
        return x, self.next_up(x)


def _ieee(dtype: Any) -> Format:
    info = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return Format(
        name=info.dtype.name,
        dtype=np.dtype(dtype),
        precision=info.nmant + 1,
        max_exponent=math.frexp(float(info.max))[1] - 1,
        min_exponent=int(info.minexp),
        max=float(info.max),
        has_infinity=dtype is not ml_dtypes.float8_e4m3fn,
    )


#: The formats by name.
FORMATS: dict[str, Format] = {
    f.name: f
    for f in map(
        _ieee,
        (
            np.float64,
            np.float32,
            np.float16,
            ml_dtypes.bfloat16,
            ml_dtypes.float8_e4m3fn,
            ml_dtypes.float8_e5m2,
        ),
    )
}


def get_format(name_or_dtype: Any) -> Format:
    """The format of a name, a NumPy dtype or scalar type, or a PyTorch dtype.

    Raises
    ------
    ValueError
        If there is no such format: "unknown format 'float61'; valid are float64, …; nearest is
        'float64'."

    Examples
    --------
    >>> get_format("bfloat16").unit_roundoff == 2.0**-8
    True
    >>> get_format(np.float32).name
    'float32'
    """
    if isinstance(name_or_dtype, Format):
        return name_or_dtype
    name = str(name_or_dtype).removeprefix("torch.")
    if isinstance(name_or_dtype, (np.dtype, type)):
        name = np.dtype(name_or_dtype).name
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0)[0]
    raise ValueError(
        f"unknown format {name!r}; valid are {', '.join(FORMATS)}; nearest is {near!r}."
    )
