"""Mistakes of the person at the keyboard, told in one sentence."""

import difflib
import reprlib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend; its text is one sentence, shown without a traceback."""


def unknown(kind: str, given: str, choices: Iterable[str]) -> UserError:
    """Say that a name does not exist, which names do, and which of them is nearest.

    Examples
    --------
    >>> print(unknown("experiment", "overfow", ["overflow", "underflow"]))
    Unknown experiment 'overfow': choose overflow or underflow (did you mean overflow?).
    """
    choices = list(choices)
    return UserError(
        f"Unknown {kind} {reprlib.repr(given)}: choose {either(choices)}"
        f"{did_you_mean(given, choices)}."
    )


def unsuitable(name: str, given: object, expected: str, choices: Iterable[str] = ()) -> UserError:
    """Say that a parameter's value does not fit, and what would.

    Examples
    --------
    >>> print(unsuitable("n", "eight", "an integer from 2 to 100000"))
    Parameter n cannot be 'eight': give an integer from 2 to 100000.
    """
    hint = did_you_mean(given, choices) if isinstance(given, str) else ""
    return UserError(f"Parameter {name} cannot be {reprlib.repr(given)}: give {expected}{hint}.")


def either(choices: Iterable[str]) -> str:
    """Join names as an English list.

    Examples
    --------
    >>> either(["float16", "bfloat16", "float32"])
    'float16, bfloat16 or float32'
    """
    *most, last = list(choices) or ["nothing, for there is none"]
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(given: str, choices: Iterable[str]) -> str:
    """Return the nearest choice in brackets, or nothing if none is near.

    Examples
    --------
    >>> did_you_mean("stauts", ["list", "status"])
    ' (did you mean status?)'
    """
    nearest = difflib.get_close_matches(given.lower(), list(choices), n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""
