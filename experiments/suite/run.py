"""Run an experiment so that its results appear whole or not at all."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from experiments.suite import conclusions, provenance
from experiments.suite.catalogue import TAKES_TIMES, Experiment
from experiments.suite.quiet import Quiet
from experiments.suite.storage import FAILED, Store

NOTEBOOK = "notebook.ipynb"
PROVENANCE = "provenance.json"
EXPECTED = ("measurements.csv", conclusions.FILE)
WORKER = (sys.executable, "-m", "experiments.suite.worker")

Progress = Callable[[int, int], None]  # cells done, cells in all


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    name: str
    status: Literal["complete", "reused", "failed"]
    location: str
    seconds: float
    error: str | None = None


class Stop:
    """Ends the runs under way in other threads."""

    def __init__(self) -> None:
        self.asked = False
        self._workers: set[subprocess.Popen] = set()
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, worker: subprocess.Popen) -> Iterator[None]:
        """Know of a worker while it lives."""
        with self._lock:
            self._workers.add(worker)
        if self.asked:
            self.ask()
        try:
            yield
        finally:
            with self._lock:
                self._workers.discard(worker)

    def ask(self) -> None:
        """End all runs: a worker dies when its standard input closes."""
        self.asked = True
        with self._lock:
            for worker in self._workers:
                worker.stdin.close()


def run(
    experiment: Experiment,
    given: Mapping[str, object],
    store: Store,
    progress: Progress = lambda done, total: None,
    *,
    again: bool = False,
    stop: Stop | None = None,
    quiet: Quiet | None = None,
    threads: int | None = None,
) -> Outcome:
    """Run an experiment, unless the same run is already complete.

    Parameters
    ----------
    experiment : Experiment
        What to run.
    given : mapping
        The parameters passed by the user; the rest take their defaults.
    store : Store
        Where the results go; it has been prepared.
    progress : callable
        Called with 0 and 0 when the run starts (one that is reused does not), then after each cell
        with the number of cells done and the number of cells.
    again : bool
        Whether to run although the same run is complete, and to replace it.
    stop : Stop, optional
        By which another thread may end the run.
    quiet : Quiet, optional
        By which runs in other threads stand still while this one takes times.
    threads : int, optional
        How many threads the libraries may use; what the environment says, if it says anything,
        stands.

    Returns
    -------
    Outcome
        ``complete`` or ``reused`` with the run's place; ``failed`` with a place whose name ends in
        ``.failed`` and which keeps the notebook up to the error.

    Raises
    ------
    UserError
        If a parameter is wrong.
    KeyboardInterrupt
        If the run was stopped; nothing is kept of it.
    """
    settings = experiment.settings(given)
    determined_by = provenance.determinants(experiment, settings)
    name = provenance.run_name(determined_by)
    if not again and store.has(name):
        return Outcome(name, "reused", store.location(name), 0.0)
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    environment = limits | dict(os.environ)
    stop, quiet = stop or Stop(), quiet or Quiet()
    with quiet.working(), store.workspace() as folder:
        progress(0, 0)
        record = determined_by | {"run": name, "given": dict(given)}
        with _worker(experiment, settings, folder, environment) as worker, stop.watch(worker):
            record |= {"git": provenance.commit(), "machine": provenance.machine(environment)}
            record |= _execute(worker, folder, progress, quiet)
        if stop.asked:
            raise KeyboardInterrupt
        if provenance.determinants(experiment, settings) != determined_by:
            record["error"] = record["error"] or "the code changed while it ran"
        _finish(folder, record)
        error = record["error"]
        if error:
            store.publish(folder, name + FAILED, replace=True)
        else:
            store.publish(folder, name, replace=again)
            store.remove(name + FAILED)
    place = store.location(name + FAILED if error else name)
    return Outcome(name, "failed" if error else "complete", place, record["seconds"], error)


# --- the notebook's process -------------------------------------------------------------------


def _execute(
    worker: subprocess.Popen, folder: Path, progress: Progress, quiet: Quiet
) -> dict[str, object]:
    """Let a worker execute its notebook in a folder; return what is to be known of how it went."""
    record = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    begin = time.perf_counter()
    error = _follow(worker, progress, quiet) or _missing(folder)
    return record | {
        "seconds": round(time.perf_counter() - begin, 3),
        "exit_status": worker.returncode,
        "error": provenance.anonymous(error, folder) if error else None,
    }


@contextmanager
def _worker(
    experiment: Experiment,
    settings: Mapping[str, object],
    folder: Path,
    environment: Mapping[str, str],
) -> Iterator[subprocess.Popen]:
    """Start the process that executes the notebook; see that it is gone at the end."""
    folder = folder.resolve()
    order = {
        "notebook": str(experiment.path),
        "output": str(folder / NOTEBOOK),
        "parameters": dict(settings),
        "alone": TAKES_TIMES,
    }
    path = os.pathsep.join(filter(None, (str(provenance.ROOT), environment.get("PYTHONPATH"))))
    environment = {
        **environment,
        "PYTHONPATH": path,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures go to the notebook
        conclusions.RUN_FOLDER: str(folder),
    }
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        worker = subprocess.Popen(
            WORKER,
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


def _follow(worker: subprocess.Popen, progress: Progress, quiet: Quiet) -> str | None:
    """Pass the worker's progress on until it ends; return its error, if any."""
    error = None
    with ExitStack() as alone:
        for line in worker.stdout:
            message = json.loads(line)
            error = message.get("error", error)
            if "waits" in message:
                alone.enter_context(quiet.alone())
                _let_go_on(worker)
            if "cells" in message:
                alone.close()  # the cell that waited has taken its times
                progress(message["cells_done"], message["cells"])
    if worker.wait() and not error:
        error = f"the notebook's process ended with status {worker.returncode}"
    return error


def _let_go_on(worker: subprocess.Popen) -> None:
    with suppress(OSError, ValueError):  # it has been killed, or ended by another thread
        os.write(worker.stdin.fileno(), b"\n")


def _missing(folder: Path) -> str | None:
    absent = [name for name in EXPECTED if not (folder / name).exists()]
    return f"the notebook wrote no {absent[0]}" if absent else None


# --- the finished folder ----------------------------------------------------------------------


def _finish(folder: Path, record: Mapping[str, object]) -> None:
    """Write figures and provenance, and take the machine's paths out of the notebook."""
    notebook = folder / NOTEBOOK
    if content := _whole(notebook):
        content["metadata"].pop("papermill", None)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        notebook.write_text(provenance.anonymous(text, folder), encoding="utf-8")
        _write_figures(content["cells"], folder / "figures")
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")
    log = folder / "log.txt"
    if record["error"]:
        log.write_text(provenance.anonymous(log.read_text(encoding="utf-8"), folder))
    else:
        log.unlink()


def _whole(notebook: Path) -> dict | None:
    """Read a notebook; None if there is none, or one cut short because the disk was full."""
    try:
        return json.loads(notebook.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _write_figures(cells: list[dict], folder: Path) -> None:
    """Save each figure of an executed notebook under its name in the book."""
    for number, cell in enumerate(cells):
        name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name", f"cell-{number}")
        for output in cell.get("outputs", []):
            if image := output.get("data", {}).get("image/png"):
                folder.mkdir(exist_ok=True)
                (folder / f"{name}.png").write_bytes(base64.b64decode(image))
