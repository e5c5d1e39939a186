"""Compare two runs of an experiment, conclusion by conclusion."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from experiments.suite.conclusions import Conclusion
from experiments.suite.errors import UserError
from experiments.suite.records import Record

Result = Literal["same verdict", "different", "not testable here"]
UNTESTABLE = "not testable here"


@dataclass(frozen=True)
class Line:
    """What became of one conclusion: its verdicts in both runs, and its quantity."""

    id: str
    statement: str
    result: Result
    here: str
    there: str
    quantities: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two runs of one experiment, and all their conclusions side by side."""

    here: str
    there: str
    experiment: str
    other_parameters: dict[str, tuple[object, object]]
    lines: list[Line]

    @property
    def differs(self) -> bool:
        """Whether any verdict is another one."""
        return any(line.result == "different" for line in self.lines)

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return asdict(self)


def compare(here: Record, there: Record) -> Comparison:
    """Compare a run with another one, usually a recorded one.

    Raises
    ------
    UserError
        If they are runs of different experiments.
    """
    if here.experiment != there.experiment:
        raise UserError(
            f"Cannot compare {here.label} with {there.label}: "
            f"one is a run of {here.experiment}, the other of {there.experiment}."
        )
    names = here.parameters | there.parameters
    pairs = {name: (here.parameters.get(name), there.parameters.get(name)) for name in names}
    return Comparison(
        here.label,
        there.label,
        here.experiment,
        {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        list(_lines(here.conclusions, there.conclusions)),
    )


def matches(runs: Sequence[Record], recorded: Sequence[Record]) -> list[Comparison]:
    """Compare each run with every recorded run of the same experiment and parameters."""
    return [
        compare(here, there)
        for here in runs
        for there in recorded
        if (here.experiment, here.parameters) == (there.experiment, there.parameters)
    ]


def _lines(here: Sequence[Conclusion], there: Sequence[Conclusion]) -> Iterator[Line]:
    """Yield a line for each conclusion that either run reaches."""
    ours, theirs = ({item.id: item for item in items} for items in (here, there))
    for id, either in (theirs | ours).items():
        our, their = ours.get(id), theirs.get(id)
        verdicts = tuple(item.verdict if item else "not reached" for item in (our, their))
        yield Line(id, either.statement, _result(*verdicts), *verdicts, _quantities(our, their))


def _result(here: str, there: str) -> Result:
    if UNTESTABLE in (here, there) or "not reached" in (here, there):
        return UNTESTABLE
    return "same verdict" if here == there else "different"


def _quantities(here: Conclusion | None, there: Conclusion | None) -> str:
    """Say whether the intervals of a measured quantity overlap."""
    if not (here and there and here.quantity and there.quantity):
        return ""
    if here.quantity.unit != there.quantity.unit:
        return f"other units: {here.quantity} and {there.quantity}"
    relation = "overlap" if here.quantity.overlaps(there.quantity) else "do not overlap"
    return f"{here.quantity} and {there.quantity} {relation}"
