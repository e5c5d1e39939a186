"""The command line: list experiments, run one, run a sweep."""

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from experiments.suite import catalogue, conclusions
from experiments.suite.errors import UserError, unknown
from experiments.suite.run import Outcome, make_writable, run

PROGRAM = "python -m experiments"
OUT = Path("runs")
FAILED_STATUS = 1
USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

out_option = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=OUT,
    show_default=True,
    help="The folder that holds the run folders.",
)


class OneSentence(click.Group):
    """A group of commands that answers an unknown command like any other unknown name."""

    def resolve_command(self, ctx, args):
        if args[0] not in self.commands:
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=OneSentence, context_settings={"help_option_names": ["-h", "--help"]})
def app() -> None:
    """Rerun the experiments of the book, with its settings or with yours.

    Each experiment is a notebook that asks one question, predicts, measures and concludes.

    \b
    python -m experiments list
    python -m experiments run overflow -p dtype bfloat16 -p n 1000
    python -m experiments sweep quick
    """


@app.command("list")
def list_experiments() -> None:
    """Say what each experiment asks, and which parameters it takes."""
    console = _console()
    for experiment in catalogue.experiments().values():
        console.print(f"[bold]{experiment.name}[/]: {experiment.question}")
        table = Table("parameter", "default", "values", "meaning", box=None, padding=(0, 3, 0, 2))
        for parameter in experiment.parameters:
            default = str(parameter.default)
            table.add_row(parameter.name, default, parameter.choices, parameter.help)
        console.print(table)


@app.command("run")
@click.argument("name")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    type=(str, str),
    multiple=True,
    metavar="KEY VALUE",
    help="Set a parameter; repeat for more. `list` names them.",
)
@out_option
def run_one(name: str, parameters: Sequence[tuple[str, str]], out: Path) -> int:
    """Run the experiment NAME and print what it concludes.

    A run that is already complete is shown, not repeated: its name is derived from the
    experiment, its parameters, the code and the library versions. Delete its folder to
    run it again.
    """
    outcome = _run_all([(catalogue.experiment(name), dict(parameters))], out)[0]
    if outcome.error is None:
        _console().print(_conclusions_table(outcome.folder))
    return _status([outcome])


@app.command("sweep")
@click.argument("name")
@out_option
def run_sweep(name: str, out: Path) -> int:
    """Run all that the sweep NAME asks for: `quick`, or the path of a YAML file.

    Runs that are complete are not repeated; a failed run does not stop the others.
    """
    from experiments.suite import sweep

    return _status(_run_all(sweep.read(name), out))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Status 0: done.  1: a run failed.  2: the user's mistake, told in one sentence.
    """
    try:
        return app.main(arguments, prog_name=PROGRAM, standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help())
    except click.NoSuchOption as error:
        options = [o for o in error.ctx.command.params if isinstance(o, click.Option)]
        names = [name for option in options for name in option.opts] + ["--help"]
        click.echo(str(unknown("option", error.option_name, names)), err=True)
    except click.UsageError as error:
        message = " ".join(error.format_message().split()).rstrip(".")
        command = error.ctx.command_path if error.ctx else PROGRAM
        click.echo(f"{message}: see `{command} --help`.", err=True)
    except UserError as error:
        click.echo(str(error), err=True)
    except OSError as error:  # a full disk, say: what was complete stays complete
        click.echo(f"Cannot go on: {(error.strerror or str(error)).lower()}.", err=True)
        return FAILED_STATUS
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted: complete runs are kept, the one under way is not.", err=True)
        return INTERRUPTED_STATUS
    return USAGE_STATUS


# --- runs and their display -------------------------------------------------------------------


def _run_all(
    runs: Sequence[tuple[catalogue.Experiment, Mapping[str, object]]], out: Path
) -> list[Outcome]:
    """Run one after the other and say how each ended."""
    for experiment, given in runs:
        experiment.settings(given)  # all that can be wrong is found before anything runs
    make_writable(out)
    outcomes = []
    with _progress(len(runs)) as (begin, advance):
        for experiment, given in runs:
            label = " ".join([experiment.name, *(f"{k}={v}" for k, v in given.items())])
            begin(label)
            outcome = run(experiment, given, out, advance)
            outcomes.append(outcome)
            _say_outcome(label, outcome)
    return outcomes


def _say_outcome(label: str, outcome: Outcome) -> None:
    if outcome.error:
        click.echo(f"{label}: failed: {outcome.error} (kept in {outcome.folder})", err=True)
    elif outcome.status == "reused":
        click.echo(f"{label}: already complete in {outcome.folder}")
    else:
        click.echo(f"{label}: done in {outcome.seconds:.1f} s, in {outcome.folder}")


def _status(outcomes: Sequence[Outcome]) -> int:
    return FAILED_STATUS if any(outcome.error for outcome in outcomes) else 0


@contextmanager
def _progress(runs: int) -> Iterator[tuple]:
    """Yield what begins a run and what advances it: bars on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield _plain_progress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bars:
        all_runs = bars.add_task("runs", total=runs, visible=runs > 1)
        cells = bars.add_task("cells", total=None)
        count = itertools.count()

        def begin(label: str) -> None:
            bars.update(all_runs, completed=next(count))
            bars.reset(cells, description=label, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(cells, completed=done, total=total or None)

        yield begin, advance


def _plain_progress() -> tuple:
    """Return a pair like that of `_progress`, which says in a line when a run starts."""
    current = ""

    def begin(label: str) -> None:
        nonlocal current
        current = label

    def advance(done: int, total: int) -> None:
        if not done:
            click.echo(f"{current}: started")

    return begin, advance


def _conclusions_table(folder: Path) -> Table:
    table = Table("verdict", "statement", "evidence", box=None, padding=(0, 2, 0, 0))
    for item in conclusions.read(folder):
        table.add_row(item.verdict, item.statement, item.evidence)
    return table


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False)
