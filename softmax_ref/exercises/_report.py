"""The text of a result: plain, rounded, the same on every machine."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

INDENT = 12
WIDTH = 72


def report(name: str, inputs: dict[str, Any], outcome: Any, hint: str) -> str:
    """What is printed for a function that failed."""
    lines = [f"{name}: not yet."]
    for parameter, value in inputs.items():
        lines.append(_line("input" if len(lines) == 1 else "", _assignment(parameter, value)))
    returned, expected = _both(outcome)
    lines += [_line("returned", returned), _line("expected", expected)]
    lines.append(_line("hint", "\n".join(textwrap.wrap(hint, WIDTH - INDENT))))
    return "\n".join(lines)


def _line(label: str, text: str) -> str:
    return f"  {label:{INDENT - 2}}" + text.replace("\n", "\n" + " " * INDENT)


def _assignment(parameter: str, value: Any) -> str:
    """Python that makes the input, to be pasted into a cell."""
    if not isinstance(value, np.ndarray):
        text = f"{parameter} = {value!r}".replace("inf", "np.inf")
        return "\n".join(textwrap.wrap(text, WIDTH - INDENT, subsequent_indent="    "))
    start = f"{parameter} = np.array("
    entries = _array(value, lambda v: repr(v.item()).replace("inf", "np.inf"), len(start))
    dtype = "" if value.dtype in (np.float64, np.int64) else f", dtype=np.{value.dtype.name}"
    return f"{start}{entries}{dtype})"


def _array(value: np.ndarray, entry: Any, indent: int = 0) -> str:
    return np.array2string(
        value,
        separator=", ",
        formatter={"all": entry},
        prefix=" " * indent,
        threshold=10_000,
        max_line_width=WIDTH,
    )


def _both(outcome: Any) -> tuple[str, str]:
    """What was returned and what was expected, with as many digits as tell them apart."""
    returned, expected = outcome.returned, outcome.expected
    if outcome.kind == "raised":
        text = f"nothing; it raised {type(returned).__name__}: {returned}".rstrip(": ")
        return "\n".join(textwrap.wrap(text, WIDTH - INDENT)), _value(expected, 6)
    if outcome.kind == "type":
        dtype = getattr(returned, "dtype", None)
        kind = f"an object of type {type(returned).__name__}" if dtype is None else f"dtype {dtype}"
        kind = "None" if returned is None else kind
        return kind, _value(expected, 6)
    if outcome.kind == "modified":
        return f"the right result, but {outcome.modified} was changed", _value(expected, 6)
    if outcome.kind in ("shape", "dtype"):
        what = "shape" if outcome.kind == "shape" else "dtype"
        a, b = (f"{what} {getattr(v, what)}: {_value(v, 6)}" for v in (returned, expected))
        return a, b
    for digits in range(6, 18):
        texts = _value(returned, digits), _value(expected, digits)
        if texts[0] != texts[1]:
            break
    return texts


def _value(value: np.ndarray, digits: int) -> str:
    if value.dtype.kind == "U":
        return repr(value.tolist())
    return _array(value, lambda v: f"{float(v) + 0.0:.{digits}g}")  # + 0.0: no sign for a zero
