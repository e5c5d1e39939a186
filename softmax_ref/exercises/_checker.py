"""What runs a reader's function against the truth and says what it found."""

from __future__ import annotations

import copy
import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, localcontext
from functools import cached_property
from typing import Any

import numpy as np

from . import _hints
from ._report import report

#: The arithmetic of the truths: 60 digits, and exponents that neither overflow nor underflow here.
SIXTY_DIGITS = Context(prec=60, Emax=MAX_EMAX, Emin=MIN_EMIN)


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that readers give, with the hint that helps.

    Attributes
    ----------
    name : str
        What is wrong, in a few words.
    function : callable
        The wrong answer itself.
    hint : str
        One or two short sentences, for a function that fails in the same way.
    """

    name: str
    function: Callable[..., Any]
    hint: str


@dataclass(frozen=True)
class Exercise:
    """A code exercise: what is asked, what is right, and what is often wrong.

    Attributes
    ----------
    name : str
        The label of the exercise in the book without its ``ex-``.
    task : str
        One line.
    solution : callable
        The official solution. Its name and parameters are those the reader's function should have.
    inputs : sequence of tuples
        Arguments, from smallest to largest. The first that fails is shown.
    truth : callable
        Takes the same arguments. It is called with 60-digit decimal arithmetic in force and may
        return decimals. Floats are then rounded to the format of the first array of floats among
        the arguments (float64 where there is none).
    oracle : str
        Where the truth comes from.
    relative, absolute : float
        Errors that are accepted, in units u (the unit roundoff of the expected result).
    because : str
        Why this tolerance: below it lies honest rounding, above it the mistakes.
    wrong : sequence of Wrong
    same_dtype : bool
        Whether the result must have exactly the expected format.
    prepare : callable
        Turns the arguments shown into those passed, as a list into a stream.
    """

    name: str
    task: str
    solution: Callable[..., Any]
    inputs: Sequence[tuple[Any, ...]]
    truth: Callable[..., Any]
    oracle: str
    because: str
    wrong: Sequence[Wrong]
    relative: float = 0
    absolute: float = 0
    same_dtype: bool = False
    prepare: Callable[..., tuple[Any, ...]] = lambda *arguments: arguments

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the solution's parameters."""
        return tuple(inspect.signature(self.solution).parameters)

    def expected(self, arguments: tuple[Any, ...]) -> np.ndarray:
        """The truth for `arguments`, as an array (0-d for a number)."""
        with localcontext(SIXTY_DIGITS):
            value = np.asarray(self.truth(*arguments))
            return value if value.dtype.kind in "US" else value.astype(_float_format(arguments))

    @cached_property
    def cases(self) -> list[tuple[tuple[Any, ...], np.ndarray]]:
        """Each input with its truth."""
        return [(arguments, self.expected(arguments)) for arguments in self.inputs]

    def tolerance(self, expected: np.ndarray) -> np.ndarray:
        """The largest error accepted in each entry; below the normal numbers all count as 0."""
        info = np.finfo(expected.dtype)
        size = self.absolute + self.relative * np.abs(expected.astype(np.float64))
        return size * float(info.eps) / 2 + float(info.smallest_normal)


def _float_format(arguments: tuple[Any, ...]) -> np.dtype[Any]:
    formats = [a.dtype for a in arguments if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    return formats[0] if formats else np.dtype(np.float64)


@dataclass(frozen=True)
class Outcome:
    """What a function did with one input.

    Attributes
    ----------
    kind : str
        "right", "raised", "type", "shape", "dtype", "not finite", "value" or "modified".
    arguments : tuple
        The input, unharmed.
    returned : Any
        What came back, as an array where it can be one; the exception for "raised".
    expected : numpy.ndarray
    modified : str
        For "modified": the parameter that was changed.
    """

    kind: str
    arguments: tuple[Any, ...]
    returned: Any
    expected: np.ndarray
    modified: str = ""


@dataclass(frozen=True, repr=False)
class Result:
    """The answer of :func:`check`: true when the function is right; printed, it explains itself.

    Attributes
    ----------
    name : str
        The exercise.
    passed : bool
    count : int
        How many inputs were tried.
    inputs : dict
        The failing input, parameter by parameter; empty when the function is right.
    outcome : Outcome or None
        What happened there.
    hint : str
    text : str
        What is printed.
    """

    name: str
    passed: bool
    count: int
    inputs: dict[str, Any]
    outcome: Outcome | None
    hint: str
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.text


def run(exercise: Exercise, function: Callable[..., Any], position: int) -> Outcome:
    """Call `function` with a copy of the input at `position` and judge what it does."""
    arguments, expected = exercise.cases[position]
    passed = exercise.prepare(*copy.deepcopy(arguments))
    untouched = exercise.prepare(*arguments)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a wrong answer may overflow: the outcome says so
        try:
            returned = function(*passed)
            kind, returned = _judge(exercise, returned, expected)
        except Exception as error:
            return Outcome("raised", arguments, error, expected)
    changed = [
        name
        for name, before, after in zip(exercise.parameters, untouched, passed, strict=True)
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True)
    ]
    if changed and kind == "right":
        return Outcome("modified", arguments, returned, expected, changed[0])
    return Outcome(kind, arguments, returned, expected)


def _judge(exercise: Exercise, returned: Any, expected: np.ndarray) -> tuple[str, Any]:
    """The kind of outcome, and what was returned as an array where it can be one."""
    try:
        value = np.asarray(returned)
    except ValueError:  # rows of unequal length
        return "type", returned
    if expected.dtype.kind == "U":
        if value.dtype.kind != "U":
            return "type", returned
        if value.shape != expected.shape:
            return "shape", value
        return "right" if np.array_equal(value, expected) else "value", value
    if value.dtype.kind not in "fiub":
        return "type", returned
    if value.shape != expected.shape:
        return "shape", value
    if exercise.same_dtype and value.dtype != expected.dtype:
        return "dtype", value
    if np.any(np.isfinite(expected) & ~np.isfinite(value)):
        return "not finite", value
    error = np.abs(value.astype(np.float64) - expected.astype(np.float64))
    right = (value == expected) | (error <= exercise.tolerance(expected))
    if np.all(right):
        return "right", value
    return "value" if value.dtype.kind == "f" else "dtype", value  # rounded to integers


REGISTRY: dict[str, Exercise] = {}


def register(exercise: Exercise) -> None:
    """Make `exercise` known to :func:`check`.

    Raises
    ------
    ValueError
        If the name is taken: "exercise 'overflow-sigmoid' is registered already."
    """
    if exercise.name in REGISTRY:
        raise ValueError(f"exercise {exercise.name!r} is registered already.")
    REGISTRY[exercise.name] = exercise


def get(name: str) -> Exercise:
    """The exercise called `name`, with its task, solution, inputs, truth and wrong answers.

    Raises
    ------
    ValueError
        If there is none: "unknown exercise 'lse-steam'; there are …; nearest is 'lse-stream'."

    Examples
    --------
    >>> get("lse-stream").parameters
    ('stream',)
    """
    if name in REGISTRY:
        return REGISTRY[name]
    near = difflib.get_close_matches(str(name), REGISTRY, n=1, cutoff=0)[0]
    raise ValueError(
        f"unknown exercise {name!r}; there are {', '.join(REGISTRY)}; nearest is {near!r}."
    )


def check(name: str, function: Callable[..., Any]) -> Result:
    """Run your answer to a code exercise against the truth.

    The inputs are tried from the smallest to the largest. The first on which the function fails is
    shown, with what it returned, what was expected, and a hint.

    Parameters
    ----------
    name : str
        The exercise, one of :func:`names`.
    function : callable
        Your answer. It gets copies of the inputs, so it cannot harm anything.

    Returns
    -------
    Result
        True when the function is right. Printed, or as the last line of a cell, it says what was
        found; a copy of what it says is in ``text``.

    Raises
    ------
    TypeError
        If `function` cannot be called: "function must be callable; got an array of shape (3,).",
        as it happens where the result of a function is passed instead of the function.
    ValueError
        If there is no such exercise, with all names and the nearest.

    Examples
    --------
    >>> import numpy as np
    >>> check("overflow-softmax", lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True))
    overflow-softmax: not yet.
      input     x = np.array([1000.0])
      returned  [nan]
      expected  [1]
      hint      The exponentials overflow. Subtract the largest logit of
                each row first.
    >>> from softmax_ref.exercises.overflow import softmax
    >>> check("overflow-softmax", softmax)
    overflow-softmax: right on all 19 inputs. Well done.
    """
    exercise = get(name)
    if not callable(function):
        shape = getattr(function, "shape", None)
        what = repr(function) if shape is None else f"an array of shape {tuple(shape)}"
        raise TypeError(f"function must be callable; got {what}.")
    count = len(exercise.inputs)
    for position in range(count):
        outcome = run(exercise, function, position)
        if outcome.kind != "right":
            hint = _hint(exercise, function, outcome, position)
            inputs = dict(zip(exercise.parameters, outcome.arguments, strict=True))
            text = report(name, inputs, outcome, hint)
            return Result(name, False, position + 1, inputs, outcome, hint, text)
    text = f"{name}: right on all {count} inputs. Well done."
    return Result(name, True, count, {}, None, "", text)


def _hint(exercise: Exercise, function: Callable[..., Any], failed: Outcome, position: int) -> str:
    """The hint of the wrong answer that does most nearly the same, or a general one.

    It must do the same on the input shown, and on three quarters of all: a function may have a
    second fault, but an agreement by chance would mislead.
    """
    if not _hints.fits(function, exercise.parameters):
        return _hints.signature(exercise.parameters)
    every = range(len(exercise.inputs))
    ours = [run(exercise, function, i) for i in every]
    hint, most = "", 0.75 * len(ours)
    for wrong in exercise.wrong:
        theirs = [run(exercise, wrong.function, i) for i in every]
        alike = sum(map(_alike, ours, theirs))
        if alike >= most and _alike(failed, theirs[position]):
            hint, most = wrong.hint, alike + 0.5
    return hint or _hints.general(failed, ours)


def _alike(a: Outcome, b: Outcome) -> bool:
    if a.kind != b.kind or a.modified != b.modified:
        return False
    if a.kind == "raised":
        return type(a.returned) is type(b.returned)
    if a.kind in ("right", "type"):
        return True
    if a.returned.shape != b.returned.shape:
        return False
    if a.returned.dtype.kind == "U":
        return bool(np.array_equal(a.returned, b.returned))
    # Six digits: more than chance would give, and fewer than rounding could spoil.
    return bool(np.allclose(a.returned, b.returned, rtol=1e-6, atol=0, equal_nan=True))
