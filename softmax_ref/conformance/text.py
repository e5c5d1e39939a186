"""What was found out, for people and for machines."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..formats import FORMATS, get_format
from .shrink import written

if TYPE_CHECKING:
    from .checker import Counterexample, Report
    from .edges import EdgeResult

#: More entries than this are not all written out.
_MOST = 8
#: Longer arrays are not written out for machines either.
_LONGEST = 1000


def report(found: Report) -> str:
    """A report, as text."""
    lines = [
        f"{found.function} as {found.op} in {found.dtype}, given arrays of {found.array}, "
        f"seed {found.seed}"
    ]
    if found.not_offered:
        return "\n".join([*lines, f"not offered: {found.not_offered}"])
    lines += ["", f"edges: {len(found.edges) - len(found.edges_wrong)} of {len(found.edges)} right"]
    names = ", ".join(edge.name for edge in found.edges if edge.right)
    lines += textwrap.wrap(f"right: {names}", 98, initial_indent="  ", subsequent_indent="    ")
    for edge in found.edges_wrong:
        lines += _edge(edge)
    lines += ["", *_families(found), "", *_thresholds(found)]
    for one in found.counterexamples:
        lines += ["", *counterexample(one)]
    return "\n".join([*lines, "", *_verdict(found)])


def complaint(found: Report) -> str:
    """What an assertion says: the failures and the inputs that show them."""
    lines = [f"{found.function} falls short as {found.op} in {found.dtype}:"]
    lines += [f"  {failure}" for failure in found.failures]
    for edge in found.edges_wrong[:3]:
        lines += _edge(edge)
    for one in found.counterexamples:
        lines += counterexample(one)
    return "\n".join(lines)


def counterexample(one: Counterexample) -> list[str]:
    """A counterexample, as lines."""
    dtype = one.x.dtype.name
    lines = [one.fault, f"  input     {array(one.x, dtype)}"]
    if array(one.x, dtype) != array(one.x, "float64"):  # the decimals are not the numbers
        lines.append(f"  in hex    {_nested(one.x.astype(np.float64), _hex)}")
    if len(one.index):
        lines.append(f"  at        {list(one.index)}")
    if one.got is not None:
        lines.append(f"  got       {_both(one.got, dtype)}")
        lines.append(f"  expected  {_both(one.expected, dtype)}")
    return lines


def ulp(value: float) -> str:
    """An error with as many digits as it is worth.

    Examples
    --------
    >>> ulp(0.5003), ulp(66.32), ulp(16777216.0), ulp(math.inf)
    ('0.501', '66.4', '1.68e+07', 'inf')
    """
    if not math.isfinite(value):
        return str(value)
    if value < 0.0005:
        return "0"
    if value < 10:
        return f"{math.ceil(value * 1000) / 1000:g}"
    return f"{math.ceil(value * 10) / 10:g}" if value < 1000 else f"{value:.3g}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns, the first to the left and the others to the right.

    Examples
    --------
    >>> print("\\n".join(table(["family", "worst"], [["ties", "1"], ["all equal", "0.5"]])))
    family     worst
    ties           1
    all equal    0.5
    """
    every = [list(heads), *map(list, rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in every
    ]


def array(x: NDArray[Any], dtype: str) -> str:
    """An array in short decimals, which round to its numbers in the format.

    Examples
    --------
    >>> array(np.array([0.1, -3.0], np.float16), "float16")
    '[0.1, -3]'
    >>> array(np.zeros(70_000), "float64")
    '70000 entries, all 0'
    """
    if x.size > _MOST and np.unique(x).size == 1:
        return f"{x.size} entries, all {_decimal(float(x.flat[0]), dtype)}"
    return _nested(x.astype(np.float64), lambda value: _decimal(value, dtype))


def _nested(x: NDArray[np.float64], write: Any) -> str:
    if x.ndim == 0:
        return str(write(float(x)))
    shown = [_nested(np.asarray(part), write) for part in x[:_MOST]]
    more = [f"… {len(x)} in all"] if len(x) > _MOST else []
    return f"[{', '.join([*shown, *more])}]"


def _decimal(value: float, dtype: str) -> str:
    fmt = FORMATS.get(dtype, FORMATS["float64"])
    text = written(value, fmt)
    return f"-{text}" if value == 0 and math.copysign(1, value) < 0 and text == "0" else text


def _hex(value: float) -> str:
    """
    Examples
    --------
    >>> _hex(0.5), _hex(0.1)
    ('0x1p-1', '0x1.999999999999ap-4')
    """
    mantissa, p, exponent = value.hex().partition("p")
    return mantissa.rstrip("0").rstrip(".") + p + exponent if p else mantissa


def _both(value: float, dtype: str) -> str:
    return f"{_decimal(value, dtype)} = {_hex(value)}" if math.isfinite(value) else str(value)


def _edge(edge: EdgeResult) -> list[str]:
    dtype = edge.x.dtype.name
    axis = "" if edge.axis == -1 else f", axis {edge.axis}"
    lines = [f"  wrong: {edge.name}: {edge.fault}", f"    input     {array(edge.x, dtype)}{axis}"]
    if edge.got is not None and edge.got.shape == edge.expected.shape:
        lines.append(f"    got       {array(edge.got, dtype)}")
        lines.append(f"    expected  {array(edge.expected, dtype)}")
    return lines


def _families(found: Report) -> list[str]:
    rows = [
        (
            family.name,
            str(family.entries),
            ulp(family.worst),
            ulp(family.median),
            share(family.correctly_rounded),
        )
        for family in found.families
    ]
    entries = str(sum(family.entries for family in found.families))
    rows.append(("all", entries, ulp(found.worst), "", share(found.correctly_rounded)))
    heads = ("family", "results", "worst ulp", "median ulp", "correctly rounded")
    return table(heads, rows)


def share(value: float) -> str:
    """A share in percent; 100 only if nothing is missing.

    Examples
    --------
    >>> share(1.0), share(0.99999), share(0.5)
    ('100%', '99.9%', '50.0%')
    """
    return "100%" if value == 1 else f"{math.floor(value * 1000) / 10:.1f}%"


def _thresholds(found: Report) -> list[str]:
    names = {
        "logit": "largest logit c at [c, c]",
        "negative_logit": "most negative logit c at [c, c]",
        "gap": "largest gap d, second entry of [0, −d]",
        "margin": "largest margin d, first entry of [0, −d]",
        "entries": "most equal entries",
    }
    limits = found.thresholds
    return ["thresholds (the last that works)"] + [
        f"  {meaning}: {threshold(getattr(limits, name), found.dtype)}"
        for name, meaning in names.items()
    ]


def threshold(value: float | None, dtype: str) -> str:
    """A threshold: "no limit found" for None, "none works" for nan."""
    if value is None:
        return "no limit found"
    return "none works" if math.isnan(value) else written(value, get_format(dtype))


def _verdict(found: Report) -> list[str]:
    if found.ok:
        return ["ok"]
    return [f"falls short: {len(found.failures)}", *(f"  {line}" for line in found.failures)]


def as_json(value: Any) -> Any:
    """Plain values for JSON: dataclasses become objects, and what is not finite a string.

    So does an array that is too long to be of use.

    Examples
    --------
    >>> as_json({"worst": math.inf, "x": np.array([1.0, math.nan])})
    {'worst': 'inf', 'x': [1.0, 'nan']}
    """
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        if value.size > _LONGEST:
            return array(value, value.dtype.name)
        wide = value if value.dtype.kind in "iub" else value.astype(np.float64)
        return as_json(wide.tolist())
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
