"""Run an experiment into a folder that appears whole or not at all.

A run works in ``.partial-…`` beside its target and is renamed when all is in it.  While it works
it holds a lock beside the folder; a partial folder whose lock is free was left by a killed run.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from experiments.suite import conclusions, provenance
from experiments.suite.catalogue import Experiment
from experiments.suite.errors import UserError

NOTEBOOK = "notebook.ipynb"
EXPECTED = ("measurements.csv", "conclusions.json")
PARTIAL = ".partial-"

Progress = Callable[[int, int], None]  # cells done, cells in all


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    name: str
    status: Literal["complete", "reused", "failed"]
    folder: Path
    seconds: float
    error: str | None = None


def run(
    experiment: Experiment,
    given: Mapping[str, object],
    out: Path,
    progress: Progress = lambda done, total: None,
) -> Outcome:
    """Run an experiment, unless the same run is already complete.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    given : mapping
        The parameters passed by the user; the rest take their defaults.
    out : Path
        The folder that holds the run folders; made if it is not there.
    progress : callable
        Called with 0 and 0 when the run starts (one that is reused does not), then after each cell
        with the number of cells done and the number of cells.

    Returns
    -------
    Outcome
        ``complete`` or ``reused`` with the run's folder; ``failed`` with the folder, named
        ``….failed``, that keeps the notebook up to the error.

    Raises
    ------
    UserError
        If a parameter is wrong or the folder cannot be written.
    """
    settings = experiment.settings(given)
    determined_by = provenance.determinants(experiment, settings)
    name = provenance.run_name(determined_by)
    target = out / name
    make_writable(out)
    discard_leftovers(out)
    if target.is_dir():
        return Outcome(name, "reused", target, 0.0)
    progress(0, 0)
    with _partial_folder(out) as folder:
        record = determined_by | {"run": name, "given": dict(given)}
        record |= {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        record |= {"git": provenance.commit()}
        begin = time.perf_counter()
        with _worker(experiment, settings, folder) as worker:
            record["machine"] = provenance.machine()
            error = _follow(worker, progress)
        error = error or _missing(folder)
        seconds = round(time.perf_counter() - begin, 3)
        record |= {"seconds": seconds}
        record |= {"exit_status": worker.returncode, "error": error}
        _finish(folder, record)
        if error:
            target = out / f"{name}.failed"
            shutil.rmtree(target, ignore_errors=True)
        _publish(folder, target)
    return Outcome(name, "failed" if error else "complete", target, seconds, error)


def discard_leftovers(out: Path) -> None:
    """Remove the partial folders of runs that were killed; leave those of live runs alone."""
    for folder in out.glob(f"{PARTIAL}*/"):
        lock = _lock(folder)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def make_writable(out: Path) -> None:
    """Make a folder for results, and see that files can be made in it.

    Raises
    ------
    UserError
        If that is not possible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f"{PARTIAL}{uuid.uuid4().hex}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"Cannot write results to {out}: {reason}.") from None


@contextmanager
def _partial_folder(out: Path) -> Iterator[Path]:
    """Yield a fresh folder to work in; remove what is left of it at the end."""
    folder = out / f"{PARTIAL}{uuid.uuid4().hex[:12]}"
    lock = _lock(folder)
    with lock:  # held before the folder exists, so that nobody takes it for a leftover
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def _lock(folder: Path) -> FileLock:
    return FileLock(f"{folder}.lock")


# --- the notebook's process -------------------------------------------------------------------


@contextmanager
def _worker(
    experiment: Experiment, settings: Mapping[str, object], folder: Path
) -> Iterator[subprocess.Popen]:
    """Start the process that executes the notebook; see that it is gone at the end."""
    folder = folder.resolve()
    order = {
        "notebook": str(experiment.path),
        "output": str(folder / NOTEBOOK),
        "parameters": dict(settings),
    }
    path = os.pathsep.join(filter(None, (str(provenance.ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {
        "PYTHONPATH": path,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures go to the notebook
        conclusions.RUN_FOLDER: str(folder),
    }
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "experiments.suite.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=provenance.ROOT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches only this process, which then ends the worker
        )
        try:
            worker.stdin.write(json.dumps(order) + "\n")
            worker.stdin.flush()
            yield worker
        finally:
            worker.stdin.close()
            worker.wait()
            worker.stdout.close()


def _follow(worker: subprocess.Popen, progress: Progress) -> str | None:
    """Pass the worker's progress on until it ends; return its error, if any."""
    error = None
    for line in worker.stdout:
        message = json.loads(line)
        error = message.get("error", error)
        if "cells" in message:
            progress(message["cells_done"], message["cells"])
    if worker.wait() and not error:
        error = f"the notebook's process ended with status {worker.returncode}"
    return provenance.anonymous(error) if error else None


def _missing(folder: Path) -> str | None:
    absent = [name for name in EXPECTED if not (folder / name).exists()]
    return f"the notebook wrote no {absent[0]}" if absent else None


# --- the finished folder ----------------------------------------------------------------------


def _finish(folder: Path, record: Mapping[str, object]) -> None:
    """Write figures and provenance, and take the machine's paths out of the notebook."""
    notebook = folder / NOTEBOOK
    if notebook.exists():
        content = json.loads(notebook.read_text(encoding="utf-8"))
        content["metadata"].pop("papermill", None)
        notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        _write_figures(content["cells"], folder / "figures")
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / "provenance.json").write_text(text + "\n", encoding="utf-8")
    if not record["error"]:
        (folder / "log.txt").unlink()


def _write_figures(cells: list[dict], folder: Path) -> None:
    """Save each figure of an executed notebook under its name in the book."""
    for number, cell in enumerate(cells):
        name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name", f"cell-{number}")
        for output in cell.get("outputs", []):
            if image := output.get("data", {}).get("image/png"):
                folder.mkdir(exist_ok=True)
                (folder / f"{name}.png").write_bytes(base64.b64decode(image))


def _publish(folder: Path, target: Path) -> None:
    """Give the finished folder its name; where an equal run was quicker, keep that one."""
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise
