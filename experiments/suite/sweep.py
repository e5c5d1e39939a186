"""Sweeps: a YAML file names experiments, fixed parameters and grids of parameters."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from experiments.suite import catalogue
from experiments.suite.errors import UserError, unknown

FOLDER = Path(__file__).resolve().parent.parent / "sweeps"


class Entry(BaseModel):
    """One experiment of a sweep, at every point of its grid."""

    model_config = ConfigDict(extra="forbid")

    experiment: str
    parameters: dict[str, object] = {}
    grid: dict[str, list[object]] = {}

    @model_validator(mode="after")
    def _check_names(self) -> "Entry":
        if both := self.parameters.keys() & self.grid.keys():
            raise ValueError(f"{min(both)} stands in parameters and in grid")
        return self

    def points(self) -> Iterator[dict[str, object]]:
        """Yield the parameters of each run: the fixed ones, and one point of the grid."""
        for values in product(*self.grid.values()):
            yield self.parameters | dict(zip(self.grid, values, strict=True))


class Sweep(BaseModel):
    """The runs that one file asks for."""

    model_config = ConfigDict(extra="forbid")

    runs: list[Entry] = Field(min_length=1)


def read(name: str) -> list[tuple[catalogue.Experiment, dict[str, object]]]:
    """Return the runs of a sweep, all checked.

    Parameters
    ----------
    name : str
        A sweep that comes with the suite, such as ``quick``, or the path of a YAML file.

    Raises
    ------
    UserError
        If there is no such sweep, the file is not a sweep, or any of its runs is not valid.
    """
    path = _find(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = Sweep.model_validate(content).runs
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise UserError(f"Cannot read the sweep {name}: {_reason(error)}.") from None
    runs = {}
    for entry in entries:
        experiment = catalogue.experiment(entry.experiment)
        for given in entry.points():
            settings = experiment.settings(given)  # what comes to the same is run once
            runs.setdefault((experiment.name, *settings.items()), (experiment, given))
    return list(runs.values())


def names() -> list[str]:
    """Return the sweeps that come with the suite."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def _find(name: str) -> Path:
    if Path(name).suffix in (".yml", ".yaml"):
        return Path(name)
    known = {known: FOLDER / f"{known}.yml" for known in names()}
    if name not in known:
        raise unknown("sweep", name, [*known, "the path of a .yml file"])
    return known[name]


def _reason(error: Exception) -> str:
    """Say in a few words, on one line, what is wrong with a file."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message[0].lower()}{message[1:]}"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "it is not a YAML text file"
