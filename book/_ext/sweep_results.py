"""Show on a page what a sweep concluded on the machine that builds the book.

``{sweep-conclusions} quick`` lists the runs that the sweep asks for, each folded under a line
that counts its verdicts.  A run that has not been made yet is named as such, never left out.
``{reproduction} quick`` compares the same runs with those that are recorded in the repository.
``{recorded-conclusions} full`` counts the verdicts of the recorded runs of a sweep.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from experiments.suite import catalogue, compare, conclusions, provenance, records, sweep
from experiments.suite.compare import Comparison, Line
from experiments.suite.storage import FolderStore
from tools import notebooks

RUNS = notebooks.ROOT / "runs"
PAGES = ("book/rerun", "book/reproduction")


def runs(name: str) -> list[tuple[str, Path]]:
    """Return a title and a folder for each run that a sweep asks for, made or not."""
    return [
        (_title(experiment, given), _folder(experiment, given))
        for experiment, given in sweep.read(name)
    ]


def _title(experiment: catalogue.Experiment, given: dict[str, object]) -> str:
    settings = ", ".join(f"{key} = {value}" for key, value in given.items())
    return f"{experiment.title}: {settings}" if settings else experiment.title


def _folder(experiment: catalogue.Experiment, given: dict[str, object]) -> Path:
    settings = experiment.settings(given)
    return RUNS / provenance.run_name(provenance.determinants(experiment, settings))


class SweepConclusions(SphinxDirective):
    """The verdicts of each run of a sweep."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return one folded table for each run."""
        blocks = [_block(title, folder) for title, folder in runs(self.arguments[0])]
        return self.parse_text_to_nodes("\n\n".join(blocks))


def _block(title: str, folder: Path) -> str:
    if not folder.is_dir():
        return f"**{title}**: not run on this machine yet; `make book` runs it."
    found = conclusions.read(folder)
    counts = Counter(item.verdict for item in found)
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
    rows = "\n".join(_row(i.statement, i.verdict, i.evidence) for i in found)
    return (
        f"````{{dropdown}} {title} ({verdicts})\n{_where(folder)}\n\n"
        f"| Statement | Verdict | Evidence |\n|---|---|---|\n{rows}\n````"
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def _where(folder: Path) -> str:
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    machine, versions = record["machine"], record["versions"]
    return (
        f"Run on {record['started'][:10]} in {record['seconds']:.0f} s "
        f"on {machine['cpu']} ({machine['cores']} cores), "
        f"NumPy {versions['numpy']}, Python {versions['python']}."
    )


# --- compared with what is recorded -----------------------------------------------------------


class Reproduction(SphinxDirective):
    """The runs of a sweep that were made here, beside the recorded ones."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a sum, a table with a row for each run, and each conclusion of each run."""
        return self.parse_text_to_nodes(reproduction(runs(self.arguments[0])))


def reproduction(made: list[tuple[str, Path]]) -> str:
    """Return in Markdown how runs, each a title and a folder, compare with the recorded ones."""
    recorded = records.recorded()
    pairs = {title: _pairs(folder, recorded) for title, folder in made}
    found = [(title, pair) for title, each in pairs.items() for pair in each]
    parts = []
    if found:
        parts.append(_sum([pair for _, pair in found]))
        parts.append("\n".join([*_HEAD, *(_summary(title, pair) for title, pair in found)]))
    parts += [_detail(title, pair) for title, pair in found]
    for title, folder in made:
        if not folder.is_dir():
            parts.append(f"**{title}**: not run on this machine yet; `make book` runs it.")
        elif not pairs[title]:
            parts.append(f"**{title}**: no run with these parameters is recorded.")
    return "\n\n".join(parts)


def _pairs(folder: Path, recorded: list[records.Record]) -> list[Comparison]:
    if not folder.is_dir():
        return []
    here = records.load(FolderStore(folder.parent), folder.name)
    return compare.matches([here], recorded)


VERDICTS = get_args(conclusions.Verdict)
RESULTS = ("same verdict", "different", compare.UNTESTABLE)
_HEAD = (
    "| Run | Same verdict | Different | Not testable here | Intervals |",
    "|---|---|---|---|---|",
)


def _count(lines: list[Line], result: str) -> int:
    return sum(line.result == result for line in lines)


def _intervals(lines: list[Line]) -> str:
    """Say how many intervals of measured quantities overlap."""
    measured = [line for line in lines if line.quantities]
    overlapping = sum(not line.quantities.endswith("do not overlap") for line in measured)
    return f"{overlapping} of {len(measured)} overlap" if measured else ""


def _sum(found: list[Comparison]) -> str:
    lines = [line for pair in found for line in pair.lines]
    counts = ", ".join(f"{result} {_count(lines, result)}" for result in RESULTS)
    return f"Of {len(lines)} conclusions: {counts}. Intervals: {_intervals(lines) or 'none'}."


def _summary(title: str, pair: Comparison) -> str:
    return _row(title, *(_count(pair.lines, r) for r in RESULTS), _intervals(pair.lines))


def _detail(title: str, pair: Comparison) -> str:
    """Return each conclusion of a run, those first whose verdict is another one."""
    machine, _, name = pair.there.partition("/")
    ordered = sorted(pair.lines, key=lambda line: line.result != "different")
    rows = (_row(i.statement, i.result, i.here, i.there, i.quantities) for i in ordered)
    return "\n".join(
        [
            f"````{{dropdown}} {title}, against {machine}",
            _where(records.RECORDED / machine / name).replace("Run", "Recorded", 1) + "\n",
            "| Statement | Result | Here | Recorded | Quantities, here and recorded |",
            "|---|---|---|---|---|",
            *rows,
            "````",
        ]
    )


# --- what is recorded -------------------------------------------------------------------------


class RecordedConclusions(SphinxDirective):
    """The verdicts of a sweep's recorded runs, statement by statement."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a line for each machine, and under it a folded table for each experiment."""
        return self.parse_text_to_nodes(recorded_conclusions(sweep.read(self.arguments[0])))


def recorded_conclusions(
    asked: Sequence[tuple[catalogue.Experiment, dict[str, object]]],
) -> str:
    """Return in Markdown what the recorded runs of a sweep concluded."""
    found: dict[str, dict[str, list[records.Record]]] = {}
    kept = records.recorded()
    for experiment, given in asked:
        settings = experiment.settings(given)
        for record in kept:
            if (record.experiment, record.parameters) == (experiment.name, settings):
                of_machine = found.setdefault(record.machine, {})
                of_machine.setdefault(experiment.title, []).append(record)
    return "\n\n".join(
        part for machine, runs in found.items() for part in _of_machine(machine, runs, len(asked))
    )


def _of_machine(machine: str, found: dict[str, list[records.Record]], asked: int) -> Iterator[str]:
    every = [record for each in found.values() for record in each]
    counts = Counter(item.verdict for record in every for item in record.conclusions)
    yield (
        f"**{machine}**: {len(every)} of the {asked} runs are recorded. Their conclusions: "
        + ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS)
        + "."
    )
    for title, each in found.items():
        plural = "run" if len(each) == 1 else "runs"
        heads = ("Statement", *(verdict.capitalize() for verdict in VERDICTS), "Fails with")
        rows = [_row(*heads), "|---|---|---|---|---|", *_tally(each)]
        block = "\n".join(rows)
        yield f"````{{dropdown}} {title}: {len(each)} {plural}\n{block}\n````"


def _tally(found: list[records.Record]) -> Iterator[str]:
    """Yield a row for each statement: how often it holds, and with what it fails."""
    verdicts: dict[str, dict[str, list[tuple[str, dict[str, object]]]]] = {}
    for record in found:
        for item in record.conclusions:  # a statement may name the format: one conclusion, several
            each = verdicts.setdefault(item.id, {}).setdefault(item.statement, [])
            each.append((item.verdict, record.parameters))
    for statements in verdicts.values():
        for statement, each in statements.items():
            counts = Counter(verdict for verdict, _ in each)
            yield _row(statement, *(counts[verdict] for verdict in VERDICTS), _where_it_fails(each))


def _where_it_fails(verdicts: list[tuple[str, dict[str, object]]]) -> str:
    """Name the parameter that decides, or else all that the failing runs have and others not."""
    failing = [parameters for verdict, parameters in verdicts if verdict == "fails"]
    others = [parameters for verdict, parameters in verdicts if verdict != "fails"]
    if not failing or not others:
        return ""
    deciding, telling = [], []
    for key in failing[0]:
        here, there = (
            list(dict.fromkeys(str(parameters[key]) for parameters in group))
            for group in (failing, others)
        )
        part = f"{key} {' or '.join(here)}"
        if not set(here) & set(there):
            deciding.append(part)
        if set(there) - set(here):
            telling.append(part)
    return "; ".join(deciding or telling)


def outdated_pages(app: Sphinx, env: BuildEnvironment, *_: object) -> list[str]:
    """Have the pages read again when a run that they show was made, or is another one."""
    state = [(title, folder.name, folder.is_dir()) for title, folder in runs("quick")]
    state += [record.label for record in records.recorded()]
    known = getattr(env, "sweep_state", None)
    env.sweep_state = state
    return [page for page in PAGES if known != state and page in env.found_docs]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the directives to the build."""
    app.add_directive("sweep-conclusions", SweepConclusions)
    app.add_directive("reproduction", Reproduction)
    app.add_directive("recorded-conclusions", RecordedConclusions)
    app.connect("env-get-outdated", outdated_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
