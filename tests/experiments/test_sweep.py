"""Sweeps: several at once, resumed, killed, on a full disk, elsewhere than on this disk, again."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from experiments.suite import catalogue, cli, display, execute, run, storage
from experiments.suite.errors import UserError
from experiments.suite.storage import FolderStore, open_store
from tests.experiments.tiny import write_notebook

ROOT = Path(__file__).resolve().parents[2]
STUB = (sys.executable, str(Path(__file__).with_name("stub_worker.py")))
PATIENCE = 90  # seconds until a process must have got somewhere, on a busy machine

# The command line in a process of its own, on our notebooks and with the stub.
COMMAND = f"""\
import sys
from pathlib import Path
from experiments.suite import catalogue, cli, run
catalogue.FOLDER, run.WORKER = Path(sys.argv[1]), {STUB!r}
sys.exit(cli.main(sys.argv[2:]))"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a folder with a tiny experiment; the stub executes it and logs each run."""
    write_notebook(tmp_path / "tiny.ipynb")
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "WORKER", STUB)
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "log"))
    return tmp_path


@pytest.fixture
def gate(place, monkeypatch):
    """Return a file: as long as it is there, runs wait."""
    monkeypatch.setenv("STUB_GATE", str(place / "gate"))
    (place / "gate").touch()
    yield place / "gate"
    (place / "gate").unlink(missing_ok=True)


def sweep_of(place, values):
    """Write a sweep over n; return its path."""
    path = place / "sweep.yml"
    path.write_text(f"runs: [{{experiment: tiny, grid: {{n: {list(values)}}}}}]", encoding="utf-8")
    return str(path)


def executed(place):
    """Return the values of n in the order in which they were executed to their end."""
    log = place / "log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def start(place, *arguments, **kwargs):
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(place), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def interruptible():
    """Hear of Ctrl-C, which what a shell starts in the background does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(condition):
    """Wait until something is true."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.02)


def states(store):
    """Return how many runs of a store are complete, and how many failed."""
    failed = [name for name in store.names() if name.endswith(storage.FAILED)]
    return len(store.names()) - len(failed), len(failed)


# --- failure, repetition, several at once ---------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failed_run_is_kept_and_does_not_stop_the_others(place, workers, capsys):
    line = ["sweep", sweep_of(place, [50, 3, 4]), "--workers", workers, "--out"]
    line.append(str(place / "runs"))
    assert cli.main(line) == 1
    out, err = capsys.readouterr()
    assert err.startswith("tiny n=50: failed: AssertionError: too many (kept in ")
    assert out.count(": started\n") == 3
    assert out.count(": done in ") == 2
    assert states(FolderStore(place / "runs")) == (2, 1)

    assert cli.main(line) == 1  # what failed is tried again, what is complete is not
    out, _ = capsys.readouterr()
    assert out.count(": started\n") == 1
    assert out.count(": already complete in ") == 2
    assert sorted(executed(place)) == [3, 4]


def test_what_comes_to_the_same_is_run_once(place, capsys):
    path = place / "twice.yml"
    same = "[{experiment: tiny}, {experiment: tiny, grid: {n: [3]}}]"
    path.write_text(f"runs: {same}", encoding="utf-8")
    assert cli.main(["sweep", str(path), "--workers", "2", "--out", str(place / "runs")]) == 0
    assert executed(place) == [3]


def test_what_takes_times_comes_last_and_takes_them_alone(place, capsys):
    """Two runs at once: while one takes times no other is at work."""
    write_notebook(place / "times.ipynb", "timed(lambda: ({}, {}))")
    path = place / "both.yml"
    grid = "grid: {n: [2, 3, 4, 5]}"
    path.write_text(f"runs: [{{experiment: times, {grid}}}, {{experiment: tiny, {grid}}}]")
    assert cli.main(["sweep", str(path), "--workers", "2", "--out", str(place / "runs")]) == 0
    started = [line for line in capsys.readouterr().out.splitlines() if line.endswith("started")]
    assert [started[i].split()[0] for i in (0, 1, -2, -1)] == ["tiny"] * 2 + ["times"] * 2
    found = [json.loads(path.read_text()) for path in place.glob("runs/*/spans.json")]
    spans = [(kind, *span) for each in found for kind, span in each.items()]
    for kind, begin, end in spans:
        if kind == "alone":
            meanwhile = [span for span in spans if span[1] < end and span[2] > begin]
            assert meanwhile == [("alone", begin, end)]
    assert len(found) == 8
    assert len(spans) == 12


@pytest.mark.parametrize(
    ("processor", "workers", "said", "together"),
    [(8, 2, None, "4"), (2, 3, None, "1"), (8, 1, None, None), (8, 2, "7", "7")],
)
def test_runs_at_once_share_the_threads(place, monkeypatch, processor, workers, said, together):
    """What takes times is alone and has them all; what the environment says stands."""
    monkeypatch.setattr(os, "cpu_count", lambda: processor)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    write_notebook(place / "times.ipynb", "timed(lambda: ({}, {}))")
    path = place / "both.yml"
    path.write_text("runs: [{experiment: times}, {experiment: tiny}]")
    out = place / "runs"
    assert cli.main(["sweep", str(path), "--workers", str(workers), "--out", str(out)]) == 0
    limits = {}
    for record in out.glob("*/provenance.json"):
        content = json.loads(record.read_text())
        threads = content["machine"]["thread_limits"].get("OMP_NUM_THREADS")
        limits[content["experiment"]] = threads, (record.parent / "threads").read_text()
    assert limits == {
        "tiny": (together, together or "all"),
        "times": (said, said or "all"),
    }


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_again_repeats_a_run_and_replaces_it(place, kind, capsys):
    out = str(place / "runs") if kind == "folder" else f"memory://{place.name}"
    for again in ([], ["--again"], []):
        assert cli.main(["sweep", sweep_of(place, [3]), "--out", out, *again]) == 0
    assert executed(place) == [3, 3]
    assert states(open_store(out)) == (1, 0)


def test_a_run_that_succeeds_at_last_is_no_longer_failed(place, capsys):
    line = ["run", "tiny", "--out", str(place / "runs")]
    run_error = "import sys; sys.exit(3)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "WORKER", (sys.executable, "-c", f"input(); {run_error}"))
        assert cli.main(line) == 1
    assert states(FolderStore(place / "runs")) == (0, 1)
    assert cli.main(line) == 0
    assert states(FolderStore(place / "runs")) == (1, 0)


def test_several_run_at_once(place, gate):
    process = start(
        place, "sweep", sweep_of(place, [2, 3, 4]), "--workers", "2", "--out", str(place)
    )
    until(lambda: len(list(place.glob(f"{storage.PARTIAL}*/measurements.csv"))) == 2)
    time.sleep(0.2)
    assert len(list(place.glob(f"{storage.PARTIAL}*/"))) == 2  # two, and no more
    gate.unlink()
    assert process.communicate(timeout=PATIENCE)[1] == ""
    assert len(executed(place)) == 3


def test_a_run_whose_code_changes_under_it_is_not_complete(place, gate):
    """Which code made the results cannot be told; run again, it can."""
    line = ("sweep", sweep_of(place, [3]), "--out", str(place / "runs"))
    process = start(place, *line)
    until(lambda: list((place / "runs").glob(f"{storage.PARTIAL}*/measurements.csv")))
    write_notebook(place / "tiny.ipynb", "other = 1")
    gate.unlink()
    assert "failed: the code changed while it ran" in process.communicate(timeout=PATIENCE)[1]
    assert states(FolderStore(place / "runs")) == (0, 1)
    process = start(place, *line)
    process.communicate(timeout=PATIENCE)
    assert states(FolderStore(place / "runs"))[0] == 1


# --- killed, interrupted, no space ----------------------------------------------------------


def test_a_killed_sweep_goes_on_where_it_was(place, gate):
    """kill -9 in the middle of 12 runs, twice: 0 lost, 0 repeated, nothing half-written."""
    line = ("sweep", sweep_of(place, range(2, 14)), "--workers", "2", "--out", str(place / "runs"))
    gate.unlink()
    for at_least in (2, 6):
        process = start(place, *line)
        until(lambda least=at_least: len(executed(place)) >= least)
        gate.touch()
        until(lambda: list((place / "runs").glob(f"{storage.PARTIAL}*/measurements.csv")))
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(descendants, timeout=PATIENCE)
        assert not alive
        gate.unlink()
    kept, _ = states(FolderStore(place / "runs"))
    before = len(executed(place))
    process = start(place, *line)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert states(FolderStore(place / "runs")) == (12, 0)
    assert set(executed(place)) == set(range(2, 14))
    assert len(executed(place)) - before == 12 - kept  # what was complete was not repeated
    assert all(path.name.startswith("tiny-") for path in (place / "runs").iterdir())


def test_a_killed_worker_is_a_failed_run_and_the_others_go_on(place, gate):
    process = start(place, "sweep", sweep_of(place, [2, 3]), "--out", str(place / "runs"))
    until(lambda: list((place / "runs").glob(f"{storage.PARTIAL}*/measurements.csv")))
    (worker,) = [
        child
        for child in psutil.Process(process.pid).children()
        if any("stub_worker" in word for word in child.cmdline())
    ]
    worker.kill()
    until(lambda: states(FolderStore(place / "runs"))[1])
    gate.unlink()
    _, err = process.communicate(timeout=PATIENCE)
    assert "failed: the notebook's process ended with status -9" in err
    assert executed(place) == [3]


@pytest.fixture
def waiting(place, gate):
    """Start a sweep in which one run works and two wait to be alone; return it, and their files."""
    write_notebook(place / "times.ipynb", "timed(lambda: ({}, {}))")
    path = place / "both.yml"
    path.write_text("runs: [{experiment: tiny}, {experiment: times, grid: {n: [2, 4]}}]")
    line = ("sweep", str(path), "--workers", "2", "--out", str(place / "runs"))
    process = start(place, *line, preexec_fn=interruptible)
    found = lambda: list((place / "runs").glob(f"{storage.PARTIAL}*/waits"))  # noqa: E731
    try:
        until(lambda: len(found()) == 2 and all(path.read_text() for path in found()))
        yield process, found()
    finally:
        process.kill()
        process.communicate()


def test_a_worker_killed_while_it_waits_lets_the_others_go_on(place, gate, waiting):
    process, (killed, other) = waiting
    n = int((other.parent / "measurements.csv").read_text().split()[1])
    os.kill(int(killed.read_text()), signal.SIGKILL)
    gate.unlink()
    _, err = process.communicate(timeout=PATIENCE)
    assert f"times n={6 - n}: failed: the notebook's process ended with status -9" in err
    assert sorted(executed(place)) == sorted([3, n])


def test_interruption_while_a_run_waits_ends_cleanly(place, waiting):
    process, files = waiting
    workers = [psutil.Process(int(path.read_text())) for path in files]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not psutil.wait_procs(workers, timeout=PATIENCE)[1]
    assert list((place / "runs").iterdir()) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_interruption_ends_cleanly(place, gate, workers):
    line = ("sweep", sweep_of(place, range(2, 9)), "--workers", workers, "--out")
    process = start(place, *line, str(place / "runs"), preexec_fn=interruptible)
    until(lambda: list((place / "runs").glob(f"{storage.PARTIAL}*/measurements.csv")))
    descendants = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert message.strip() == "Interrupted: complete runs are kept, the one under way is not."
    assert not list((place / "runs").iterdir())
    assert not psutil.wait_procs(descendants, timeout=PATIENCE)[1]


def test_a_full_disk_keeps_what_is_complete(place):
    """Files may have 100 kB: the run that writes 1 MB is a failed one, the others complete."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    line = ("sweep", sweep_of(place, [3, 60, 4]), "--out", str(place / "runs"))
    process = start(place, *line, preexec_fn=limit)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "n=60: failed: the notebook's process ended with status 1" in err
    assert states(FolderStore(place / "runs")) == (2, 1)


def test_a_disk_too_full_for_anything_ends_the_sweep_with_a_sentence(place):
    """Files may have 1 kB, less than a notebook: nothing appears, and one sentence says why."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))  # noqa: E731
    line = ("sweep", sweep_of(place, [3, 4]), "--out", str(place / "runs"))
    process = start(place, *line, preexec_fn=limit)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "Cannot go on: file too large."
    assert states(FolderStore(place / "runs"))[0] == 0


# --- where results are kept -----------------------------------------------------------------


@pytest.fixture(params=["folder", "file", "memory"])
def store(request, tmp_path):
    """Return a store of each kind."""
    places = {"folder": tmp_path / "s", "file": f"file://{tmp_path}/s", "memory": "memory://s"}
    store = open_store(places[request.param])
    store.prepare()
    yield store
    for name in store.names():
        store.remove(name)


def put(store, name, text, **kwargs):
    """Publish a run with one file."""
    with store.workspace() as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "a.txt").write_text(text, encoding="utf-8")
        store.publish(folder, name, **kwargs)


def test_a_store_gives_back_what_was_put(store):
    assert store.names() == set()
    put(store, "a", "1")
    put(store, "a", "2")  # the first is kept
    put(store, "b", "3")
    put(store, "b", "4", replace=True)
    assert store.names() == {"a", "b"}
    assert store.has("a")
    assert not store.has("c")
    assert [store.read(name, "figures/a.txt") for name in "ab"] == ["1", "4"]
    with pytest.raises(FileNotFoundError):
        store.read("a", "none")
    store.remove("a")
    assert store.names() == {"b"}


def test_elsewhere_only_a_whole_marker_counts():
    import fsspec

    store = open_store("memory://marked")
    store.prepare()
    put(store, "a", "1")
    files = fsspec.filesystem("memory")
    (path,) = files.glob("/marked/a/*/figures/a.txt")
    marker = files.cat_file("/marked/a/complete.json")
    for half in (marker[:-5], b""):
        files.pipe_file("/marked/a/complete.json", half)
        assert not store.has("a")
        assert store.names() == set()
    files.pipe_file("/marked/a/complete.json", marker)
    assert store.read("a", "figures/a.txt") == "1"
    files.pipe_file(path, b"other")
    with pytest.raises(OSError, match="is not what was uploaded"):
        store.read("a", "figures/a.txt")


def test_an_upload_that_breaks_off_leaves_the_earlier_run(monkeypatch):
    store = open_store("memory://broken")
    store.prepare()
    put(store, "a", "1")
    whole = store._put

    def break_off(path, content):
        if path.endswith(storage.MARKER):
            raise OSError("no space left")
        whole(path, content)

    monkeypatch.setattr(store, "_put", break_off)
    with pytest.raises(OSError, match="no space"):
        put(store, "a", "2", replace=True)
    assert store.read("a", "figures/a.txt") == "1"


def test_killed_between_two_renames_a_run_gets_its_name_back(tmp_path):
    store = FolderStore(tmp_path)
    put(store, "a", "1")
    (tmp_path / "a").rename(tmp_path / f"{storage.REPLACED}a")
    assert store.names() == set()
    store.prepare()
    assert store.read("a", "figures/a.txt") == "1"


def test_a_place_that_cannot_be_written_is_one_sentence(monkeypatch):
    import fsspec

    monkeypatch.setattr(
        fsspec.filesystem("memory").__class__,
        "pipe_file",
        lambda *args: (_ for _ in ()).throw(PermissionError(13, "Permission denied")),
    )
    with pytest.raises(UserError, match=r"Cannot write results to memory://x: permission denied\."):
        open_store("memory://x").prepare()


def test_a_sweep_into_memory(place, capsys):
    out = f"memory://{place.name}"
    assert cli.main(["sweep", sweep_of(place, [3, 4, 50]), "--workers", "2", "--out", out]) == 1
    assert states(open_store(out)) == (2, 1)
    assert cli.main(["status", sweep_of(place, [3, 4, 50, 5]), "--out", out, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert [one["state"] for one in next(iter(found.values()))] == [
        "complete",
        "complete",
        "failed",
        "missing",
    ]


# --- what is shown --------------------------------------------------------------------------


def test_lines_tell_how_much_is_left(place, capsys):
    cli.main(["sweep", sweep_of(place, [3, 4]), "--out", str(place / "runs")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["tiny n=3"] * 2 + ["tiny n=4"] * 2
    assert "(1 of 2, about " in lines[1]
    assert lines[1].endswith(" left)")
    assert "left" not in lines[3]


def test_bars_on_a_terminal(place):
    """In a pseudo-terminal there is a bar over the runs and one over the cells."""
    import pty

    line = ["sweep", sweep_of(place, [3, 4]), "--out", str(place / "runs")]
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(place), *line],
        cwd=ROOT,
        stdout=child,
        stderr=child,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(child)
    shown = b""
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(parent)
    assert process.wait(PATIENCE) == 0
    text = shown.decode()
    for expected in ("runs", "1/2", "tiny n=3", "1/2", "tiny n=4: done in "):
        assert expected in text
    assert "started" not in text


def test_json_is_all_that_is_printed(place, capsys):
    out = str(place / "runs")
    assert cli.main(["sweep", sweep_of(place, [3, 50]), "--out", out, "--json"]) == 1
    shown, err = capsys.readouterr()
    assert [one["status"] for one in json.loads(shown)] == ["complete", "failed"]
    assert err == ""
    assert cli.main(["run", "tiny", "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conclusions"][0]["verdict"] == "holds"
    assert cli.main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["parameters"][0]["name"] == "n"


@pytest.mark.parametrize(("seconds", "words"), [(89, "89 s"), (90, "2 min"), (5400, "1.5 h")])
def test_durations(seconds, words):
    assert display.duration(seconds) == words


# --- a cluster ------------------------------------------------------------------------------


def test_no_scheduler_is_one_sentence(place, monkeypatch, capsys):
    monkeypatch.setattr(execute, "PATIENCE", 0.2)
    line = ["sweep", sweep_of(place, [3]), "--out", str(place), "--scheduler", "tcp://127.0.0.1:1"]
    assert cli.main(line) == 2
    err = capsys.readouterr().err
    assert err.startswith("Cannot reach the scheduler tcp://127.0.0.1:1: ")
    assert err.count("\n") == 1
