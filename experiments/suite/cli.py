"""The command line: list, run, sweep, status, compare, record, report."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

from experiments.suite import catalogue, display, execute
from experiments.suite.errors import UserError, unknown
from experiments.suite.execute import Job
from experiments.suite.run import Outcome
from experiments.suite.storage import Store, open_store

PROGRAM = "python -m experiments"
OUT = "runs"
FAILED_STATUS = 1
USAGE_STATUS = 2
INTERRUPTED_STATUS = 130

out_option = click.option(
    "--out",
    default=OUT,
    show_default=True,
    metavar="PLACE",
    help="The folder that holds the run folders, or a URL such as s3://bucket/runs.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a program.")
again_option = click.option("--again", is_flag=True, help="Run what is complete once more.")


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
    python -m experiments sweep quick --workers 2
    python -m experiments compare
    """


@app.command("list")
@json_option
def list_experiments(as_json: bool) -> None:
    """Say what each experiment asks, and which parameters it takes.

    \b
    python -m experiments list
    """
    found = catalogue.experiments().values()
    if as_json:
        _print_json([_experiment_as_json(experiment) for experiment in found])
        return
    for experiment in found:
        display.show(f"[bold]{experiment.name}[/]: {experiment.question}")
        display.show_table(
            ("parameter", "default", "values", "meaning"),
            [(p.name, str(p.default), p.choices, p.help) for p in experiment.parameters],
            indent=2,
        )


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
@again_option
@out_option
@json_option
def run_one(
    name: str, parameters: Sequence[tuple[str, str]], again: bool, out: str, as_json: bool
) -> int:
    """Run the experiment NAME and print what it concludes.

    A run that is already complete is shown, not repeated: its name is derived from the
    experiment, its parameters, the code and the library versions. `--again` repeats it.

    \b
    python -m experiments run overflow -p dtype bfloat16 -p n 1000
    """
    from experiments.suite import records

    if twice := [key for key, _ in parameters if [k for k, _ in parameters].count(key) > 1]:
        raise UserError(f"Parameter {twice[0]} is given more than once.")
    store = open_store(out)
    (outcome,) = _run_all(
        [Job(catalogue.experiment(name), dict(parameters))], store, again, as_json
    )
    reached = [] if outcome.error else records.load(store, outcome.name).conclusions
    if as_json:
        _print_json(asdict(outcome) | {"conclusions": [asdict(item) for item in reached]})
    elif reached:
        rows = [(item.verdict, item.statement, item.evidence) for item in reached]
        display.show_table(("verdict", "statement", "evidence"), rows)
    return _exit_status([outcome])


@app.command("sweep")
@click.argument("name")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, help="How many runs at once. [default: 1]"
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler instead."
)
@again_option
@out_option
@json_option
def run_sweep(
    name: str, workers: int, scheduler: str | None, again: bool, out: str, as_json: bool
) -> int:
    """Run all that the sweep NAME asks for: `quick`, `full`, or the path of a YAML file.

    Runs that are complete are not repeated; a failed run does not stop the others. Stopped or
    killed, a sweep goes on where it was when it is started again.

    \b
    python -m experiments sweep quick --workers 2
    python -m experiments sweep mine.yml --scheduler tcp://10.0.0.1:8786 --out s3://bucket/runs

    A sweep file names experiments, fixed parameters and grids:

    \b
    runs:
      - experiment: overflow
        parameters: {n: 1000}
        grid:
          dtype: [float16, float32]
    """
    if workers > 1 and scheduler:
        raise UserError("Give either --workers or --scheduler: a cluster has its own workers.")
    outcomes = _run_all(_jobs(name), open_store(out), again, as_json, workers, scheduler)
    if as_json:
        _print_json([asdict(outcome) for outcome in outcomes])
    return _exit_status(outcomes)


@app.command("status")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@out_option
@json_option
def show_status(names: Sequence[str], out: str, as_json: bool) -> None:
    """Say which runs of a sweep are complete, stale, failed or missing.

    NAME is a sweep or the path of a YAML file; without one, all sweeps of the suite are counted.
    A run is stale if the code or a library has changed since; what changed is named.

    \b
    python -m experiments status
    python -m experiments status quick
    """
    from experiments.suite import status, sweep

    store = open_store(out)
    found = {name: status.of(_jobs(name), store) for name in names or sweep.names()}
    if as_json:
        _print_json({name: [asdict(one) for one in each] for name, each in found.items()})
        return
    counts = [
        (name, *(str(sum(one.state == state for one in each)) for state in status.STATES))
        for name, each in found.items()
    ]
    display.show_table(("sweep", *status.STATES), counts)
    rest = [one for each in found.values() for one in each if one.state != "complete"]
    if names and rest:
        display.show_table(("", "", ""), [(one.label, one.state, one.reason) for one in rest])


@app.command("compare")
@click.argument("run", required=False)
@click.argument("recorded", required=False)
@out_option
@json_option
def compare_runs(run: str | None, recorded: str | None, out: str, as_json: bool) -> int:
    """Say for each conclusion of RUN whether RECORDED has the same verdict.

    Each is a run's folder, its name, or MACHINE/NAME of a recorded run. Without RECORDED, every
    recorded run of the same experiment and parameters is taken; without RUN, every complete run
    (of those with the same parameters the latest).
    Where a quantity was measured, it says whether the two intervals overlap.

    Status 1: a verdict is different.

    \b
    python -m experiments compare
    python -m experiments compare runs/overflow-2ed48cf23bb8 runs/overflow-3e4d102e94bd
    """
    from experiments.suite import compare, records

    store = open_store(out)
    if run and recorded:
        found = [compare.compare(records.find(run, store), records.find(recorded, store))]
    else:
        runs = [records.find(run, store)] if run else records.latest(records.complete(store))
        found = compare.matches(runs, records.recorded())
    if not found:
        raise UserError(
            "There is nothing to compare: no recorded run has the experiment and the parameters "
            f"of {run or f'a complete run in {out}'}."
        )
    if as_json:
        _print_json([one.as_json() for one in found])
    else:
        for one in found:
            _show_comparison(one)
    return FAILED_STATUS if any(one.differs for one in found) else 0


@app.command("record")
@click.argument("run")
@click.option("--machine", help="What to call the machine. [default: processor, threads and GPU]")
@out_option
@json_option
def record_run(run: str, machine: str | None, out: str, as_json: bool) -> None:
    """Keep RUN in the repository, in small form, under experiments/recorded/MACHINE.

    Measurements, samples, conclusions and provenance are checked and copied; the notebook and the
    figures, which can be made again, are not. An earlier record with the same parameters on the
    same machine is replaced.

    \b
    python -m experiments record overflow-2ed48cf23bb8
    """
    from experiments.suite import recorded, records

    folder = recorded.record(records.find(run, open_store(out)), machine)
    place = folder.relative_to(records.RECORDED.parent.parent).as_posix()
    if as_json:
        _print_json({"recorded": place, "bytes_of_all": recorded.size()})
    else:
        click.echo(f"Recorded in {place}; all records take {recorded.size() / 2**20:.2f} MB of 10.")


@app.command("report")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--recorded", "with_recorded", is_flag=True, help="Report the recorded runs as well.")
@out_option
@json_option
def report_runs(runs: Sequence[str], with_recorded: bool, out: str, as_json: bool) -> None:
    """Print the conclusions of runs as Markdown tables: a row a statement, a column a run.

    Without RUN, of all complete runs; of those with the same parameters the latest.

    \b
    python -m experiments report > report.md
    """
    from experiments.suite import records, report

    store = open_store(out)
    found = [records.find(run, store) for run in runs] or records.latest(records.complete(store))
    found += records.recorded() if with_recorded else []
    if not found:
        raise UserError(f"There is nothing to report: no run is complete in {out}.")
    if as_json:
        _print_json([_record_as_json(record) for record in found])
    else:
        click.echo(report.markdown(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Status 0: done.  1: a run failed, or a comparison differs.  2: the user's mistake, told in one
    sentence.
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


# --- what several commands do -----------------------------------------------------------------


def _jobs(name: str) -> list[Job]:
    from experiments.suite import sweep

    return [Job(experiment, given) for experiment, given in sweep.read(name)]


def _run_all(
    jobs: Sequence[Job],
    store: Store,
    again: bool,
    silent: bool,
    workers: int = 1,
    scheduler: str | None = None,
) -> list[Outcome]:
    """Run all, and say how each goes and ends."""
    for job in jobs:
        job.experiment.settings(job.given)  # all that can be wrong is found before anything runs
    store.prepare()
    with display.watching(len(jobs), silent=silent) as watcher:
        if scheduler:
            return execute.on_cluster(jobs, store, watcher, scheduler=scheduler, again=again)
        return execute.here(jobs, store, watcher, workers=workers, again=again)


def _exit_status(outcomes: Sequence[Outcome]) -> int:
    return FAILED_STATUS if any(outcome.error for outcome in outcomes) else 0


def _show_comparison(comparison) -> None:
    display.show(f"[bold]{comparison.here}[/] against [bold]{comparison.there}[/]")
    for name, (ours, theirs) in comparison.other_parameters.items():
        display.show(f"  {name}: {ours} against {theirs}")
    rows = [
        (
            line.result,
            line.here,
            line.there,
            "\n".join(filter(None, (line.statement, line.quantities))),
        )
        for line in comparison.lines
    ]
    display.show_table(("result", "here", "there", "statement"), rows)


def _experiment_as_json(experiment: catalogue.Experiment) -> dict[str, object]:
    parameters = [
        {"name": p.name, "default": p.default, "values": p.choices, "meaning": p.help}
        for p in experiment.parameters
    ]
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "question": experiment.question,
        "parameters": parameters,
    }


def _record_as_json(record) -> dict[str, object]:
    return {
        "run": record.label,
        "experiment": record.experiment,
        "parameters": record.parameters,
        "conclusions": [asdict(item) for item in record.conclusions],
    }


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
