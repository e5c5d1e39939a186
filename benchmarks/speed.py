"""Ratios of time: this package against SciPy, PyTorch and the plain NumPy formula.

One thread each (``OMP_NUM_THREADS=1``), all in one run, taken in turns: every round times each
competitor once, and a ratio is taken within the round, so that a disturbance of the machine meets
both sides. What is printed is the median of those ratios and their quartiles.

Run ``OMP_NUM_THREADS=1 python -m benchmarks.speed``.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.special
import torch

import softmax_ref as sr

SHAPES = ((1024, 1000), (4096, 4096), (64, 128_256), (1, 4_194_304))


def plain_softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_log_softmax(x: np.ndarray) -> np.ndarray:
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def plain_logsumexp(x: np.ndarray) -> np.ndarray:
    m = x.max(axis=-1, keepdims=True)
    return m[..., 0] + np.log(np.exp(x - m).sum(axis=-1))


def competitors(name: str, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """What is timed for one function and one array."""
    tensor = torch.from_numpy(x)
    plain = {
        "softmax": plain_softmax,
        "log_softmax": plain_log_softmax,
        "logsumexp": plain_logsumexp,
    }
    ours = getattr(sr, name)

    def with_two_threads() -> Any:
        sr.set_num_threads(2)
        try:
            return ours(x)
        finally:
            sr.set_num_threads(1)

    return {
        "ours": lambda: ours(x),
        "SciPy": lambda: getattr(scipy.special, name)(x, axis=-1),
        "torch": lambda: getattr(torch, name)(tensor, -1),
        "NumPy formula": lambda: plain[name](x),
        "ours, 2 threads": with_two_threads,
        "copy": lambda: x.copy(),
    }


def measure(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each function in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    names = list(functions)
    for r in range(rounds + 1):
        turn = r % len(names)  # each comes after each other one in turn, in the same state of cache
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            functions[name]()
            if r:
                seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(a: np.ndarray, b: np.ndarray) -> str:
    """Median and quartiles of a/b, round by round."""
    low, middle, high = np.quantile(a / b, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main() -> None:
    """Print the conditions and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="for each line of the table")
    parser.add_argument("--functions", nargs="+", default=["softmax", "log_softmax", "logsumexp"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{datetime.date.today()}, {cpu()}, {os.cpu_count()} logical CPUs;")
    print(f"Python {platform.python_version()}, NumPy {np.__version__},")
    print(f"SciPy {scipy.__version__}, torch {torch.__version__}; one thread each but for the last")
    print("column but one. Times of the others over ours: above 1, ours is faster.\n")
    print(
        "| function | shape | format | SciPy | torch | NumPy formula | gain of 2 threads |", end=""
    )
    print(" ours, ms | of copy bandwidth |")
    print("|---|---|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for dtype in (np.float32, np.float64):
            x = rng.normal(size=shape).astype(dtype)
            for name in arguments.functions:
                functions = competitors(name, x)
                once = sum(values[0] for values in measure(functions, 1).values())
                t = measure(functions, max(5, int(arguments.seconds / once)))
                # A copy reads and writes each entry once; logsumexp only reads.
                moved = 0.5 if name == "logsumexp" else 1.0
                cells = [
                    *(ratio(t[k], t["ours"]) for k in ("SciPy", "torch", "NumPy formula")),
                    ratio(t["ours"], t["ours, 2 threads"]),
                    f"{1e3 * np.median(t['ours']):.2f}",
                    f"{moved * np.median(t['copy'] / t['ours']):.0%}",
                ]
                print(f"| {name} | {shape} | {x.dtype} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
