"""Where a result comes from: what determines it, and on what it was computed.

Nothing here names a user, a host or a folder.
"""

import hashlib
import json
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from experiments.suite.catalogue import FOLDER, Experiment

ROOT = FOLDER.parent
SOURCE_SUFFIXES = (".py", ".mplstyle")
LIBRARIES = (
    "array-api-compat",
    "gmpy2",
    "matplotlib",
    "ml_dtypes",
    "mpmath",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "torch",
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


# --- what determines a run --------------------------------------------------------------------


def determinants(experiment: Experiment, settings: Mapping[str, object]) -> dict[str, object]:
    """Return all that decides what a run computes, as far as this machine can tell."""
    return {
        "experiment": experiment.name,
        "parameters": dict(settings),
        "notebook_code": notebook_hash(experiment.path),
        "softmax_ref": source_hash(ROOT / "softmax_ref"),
        "experiments": source_hash(FOLDER),
        "versions": versions(),
    }


def run_name(determined_by: Mapping[str, object]) -> str:
    """Derive a run's name: equal determinants give equal names, any difference another one."""
    text = json.dumps(determined_by, sort_keys=True)
    return f"{determined_by['experiment']}-{_digest([text.encode()])[:12]}"


def notebook_hash(path: Path) -> str:
    """Hash a notebook's code, cell by cell; prose, tags and outputs do not enter."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return _digest("".join(c["source"]).encode() for c in cells if c["cell_type"] == "code")


def source_hash(folder: Path) -> str:
    """Hash the names and contents of a package's source files."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES)
    return _source_hash(folder, tuple((path, path.stat().st_mtime_ns) for path in files))


@cache
def _source_hash(folder: Path, states: tuple[tuple[Path, int], ...]) -> str:
    """Hash files as they are now; computed once for files that stay as they are."""
    files = [path for path, _ in states]
    names = (path.relative_to(folder).as_posix().encode() for path in files)
    contents = (path.read_bytes() for path in files)
    return _digest(part for pair in zip(names, contents, strict=True) for part in pair)


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    found = {name: _version(name) for name in LIBRARIES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}


def _digest(parts: Iterable[bytes]) -> str:
    """Hash parts so that moving a boundary between them changes the hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# --- on what it was computed ------------------------------------------------------------------


def machine(environment: Mapping[str, str]) -> dict[str, object]:
    """Describe the processor, memory and GPU, a run's threads, and how busy the machine is now."""
    import psutil

    from experiments import timing  # with NumPy, which a command that fails early need not load

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": timing.cpu() or _cpu(),
        "simd": _simd(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "thread_limits": {k: environment[k] for k in THREAD_VARIABLES if k in environment},
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": timing.gpu(),
        "timer_resolution_s": time.get_clock_info("perf_counter").resolution,
        "load_1_min": round(psutil.getloadavg()[0], 2),
    }


def _cpu() -> str | None:
    """Ask a library for the processor's name, which takes it a second."""
    import cpuinfo

    return cpuinfo.get_cpu_info().get("brand_raw")


def _simd() -> list[str]:
    """Return the vector extensions that NumPy uses here, from the weakest to the strongest."""
    import numpy as np

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return extensions["baseline"] + extensions.get("found", [])


def commit() -> dict[str, object] | None:
    """Return the git commit, and whether code that matters differs from it; None without git."""
    git = ["git", "-C", str(ROOT)]
    top = _output([*git, "rev-parse", "--show-toplevel"])
    if not top or Path(top).resolve() != ROOT:
        return None
    changed = _output([*git, "status", "--porcelain", "--", "softmax_ref", "experiments"])
    return {"commit": _output([*git, "rev-parse", "HEAD"]), "dirty": changed != ""}


def _output(command: list[str]) -> str | None:
    """Return what a program prints, or None if it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def anonymous(text: str, folder: Path) -> str:
    """Take this machine's folders, and the one that a run works in, out of a text."""
    short = {
        str(folder.resolve()): "run",
        str(folder): "run",
        str(ROOT): ".",
        str(Path.home()): "~",
    }
    for path, name in short.items():
        text = text.replace(path, name)
    return text
