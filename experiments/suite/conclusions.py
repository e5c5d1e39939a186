"""Conclusions of an experiment: a statement, a verdict and the evidence for it."""

import html
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

Verdict = Literal["holds", "fails", "not testable here"]

RUN_FOLDER = "SOFTMAX_CHECKED_RUN_FOLDER"  # the variable by which a run tells its kernel its folder
FILE = "conclusions.json"


class Interval(Protocol):
    """A measured value between its bounds, such as `experiments.timing.Estimate`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Quantity:
    """What was measured to reach a verdict, with its interval and unit ("" for a ratio)."""

    value: float
    low: float
    high: float
    unit: str = ""

    def overlaps(self, other: "Quantity") -> bool:
        """Say whether two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g}) {self.unit}".rstrip()


@dataclass(frozen=True)
class Conclusion:
    """One statement that a run has put to the test."""

    id: str
    statement: str
    verdict: Verdict
    evidence: str
    quantity: Quantity | None = None


class Conclusions:
    """The conclusions of one experiment, in the order in which it reaches them.

    A notebook adds to it as it goes and shows it at its end.  Within a run of the suite each
    addition is also written to the run folder, so that a later failure loses none.

    Examples
    --------
    >>> conclusions = Conclusions()
    >>> conclusions.add("rounding", "0.1 + 0.2 is 0.3", 0.1 + 0.2 == 0.3, "it is 4e-17 more")
    >>> conclusions
    rounding: fails
      0.1 + 0.2 is 0.3
      Evidence: it is 4e-17 more
    """

    def __init__(self) -> None:
        self._items: list[Conclusion] = []

    def __iter__(self):
        return iter(self._items)

    def add(
        self,
        id: str,
        statement: str,
        holds: bool | None,
        evidence: str,
        quantity: Interval | None = None,
        unit: str = "",
    ) -> None:
        """Add a conclusion.

        Parameters
        ----------
        id : str
            A short name, unique in its experiment, that stays the same between machines.
        statement : str
            What was predicted, as a sentence that could be wrong.
        holds : bool or None
            Whether it holds; None where this machine or setting cannot tell.
        evidence : str
            What was seen.
        quantity : Interval, optional
            The measured value that decided, if one did: runs on two machines are compared by it.
        unit : str
            The unit of the quantity; a ratio has none.

        Raises
        ------
        ValueError
            If the id is already taken.
        """
        if any(item.id == id for item in self._items):
            raise ValueError(f"The conclusion {id!r} is already in the table.")
        measured = quantity and Quantity(quantity.value, quantity.low, quantity.high, unit)
        self._items.append(Conclusion(id, statement, verdict(holds), evidence, measured))
        if folder := run_folder():
            write(self._items, folder)

    def __repr__(self) -> str:
        return "\n".join(
            f"{item.id}: {item.verdict}\n  {item.statement}\n  Evidence: {item.evidence}"
            for item in self._items
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td>{html.escape(item.statement)}</td><td class="verdict">{item.verdict}</td>'
            f"<td>{html.escape(item.evidence)}</td></tr>"
            for item in self._items
        )
        heads = "".join(f'<th scope="col">{head}</th>' for head in COLUMNS)
        return (
            f'<table class="table conclusions"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )


COLUMNS = ("Statement", "Verdict", "Evidence")


def verdict(holds: bool | None) -> Verdict:
    """Name an outcome: True holds, False fails, None could not be tested."""
    if holds is None:
        return "not testable here"
    return "holds" if holds else "fails"


def run_folder() -> Path | None:
    """Return the folder of the run that this process belongs to, or None outside of a run."""
    folder = os.environ.get(RUN_FOLDER)
    return Path(folder) if folder else None


def write(items: list[Conclusion], folder: Path) -> None:
    """Write conclusions to ``conclusions.json`` in a run folder."""
    (folder / FILE).write_text(to_text(items), encoding="utf-8")


def read(folder: Path) -> list[Conclusion]:
    """Read the conclusions of a run folder."""
    return from_text((folder / FILE).read_text(encoding="utf-8"))


def to_text(items: list[Conclusion]) -> str:
    """Return conclusions as JSON; those without a quantity do not mention one."""
    rows = [{k: v for k, v in asdict(item).items() if v is not None} for item in items]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def from_text(text: str) -> list[Conclusion]:
    """Return the conclusions that `to_text` wrote."""
    rows = json.loads(text)
    for row in rows:
        row["quantity"] = row.get("quantity") and Quantity(**row["quantity"])
    return [Conclusion(**row) for row in rows]
