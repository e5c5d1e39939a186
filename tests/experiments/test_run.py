"""Runs: a folder whole or not at all, reuse, failure, kill -9, provenance."""

import getpass
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from filelock import FileLock

from experiments.suite import conclusions, provenance, run, storage
from experiments.suite.storage import FolderStore
from tests.experiments.tiny import write_notebook

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90  # seconds until a process must have got somewhere, on a busy machine

# The command line on a folder of notebooks of our own.
COMMAND = """\
import sys
from pathlib import Path
from experiments.suite import catalogue, cli
catalogue.FOLDER = Path(sys.argv[1])
sys.exit(cli.main(["run", "tiny", "--out", sys.argv[2]]))"""

# A notebook that waits while a file is there.
WAIT = """\
import time
from pathlib import Path
while Path({!r}).exists():
    time.sleep(0.05)"""

PLOT = """\
import matplotlib.pyplot as plt
plt.plot([n, 2 * n])
plt.show()"""


def fresh(folder):
    """Return a store in a folder, ready for runs."""
    store = FolderStore(folder / "runs")
    store.prepare()
    return store


def folder_of(outcome):
    """Return the folder that a run is kept in."""
    return Path(outcome.location)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a finished run of a tiny notebook with a figure."""
    folder = tmp_path_factory.mktemp("done")
    experiment = write_notebook(folder / "tiny.ipynb", PLOT)
    cells = []
    outcome = run.run(experiment, {"n": "4"}, fresh(folder), lambda i, of: cells.append((i, of)))
    return experiment, outcome, cells


def test_a_run_folder_holds_everything(done):
    _, outcome, _ = done
    assert outcome.status == "complete"
    files = {p.relative_to(folder_of(outcome)).as_posix() for p in folder_of(outcome).rglob("*")}
    assert files == {
        "notebook.ipynb",
        "measurements.csv",
        "conclusions.json",
        "provenance.json",
        "figures",
        "figures/cell-5.png",
    }
    assert (folder_of(outcome) / "measurements.csv").read_text() == "n,twice\n4,8\n"
    assert [item.verdict for item in conclusions.read(folder_of(outcome))] == ["holds"]
    nbformat.validate(nbformat.read(folder_of(outcome) / "notebook.ipynb", as_version=4))


def test_nothing_else_is_left_beside_it(done):
    _, outcome, _ = done
    assert [p.name for p in folder_of(outcome).parent.iterdir()] == [outcome.name]


def test_progress_counts_cells(done):
    _, _, cells = done
    total = cells[-1][1]
    assert cells == [(0, 0)] + [(i + 1, total) for i in range(total)]


def test_a_complete_run_is_reused(done, monkeypatch):
    experiment, outcome, _ = done
    monkeypatch.setattr(run, "_worker", None)  # starting a process would fail
    again = run.run(experiment, {"n": "4"}, FolderStore(folder_of(outcome).parent))
    assert (again.status, folder_of(again)) == ("reused", folder_of(outcome))


def test_provenance_says_what_and_on_what(done):
    experiment, outcome, _ = done
    record = json.loads((folder_of(outcome) / "provenance.json").read_text())
    assert record["parameters"]["n"] == 4
    assert record["given"] == {"n": "4"}
    assert record["notebook_code"] == provenance.notebook_hash(experiment.path)
    assert record["exit_status"] == 0
    assert record["error"] is None
    assert (record["git"] is None) == (provenance.commit() is None)  # none outside of a clone
    for key in ("softmax_ref", "experiments", "versions", "started", "seconds"):
        assert record[key]
    for key in ("cpu", "simd", "threads", "memory_gib", "timer_resolution_s"):
        assert record["machine"][key]
    assert {"gpu", "load_1_min", "thread_limits"} <= record["machine"].keys()


def test_nothing_names_a_user_a_host_or_a_folder(done):
    _, outcome, _ = done
    texts = {p.name: p.read_text() for p in folder_of(outcome).iterdir() if p.is_file()}
    folders = [str(ROOT), str(Path.home()), str(folder_of(outcome).parent)]
    for name, text in texts.items():
        assert not [folder for folder in folders if folder in text], name
    names = rf"\b({re.escape(getpass.getuser())}|{re.escape(socket.gethostname())})\b"
    assert not re.search(names, texts["provenance.json"])


# --- the name -------------------------------------------------------------------------------


@pytest.fixture
def determined(tmp_path):
    experiment = write_notebook(tmp_path / "tiny.ipynb")
    return provenance.determinants(experiment, experiment.settings({}))


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"n": 5}},
        {"notebook_code": "other"},
        {"softmax_ref": "other"},
        {"experiments": "other"},
        {"versions": {"numpy": "0"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_that_determines_a_run_enters_its_name(determined, change):
    assert provenance.run_name(determined | change) != provenance.run_name(determined)


def test_code_enters_the_hash_of_a_notebook_and_prose_does_not(tmp_path):
    before = provenance.notebook_hash(write_notebook(tmp_path / "a.ipynb").path)
    notebook = nbformat.read(tmp_path / "a.ipynb", as_version=4)
    notebook.cells[0].source += "\nMore prose."
    notebook.cells[1].metadata["tags"] = ["hide-input"]
    nbformat.write(notebook, tmp_path / "a.ipynb")
    assert provenance.notebook_hash(tmp_path / "a.ipynb") == before
    assert provenance.notebook_hash(write_notebook(tmp_path / "b.ipynb", "1").path) != before


def test_contents_and_names_enter_the_hash_of_sources(tmp_path):
    hashes = []
    for name, text in (("a.py", "1"), ("a.py", "2"), ("b.py", "2"), ("notes.txt", "2")):
        folder = tmp_path / f"{name}{text}"
        folder.mkdir()
        (folder / name).write_text(text)
        hashes.append(provenance.source_hash(folder))
    assert len(set(hashes)) == 4


# --- failure --------------------------------------------------------------------------------


def test_a_failed_run_is_kept_apart_with_its_error(tmp_path):
    experiment = write_notebook(tmp_path / "tiny.ipynb", "1 / 0")
    outcome = run.run(experiment, {}, fresh(tmp_path))
    assert (outcome.status, outcome.error) == ("failed", "ZeroDivisionError: division by zero")
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [f"{outcome.name}.failed"]
    record = json.loads((folder_of(outcome) / "provenance.json").read_text())
    assert record["error"] == outcome.error
    assert (folder_of(outcome) / "measurements.csv").exists()  # what was measured is not lost


def test_the_kernel_killed_is_a_failed_run(tmp_path):
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    outcome = run.run(write_notebook(tmp_path / "tiny.ipynb", kill), {}, fresh(tmp_path))
    assert outcome.status == "failed"
    assert "DeadKernelError" in outcome.error


def test_a_run_without_conclusions_is_a_failed_run(tmp_path):
    silent = "from experiments.suite import conclusions as c; c.write = lambda *args: None"
    outcome = run.run(write_notebook(tmp_path / "tiny.ipynb", silent), {}, fresh(tmp_path))
    assert outcome.error == "the notebook wrote no conclusions.json"


# --- killed in mid-run ----------------------------------------------------------------------


@pytest.fixture
def waiting(tmp_path):
    """Start a run that waits in its middle; yield its process, the gate's file and the folder."""
    gate, out = tmp_path / "gate", tmp_path / "runs"
    gate.touch()
    write_notebook(tmp_path / "tiny.ipynb", WAIT.format(str(gate)))
    process = start(tmp_path, out)
    until(lambda: list(out.glob(f"{storage.PARTIAL}*/measurements.csv")))
    yield process, gate, out
    gate.unlink(missing_ok=True)
    process.kill()
    process.communicate()


def start(folder, out):
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), str(out)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition):
    """Wait until something is true."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.05)


def test_kill_leaves_no_run_folder_and_the_next_run_succeeds(waiting, tmp_path):
    process, gate, out = waiting
    descendants = psutil.Process(process.pid).children(recursive=True)
    assert len(descendants) >= 2  # papermill's process and the kernel
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(out.glob("tiny-*"))
    psutil.wait_procs(descendants, timeout=PATIENCE)
    assert not [p for p in descendants if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert list(out.glob(f"{storage.PARTIAL}*/"))  # the leftover that the next run finds

    gate.unlink()
    after = start(tmp_path, out)
    message, _ = after.communicate(timeout=PATIENCE)
    assert after.returncode == 0, message
    (folder,) = out.iterdir()  # the leftover is gone
    assert folder.name.startswith("tiny-")
    assert (folder / "provenance.json").exists()


def test_the_partial_folder_of_a_live_run_is_left_alone(tmp_path):
    live, dead = tmp_path / f"{storage.PARTIAL}live", tmp_path / f"{storage.PARTIAL}dead"
    live.mkdir()
    dead.mkdir()
    with FileLock(f"{live}.lock"):
        storage.discard_leftovers(tmp_path)
        assert live.is_dir()
    assert not dead.exists()


def test_of_two_equal_runs_at_once_one_is_kept(tmp_path):
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "target"
    for folder in (first, second):
        folder.mkdir()
        (folder / "who").write_text(folder.name)
    FolderStore(tmp_path).publish(first, "target")
    FolderStore(tmp_path).publish(second, "target")
    assert (target / "who").read_text() == "first"
