"""Figures of the suite that need a quiet machine; none of them is a test.

    python -m tests.experiments.benchmark_suite overhead   a run against bare papermill
    python -m tests.experiments.benchmark_suite workers    the quick sweep by two workers and by one
    python -m tests.experiments.benchmark_suite killed     200 runs, killed five times and resumed
    python -m tests.experiments.benchmark_suite killed-stub   the same, with a stub for each kernel

The load of the machine is printed with each figure: what a busy machine says is worth little.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from experiments.suite import catalogue, provenance
from experiments.suite.run import PROVENANCE
from experiments.suite.storage import FAILED, FolderStore
from experiments.timing import WallClock, measure
from tests.experiments.tiny import write_notebook

# A sweep on notebooks of our own, with real kernels, or with a stub that is named.
COMMAND = """\
import os, sys
from pathlib import Path
from experiments.suite import catalogue, cli, run
catalogue.FOLDER = Path(sys.argv[1])
if stub := os.environ.get("STUB"):
    run.WORKER = (sys.executable, stub)
sys.exit(cli.main(sys.argv[2:]))"""

LOG = "from pathlib import Path; Path({!r}).open('a').write(f'{{n}}\\n')"


def main() -> None:
    """Measure what is asked for in a temporary folder."""
    benchmarks = {"overhead": overhead, "workers": workers, "killed": killed}
    benchmark = (benchmarks | {"killed-stub": killed_with_stub})[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        for line in benchmark(Path(folder)):
            print(line, flush=True)
    print(f"Load now: {os.getloadavg()[0]:.1f} on {os.cpu_count()} threads.")


def sweep(folder: Path, path: Path, *options: str) -> subprocess.Popen:
    """Start a sweep in a process of its own."""
    command = [sys.executable, "-c", COMMAND, str(folder), "sweep", str(path), *options]
    return subprocess.Popen(command, cwd=provenance.ROOT, stdout=subprocess.DEVNULL)


def overhead(folder: Path):
    """Time a whole run of `overflow`, and papermill alone on the same notebook, in turns."""
    fresh = (folder / f"runs-{i}" for i in count())
    experiment = catalogue.experiment("overflow")

    def suite() -> None:
        call = [sys.executable, "-m", "experiments", "run", experiment.name]
        _check(call, "--out", str(next(fresh)))

    def papermill() -> None:
        call = [sys.executable, "-m", "papermill", str(experiment.path)]
        _check(call, str(next(fresh)) + ".ipynb", "--no-progress-bar")

    timings = measure(
        {"papermill": papermill, "suite": suite},
        clock=WallClock(),
        sample_seconds=0,
        warm_up_seconds=0,
        precision=0.01,
        max_seconds=1e9,
        max_rounds=10,
    )
    ratio = timings.ratio("suite", to="papermill")
    yield from (f"{name}: {timings.median(name).value:.2f} s" for name in timings.seconds)
    yield f"suite over papermill: {ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
    yield from timings.notices


def workers(folder: Path, rounds: int = 3):
    """Time the quick sweep by one worker and by two, in turns."""
    for turn in range(rounds):
        seconds = {}
        for number in ("1", "2") if turn % 2 else ("2", "1"):
            call = [sys.executable, "-m", "experiments", "sweep", "quick", "--workers", number]
            begin = time.monotonic()
            _check(call, "--out", str(folder / f"runs-{turn}-{number}"))
            seconds[number] = time.monotonic() - begin
        one, two = seconds["1"], seconds["2"]
        yield f"one worker: {one:.1f} s, two workers: {two:.1f} s, ratio {one / two:.3f}"


def killed(folder: Path, runs: int = 200, kills: int = 5):
    """Kill a sweep of many runs at random moments, resume it, and count what was lost."""
    log = folder / "log"
    log.touch()
    write_notebook(folder / "tiny.ipynb", LOG.format(str(log)))
    path = folder / "many.yml"
    path.write_text(f"runs: [{{experiment: tiny, grid: {{n: {list(range(100, runs + 100))}}}}}]")
    store, lost, repeated = FolderStore(folder / "runs"), 0, 0
    chance, begin = random.Random(0), time.monotonic()
    for kill in range(kills + 1):
        before = _complete(store)
        process = sweep(folder, path, "--workers", "2", "--out", str(store.root))
        if kill < kills:
            while len(_complete(store)) < (kill + 1) * runs // (kills + 1):
                time.sleep(0.2)
            time.sleep(chance.uniform(0, 3))
            process.send_signal(signal.SIGKILL)
        process.wait()
        after = _complete(store)
        lost += len(before.keys() - after.keys())
        repeated += sum(after[name] != before[name] for name in before.keys() & after.keys())
        yield f"{time.monotonic() - begin:5.0f} s: {len(after)} of {runs} complete" + (
            ", killed" if kill < kills else ""
        )
    broken = [path.name for path in store.root.iterdir() if path.name.startswith(".")]
    yield f"Lost: {lost}.  Repeated: {repeated}.  Left over: {len(broken)}."
    executed = len(log.read_text().split())
    yield f"Executions begun: {executed}, of which {executed - runs} were killed under way."


def killed_with_stub(folder: Path):
    """Do the same with a process that takes the place of papermill and kernel: minutes less."""
    os.environ["STUB"] = str(Path(__file__).with_name("stub_worker.py"))
    os.environ["STUB_LOG"] = str(folder / "log")
    return killed(folder)


def _complete(store: FolderStore) -> dict[str, int]:
    """Return the complete runs, each with the moment at which it was written."""
    names = {name for name in store.names() if not name.endswith(FAILED)}
    return {name: (store.root / name / PROVENANCE).stat().st_mtime_ns for name in names}


def _check(call: list[str], *arguments: str) -> None:
    subprocess.run([*call, *arguments], cwd=provenance.ROOT, check=True, capture_output=True)


if __name__ == "__main__":
    main()
