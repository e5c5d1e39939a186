"""Holding a function against the truth: edges, errors by family, thresholds, counterexamples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..formats import Format, get_format
from . import text
from .calling import Callee, adapt, offered
from .edges import EdgeResult, judge
from .shrink import shrink
from .thresholds import Thresholds, thresholds
from .truth import OPERATIONS, Array, Sample, errors, right, samples, truth

_UNKNOWN = Thresholds(None, None, None, None, None)


@dataclass(frozen=True)
class Counterexample:
    """A small input on which a function is wrong.

    Attributes
    ----------
    kind : str
        "raises", "shape", "not finite" (nan or an infinity in the wrong place) or "error".
    fault : str
        What is wrong there, in words.
    x : array
        The input, in its format; the axis is the last.
    index : tuple of int
        Where the result is wrong; empty if it is a single number, or wrong as a whole.
    got : float or None
        What is returned there; None if nothing is.
    expected : float
        The number nearest to the true value.
    ulp : float
        Distance from the true value, in units of the format's spacing there; inf where a number
        is not where it belongs.
    """

    kind: str
    fault: str
    x: NDArray[Any]
    index: tuple[int, ...]
    got: float | None
    expected: float
    ulp: float

    def __str__(self) -> str:
        return "\n".join(text.counterexample(self))


@dataclass(frozen=True)
class FamilyResult:
    """Errors in one family of inputs.

    Attributes
    ----------
    name : str
    entries : int
        How many results were compared.
    worst, median : float
        Errors in units of the last place.
    correctly_rounded : float
        Share of the results that are the numbers nearest to the true values.
    """

    name: str
    entries: int
    worst: float
    median: float
    correctly_rounded: float


@dataclass(frozen=True)
class Report:
    """What was found out about a function. Printed, it reads as text.

    Attributes
    ----------
    function, op, dtype : str
        What was checked, as what, in which format.
    array : str
        What it was given: "numpy" or "torch".
    seed : int
    max_ulp : float or None
        The largest error that is allowed in the families; None allows any.
    not_offered : str
        Why the function cannot be used with the format; then nothing else was measured.
    edges : tuple of EdgeResult
    families : tuple of FamilyResult
    thresholds : Thresholds
    counterexamples : tuple of Counterexample
        For each kind of fault the smallest that was found.
    """

    function: str
    op: str
    dtype: str
    array: str
    seed: int
    max_ulp: float | None
    not_offered: str = ""
    edges: tuple[EdgeResult, ...] = ()
    families: tuple[FamilyResult, ...] = ()
    thresholds: Thresholds = _UNKNOWN
    counterexamples: tuple[Counterexample, ...] = ()

    @property
    def worst(self) -> float:
        """Largest error of all families, in units of the last place; nan if nothing is offered."""
        return max((family.worst for family in self.families), default=np.nan)

    @property
    def correctly_rounded(self) -> float:
        """Share of all results that are the numbers nearest to the true values."""
        entries = sum(family.entries for family in self.families)
        counted = sum(family.entries * family.correctly_rounded for family in self.families)
        return counted / entries if entries else np.nan

    @property
    def edges_wrong(self) -> tuple[EdgeResult, ...]:
        """The edges that the function has not right."""
        return tuple(edge for edge in self.edges if not edge.right)

    @property
    def failures(self) -> tuple[str, ...]:
        """What falls short, a sentence each: edges, and errors above `max_ulp`."""
        if self.not_offered:
            return (f"{self.dtype} is not offered: {self.not_offered}",)
        found = [f"edge {edge.name}: {edge.fault}" for edge in self.edges_wrong]
        if self.max_ulp is not None:
            found += [
                f"family {family.name}: {text.ulp(family.worst)} ulp, and {self.max_ulp:g} allowed"
                for family in self.families
                if family.worst > self.max_ulp
            ]
        return tuple(found)

    @property
    def ok(self) -> bool:
        """Whether nothing falls short."""
        return not self.failures

    def require(self) -> Report:
        """Raise AssertionError, with the failures and counterexamples, unless all is well."""
        if not self.ok:
            raise AssertionError(text.complaint(self))
        return self

    def as_json(self) -> dict[str, Any]:
        """What was found out, as a machine reads it; nan and infinities are strings."""
        judged = {
            name: text.as_json(getattr(self, name))
            for name in ("ok", "failures", "worst", "correctly_rounded")
        }
        return {**text.as_json(self), **judged}

    def __str__(self) -> str:
        return text.report(self)


def check(
    function: Callable[..., Any],
    op: str = "softmax",
    dtype: Any = "float64",
    *,
    max_ulp: float | None = None,
    array: str | None = None,
    seed: int = 0,
) -> Report:
    """Hold a softmax, log_softmax or logsumexp against correctly rounded results.

    Parameters
    ----------
    function : callable
        Takes a NumPy array or a PyTorch tensor, and ``axis`` (or ``dim``) by keyword.
    op : {"softmax", "log_softmax", "logsumexp"}
        What it computes.
    dtype : str or dtype
        In which format: float64, float32, float16, bfloat16, float8_e4m3fn or float8_e5m2.
    max_ulp : float, optional
        How far from the truth the families' results may be, in units of the last place.
    array : {"numpy", "torch"}, optional
        What to give it; found out by trying if it is left away.
    seed : int
        Decides the inputs of the families. The same seed gives the same report.

    Returns
    -------
    Report
        ``report.ok`` and ``report.failures`` judge; ``report.require()`` raises AssertionError in
        a test; ``print(report)`` shows all.

    Raises
    ------
    ValueError
        If `op`, `dtype`, `array` or `max_ulp` is none of these: it names the choices.
    TypeError
        If `function` cannot be called so, with what it raised.

    Examples
    --------
    >>> from softmax_ref import conformance, exact, textbook
    >>> report = conformance.check(textbook.softmax, op="softmax", dtype="float16")
    >>> report.ok
    False
    >>> print(report.counterexamples[0])
    nan where a number belongs
      input     [12]
      at        [0]
      got       nan
      expected  1 = 0x1p+0
    >>> conformance.check(exact.softmax, dtype="float16", max_ulp=0.5).ok
    True
    """
    if op not in OPERATIONS:
        raise ValueError(f"op must be one of {', '.join(OPERATIONS)}; got {op!r}.")
    if max_ulp is not None and not max_ulp >= 0:
        raise ValueError(f"max_ulp must be a number of at least 0; got {max_ulp!r}.")
    fmt = get_format(dtype)
    callee = adapt(function, array)
    empty = Report(name_of(function), op, fmt.name, callee.array, seed, max_ulp)
    if reason := offered(callee, fmt):
        return replace(empty, not_offered=reason)
    measured = [_measure(callee, sample, op, fmt) for sample in samples(op, fmt.name, seed)]
    return replace(
        empty,
        edges=tuple(judge(callee, op, fmt)),
        families=tuple(_summaries(measured)),
        thresholds=thresholds(callee, op, fmt),
        counterexamples=tuple(_counterexamples(callee, op, fmt, measured, max_ulp)),
    )


def name_of(function: Callable[..., Any]) -> str:
    """What to call a function: its module and name, as far as it has them."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__name__", None) or type(function).__name__
    return f"{module}:{name}" if module else name


@dataclass(frozen=True)
class _Measured:
    """A sample, and the error of each result in it."""

    sample: Sample
    error: Array
    correct: NDArray[np.bool_]


def _measure(callee: Callee, sample: Sample, op: str, fmt: Format) -> _Measured:
    answer = callee(sample.x)
    got, true = answer.values, sample.true
    if got is None or got.shape != true.nearest.shape:
        got = np.full(true.nearest.shape, np.nan)
        return _Measured(sample, np.full(got.shape, np.inf), np.zeros(got.shape, bool))
    return _Measured(sample, errors(got, true, fmt), right(got, true.nearest))


def _summaries(measured: list[_Measured]) -> Iterator[FamilyResult]:
    for family in dict.fromkeys(one.sample.family for one in measured):
        those = [one for one in measured if one.sample.family == family]
        error = np.concatenate([one.error.ravel() for one in those])
        correct = np.concatenate([one.correct.ravel() for one in those])
        yield FamilyResult(
            family,
            error.size,
            float(error.max()),
            float(np.median(error)),
            float(correct.mean()),
        )


# --- counterexamples --------------------------------------------------------------------------


def _counterexamples(
    callee: Callee, op: str, fmt: Format, measured: list[_Measured], max_ulp: float | None
) -> Iterator[Counterexample]:
    """The smallest input that was found for each kind of fault in the families."""
    worst = max(float(one.error[np.isfinite(one.error)].max(initial=0)) for one in measured)
    # Without a limit: half of the worst error may well be reached by a much smaller input.
    limit = max(worst / 2, 0.5) if max_ulp is None else max_ulp
    found: set[str] = set()
    for one in sorted(measured, key=lambda one: one.sample.x.shape[1]):
        if not (one.error > limit).any():
            continue
        for fault in _diagnose(callee, op, fmt, one.sample.x, limit):
            if fault.kind not in found:
                found.add(fault.kind)
                yield _smallest(callee, op, fmt, fault, limit)


def _smallest(
    callee: Callee, op: str, fmt: Format, fault: Counterexample, limit: float
) -> Counterexample:
    """The same kind of fault on an input as small as can be found."""

    def same(x: NDArray[Any]) -> Counterexample | None:
        every = _diagnose(callee, op, fmt, x, limit)
        return next((one for one in every if one.kind == fault.kind), None)

    small = shrink(fault.x, lambda x: same(x) is not None, fmt)
    alone = same(small[0]) if len(small) == 1 else None
    return alone or cast(Counterexample, same(small))


def _diagnose(
    callee: Callee, op: str, fmt: Format, x: NDArray[Any], limit: float
) -> Iterator[Counterexample]:
    """What is wrong with the result at `x`: one example of each kind."""
    answer, true = callee(x), truth(op, x)
    if answer.values is None:
        yield Counterexample("raises", answer.error, x, (), None, np.nan, np.inf)
        return
    if answer.values.shape != true.nearest.shape:
        shapes = f"returned shape {answer.values.shape} where {true.nearest.shape} belongs"
        yield Counterexample("shape", shapes, x, (), None, np.nan, np.inf)
        return
    error = errors(answer.values, true, fmt)
    for kind, bad in (
        ("not finite", np.isinf(error)),
        ("error", np.isfinite(error) & (error > limit)),
    ):
        if bad.any():
            flat = int(np.argmax(np.where(bad, error, -1.0)))
            index = tuple(int(i) for i in np.unravel_index(flat, error.shape))
            got, nearest, ulp = (
                float(values[index]) for values in (answer.values, true.nearest, error)
            )
            fault = f"off by {text.ulp(ulp)} ulp" if kind == "error" else _misplaced(got)
            yield Counterexample(kind, fault, x, index, got, nearest, ulp)


def _misplaced(got: float) -> str:
    return "a number where none belongs" if np.isfinite(got) else f"{got} where a number belongs"
