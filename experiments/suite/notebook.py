"""What an experiment's notebook asks of the suite: check its parameters, keep its measurements."""

import ast
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from experiments import timing
from experiments.suite.conclusions import Conclusions, run_folder
from experiments.suite.errors import UserError, unknown
from experiments.suite.parameters import check_ranges, convert

__all__ = ["Conclusions", "check_parameters", "keep_measurements", "timed"]

REPLAY = "SOFTMAX_CHECKED_REPLAY"  # the variable that names the folder of samples to use again
SAMPLES = "samples.json"

INJECTED = "# Parameters\n"  # how the cell begins that papermill inserts


def check_parameters(namespace: Mapping[str, object]) -> None:
    """Check the values in a notebook against the annotations of its ``parameters`` cell.

    Plain papermill passes any name and any value on; this stops it in the first cell that it runs
    afterwards, with the sentence that the command line would give.

    Parameters
    ----------
    namespace : mapping
        The notebook's ``globals()``.

    Raises
    ------
    UserError
        If papermill passed a name that is no parameter, or a value that does not fit its type.
    """
    kinds = namespace["__annotations__"]
    for name in _injected_names(namespace.get("In", [])):
        if name not in kinds:
            raise unknown("parameter", name, kinds)
    for name, kind in kinds.items():
        convert(name, kind, namespace[name], parse_text=False)
    check_ranges({name: namespace[name] for name in kinds})


def _injected_names(history: list[str]) -> list[str]:
    """Return the names that the last cell inserted by papermill assigns."""
    injected = next((cell for cell in reversed(history) if cell.startswith(INJECTED)), "")
    assignments = [node for node in ast.parse(injected).body if isinstance(node, ast.Assign)]
    return [target.id for node in assignments for target in node.targets]


def keep_measurements(measurements: pd.DataFrame) -> None:
    """Write tidy measurements to ``measurements.csv`` in the run folder; outside a run do nothing.

    Parameters
    ----------
    measurements : pandas.DataFrame
        One row for each thing measured, one column for each thing that was varied or seen.
    """
    if folder := run_folder():
        measurements.to_csv(folder / "measurements.csv", index=False)


def timed(
    take: Callable[[], tuple[dict[str, timing.Timings], dict[str, object]]], file: str = ""
) -> tuple[dict[str, timing.Timings], dict[str, object]]:
    """Take times and keep every sample in the run folder; or read samples that were taken before.

    The conclusions of a recorded run are derived again in this way: in a replay the notebook runs
    with the samples of then, and must reach the verdicts of then.

    Parameters
    ----------
    take : callable
        Measures; returns measurements by name, and what else is to be kept with them, such as
        sizes and formats.  Not called where there are samples already.
    file : str
        A file of samples that were taken on another machine; none if empty.

    Returns
    -------
    dict of str to experiments.timing.Timings
        What was measured, now or then.
    dict of str to JSON values
        When and on what machine, and under ``about`` what `take` had to say.

    Raises
    ------
    UserError
        If the file is not one of samples.
    """
    if replay := os.environ.get(REPLAY):
        return timing.read(Path(replay) / SAMPLES)
    if file:
        series, description = _read(file)
    else:
        series, about = take()
        description = timing.described(**about)
    if folder := run_folder():
        timing.write(folder / SAMPLES, series, description)
    return series, description


def _read(file: str) -> tuple[dict[str, timing.Timings], dict[str, object]]:
    try:
        return timing.read(Path(file))
    except OSError as error:
        raise UserError(f"Cannot read samples from {file}: {error.strerror.lower()}.") from None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(
            f"{file} holds no samples: give a file that python -m experiments.devices has written."
        ) from None
