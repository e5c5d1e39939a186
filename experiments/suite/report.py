"""A Markdown report of the conclusions of many runs."""

from collections.abc import Iterator, Sequence

from experiments.suite.records import Record


def markdown(runs: Sequence[Record]) -> str:
    """Return one table for each experiment: a row for each conclusion, a column for each run.

    A row begins with the statement; with the conclusion's id, where the statement names a number
    that differs between the runs.
    A column is named by the parameters that differ between the runs of the experiment, and by the
    machine where runs are recorded.
    """
    names = sorted({run.experiment for run in runs})
    sections = (_section(name, [run for run in runs if run.experiment == name]) for name in names)
    return "\n".join(line for section in sections for line in section)


def _section(name: str, runs: Sequence[Record]) -> Iterator[str]:
    heads = [_head(run, runs) for run in runs]
    yield f"## {name}\n"
    yield _row(["Statement", *heads])
    yield _row(["---"] * (len(runs) + 1))
    verdicts = [{item.id: item.verdict for item in run.conclusions} for run in runs]
    for id in dict.fromkeys(item.id for run in runs for item in run.conclusions):
        said = {item.statement for run in runs for item in run.conclusions if item.id == id}
        name = said.pop() if len(said) == 1 else f"`{id}`"
        yield _row([name, *(found.get(id, "") for found in verdicts)])
    total = [verdict for found in verdicts for verdict in found.values()]
    counts = (f"{total.count(word)} {word}" for word in ("holds", "fails", "not testable here"))
    yield f"\n{len(runs)} run{'s' * (len(runs) > 1)}: {', '.join(counts)}.\n"


def _head(run: Record, runs: Sequence[Record]) -> str:
    varied = [key for key in run.parameters if len({str(r.parameters.get(key)) for r in runs}) > 1]
    words = [f"{key} = {run.parameters[key]}" for key in varied]
    if any(other.machine for other in runs):
        words.append(run.machine or "here")
    if any(other is not run and _same(run, other) for other in runs):
        words.append(run.name.rpartition("-")[2])
    return ", ".join(words) or "verdict"


def _same(run: Record, other: Record) -> bool:
    return (run.parameters, run.machine) == (other.parameters, other.machine)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
