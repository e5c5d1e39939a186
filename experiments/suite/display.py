"""What the command line shows: progress as bars or lines, and tables."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.suite.execute import Job, Watcher
from experiments.suite.run import Outcome


@contextmanager
def watching(runs: int, *, silent: bool = False) -> Iterator[Watcher]:
    """Yield what follows the runs: bars on a terminal, plain lines elsewhere, or nothing."""
    if silent:
        yield Silent()
    elif not sys.stdout.isatty():
        yield Lines(runs)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), transient=True) as progress:
            yield Bars(progress, runs)


class Silent:
    """Shows nothing, where a machine reads."""

    def begin(self, job: Job) -> None:
        """Show nothing."""

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show nothing."""

    def end(self, job: Job, outcome: Outcome) -> None:
        """Show nothing."""


class Lines(Silent):
    """A line when a run starts, and one when it ends."""

    def __init__(self, runs: int) -> None:
        self._runs, self._ended, self._repeated = runs, 0, 0
        self._begin, self._lock = time.monotonic(), threading.Lock()

    def begin(self, job: Job) -> None:
        """Say that a run starts."""
        with self._lock:
            click.echo(f"{job.label}: started")

    def end(self, job: Job, outcome: Outcome) -> None:
        """Say how a run ended, and how much is left."""
        with self._lock:
            self._ended += 1
            self._repeated += outcome.status == "reused"
            click.echo(_sentence(job, outcome) + self._left(), err=bool(outcome.error))

    def _left(self) -> str:
        """Say how many are done and how long the rest will take, if there is a rest."""
        ran, left = self._ended - self._repeated, self._runs - self._ended
        if not ran or not left:
            return ""
        seconds = (time.monotonic() - self._begin) / ran * left
        return f" ({self._ended} of {self._runs}, about {duration(seconds)} left)"


class Bars:
    """A bar over all runs, and one over the cells of each run under way."""

    def __init__(self, progress: Progress, runs: int) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._all = progress.add_task("runs", total=runs, visible=runs > 1)
        self._cells: dict[str, int] = {}

    def begin(self, job: Job) -> None:
        """Add a bar."""
        with self._lock:
            self._cells[job.label] = self._progress.add_task(escape(job.label), total=None)

    def advance(self, job: Job, done: int, total: int) -> None:
        """Move its bar."""
        self._progress.update(self._cells[job.label], completed=done, total=total)

    def end(self, job: Job, outcome: Outcome) -> None:
        """Remove its bar, move that of all runs, and leave a line above."""
        with self._lock:
            if (task := self._cells.pop(job.label, None)) is not None:
                self._progress.remove_task(task)
            self._progress.advance(self._all)
        self._progress.console.print(escape(_sentence(job, outcome)), highlight=False)


def _sentence(job: Job, outcome: Outcome) -> str:
    if outcome.error:
        return f"{job.label}: failed: {outcome.error} (kept in {outcome.location})"
    if outcome.status == "reused":
        return f"{job.label}: already complete in {outcome.location}"
    return f"{job.label}: done in {outcome.seconds:.1f} s, in {outcome.location}"


def duration(seconds: float) -> str:
    """Say roughly how long.

    Examples
    --------
    >>> duration(12.3), duration(200), duration(9000)
    ('12 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_table(heads: Sequence[str], rows: Iterable[Sequence[str]], indent: int = 0) -> None:
    """Print a table without lines."""
    table = Table(*heads, box=None, padding=(0, 2, 0, indent))
    for row in rows:
        table.add_row(*map(escape, row))
    show(table)


def show(what: object) -> None:
    """Print text with markup, or a table."""
    Console(highlight=False, soft_wrap=False).print(what)
