"""What experiments there are: each notebook's title, question and typed parameters."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from experiments.suite import parameters
from experiments.suite.errors import unknown

FOLDER = Path(__file__).resolve().parent.parent
TAKES_TIMES = r"\btimed\("  # in the code of a cell: it uses `experiments.suite.notebook.timed`


@dataclass(frozen=True)
class Parameter:
    """One setting of an experiment: its type, its default and what it means."""

    name: str
    kind: object
    default: object
    help: str

    @property
    def choices(self) -> str:
        """The values it admits, in words."""
        return parameters.describe(self.kind)


@dataclass(frozen=True)
class Experiment:
    """One notebook, and what it says of itself."""

    name: str
    path: Path
    title: str
    question: str
    parameters: tuple[Parameter, ...]
    timed: bool = False  # whether it takes times, for which it should be alone

    def settings(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return all parameters: those given, checked and converted, and defaults for the rest.

        Raises
        ------
        UserError
            If a name is unknown, a value does not fit its type, or a range is upside down.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        values = {parameter.name: parameter.default for parameter in self.parameters}
        for name, value in given.items():
            if name not in known:
                raise unknown("parameter", name, known)
            values[name] = parameters.convert(name, known[name].kind, value)
        parameters.check_ranges(values)
        return values


def experiments() -> dict[str, Experiment]:
    """Return all experiments by name, in alphabetical order."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def experiment(name: str) -> Experiment:
    """Return one experiment.

    Raises
    ------
    UserError
        If there is none of that name; the sentence lists those that exist.
    """
    names = [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
    if name not in names:
        raise unknown("experiment", name, names)
    return read(FOLDER / f"{name}.ipynb")


@cache
def read(path: Path) -> Experiment:
    """Read what a notebook says of itself."""
    title, question = _heading(path)
    return Experiment(
        path.stem, path, title, question, tuple(_parameters(path)), _takes_times(path)
    )


def _heading(path: Path) -> tuple[str, str]:
    """Return the first heading of a notebook and the sentence that follows it."""
    prose = next(_source(cell) for cell in _cells(path) if cell["cell_type"] == "markdown")
    lines = [line.strip() for line in prose.splitlines() if line.strip()]
    at = next(i for i, line in enumerate(lines) if line.startswith("# "))
    return lines[at].removeprefix("# "), lines[at + 1]


def _takes_times(path: Path) -> bool:
    code = (_source(cell) for cell in _cells(path) if cell["cell_type"] == "code")
    return any(re.search(TAKES_TIMES, source) for source in code)


def _parameters(path: Path) -> list[Parameter]:
    """Read the annotated ``parameters`` cell; the comment at the end of a line is the help.

    Papermill's `inspect_notebook` would do, but loading papermill takes longer than all else here,
    and the process that runs the notebook has to load it once more.
    """
    source = next(_source(c) for c in _cells(path) if "parameters" in c["metadata"].get("tags", []))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    return [
        Parameter(
            name=node.target.id,
            kind=parameters.type_named(ast.unparse(node.annotation)),
            default=ast.literal_eval(node.value),
            help=comments.get(node.end_lineno, ""),
        )
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign)
    ]


def _cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def _source(cell: dict) -> str:
    return "".join(cell["source"])
