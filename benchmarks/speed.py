"""Ratios of time: this package against SciPy, PyTorch and the plain NumPy formula.

One thread each (``OMP_NUM_THREADS=1``), all in one run, in turns. A turn is calls for 50 ms that do
not count and then calls for at least 50 ms, of which the median counts. A ratio is taken between
two turns of one round, so that a disturbance of the machine meets both sides. What is printed is
the median of those ratios and their quartiles, from the quietest of three tries: the one in which
other processes of the machine were least busy.

Each competitor runs in a new process for each array, as in a program that uses only the one and
works on such arrays. With ``--one-process`` they all share one, and with it the memory that others
have freed.

Run ``OMP_NUM_THREADS=1 python -m benchmarks.speed``.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

SHAPES = ((1024, 1000), (4096, 4096), (64, 128_256), (1, 4_194_304))
COMPETITORS = ("ours", "SciPy", "torch", "NumPy formula", "ours, 2 threads", "copy")


def plain_softmax(x: np.ndarray) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def plain_log_softmax(x: np.ndarray) -> Any:
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def plain_logsumexp(x: np.ndarray) -> Any:
    m = x.max(axis=-1, keepdims=True)
    return m[..., 0] + np.log(np.exp(x - m).sum(axis=-1))


PLAIN = {"softmax": plain_softmax, "log_softmax": plain_log_softmax, "logsumexp": plain_logsumexp}


def function_of(competitor: str, name: str) -> Callable[[np.ndarray], Any]:
    """The function of an array that is timed; only the competitor's own library is imported."""
    if competitor == "copy":
        return np.copy
    if competitor == "NumPy formula":
        return PLAIN[name]
    if competitor == "SciPy":
        import scipy.special

        return partial(getattr(scipy.special, name), axis=-1)
    if competitor == "torch":
        import torch

        torch.set_num_threads(1)
        function = getattr(torch, name)
        return lambda x: function(torch.from_numpy(x), -1)
    import softmax_ref

    def ours(x: np.ndarray) -> Any:
        softmax_ref.set_num_threads(2 if "2 threads" in competitor else 1)
        return getattr(softmax_ref, name)(x)

    return ours


def turn(call: Callable[[], Any], at_least: float = 0.05) -> float:
    """Median seconds of a call, over calls that take at least so long together.

    Calls for as long go before them and do not count.
    """
    end = time.perf_counter() + at_least
    while time.perf_counter() < end:
        call()
    seconds: list[float] = []
    while sum(seconds) < at_least:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


class Here:
    """A competitor in this process, with the array that it works on."""

    def __init__(self, competitor: str, shape: tuple[int, int], dtype: str) -> None:
        self.competitor = competitor
        self.x = np.random.default_rng(0).normal(size=shape).astype(dtype)

    def turn(self, name: str) -> tuple[float, float]:
        """Seconds of a call, and processor time of the whole turn."""
        start = time.process_time()
        seconds = turn(partial(function_of(self.competitor, name), self.x))
        return seconds, time.process_time() - start


class Elsewhere:
    """The same in a process of its own, which ends with this object."""

    def __init__(self, *description: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far_end = context.Pipe()
        context.Process(target=serve, args=(far_end, *description), daemon=True).start()
        self.pipe.recv()

    def turn(self, name: str) -> Any:
        self.pipe.send(name)
        return self.pipe.recv()


def serve(pipe: Connection, *description: Any) -> None:
    """Take a turn for each name that comes, until the other end is closed."""
    here = Here(*description)
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(here.turn(pipe.recv()))


def busy() -> float:
    """Processor time that all processes of the machine have used, in seconds (Linux)."""
    user, nice, system, _idle, _wait, *interrupts = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")


def measure(
    competitors: dict[str, Here | Elsewhere], name: str, seconds: float
) -> tuple[dict[str, np.ndarray], float]:
    """Seconds of each competitor in each round, and the cores that other processes kept busy.

    For about so long, at least five rounds.
    """
    order = list(competitors)
    rounds: list[dict[str, tuple[float, float]]] = []
    start, busy_before = time.perf_counter(), busy()
    while len(rounds) < 5 or time.perf_counter() < start + seconds:
        first = len(rounds) % len(order)
        turns = order[first:] + order[:first]
        rounds.append({who: competitors[who].turn(name) for who in turns})
    own = sum(cpu for r in rounds for _, cpu in r.values())
    others = (busy() - busy_before - own) / (time.perf_counter() - start)
    return {who: np.array([r[who][0] for r in rounds]) for who in order}, others


def ratio(a: np.ndarray, b: np.ndarray) -> str:
    """Median and quartiles of a/b, round by round."""
    low, middle, high = np.quantile(a / b, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def line(name: str, x: np.ndarray, t: dict[str, np.ndarray], others: float) -> str:
    """A row of the table; `x` is an array of the shape and the format that were timed."""
    # A copy reads and writes each entry once; logsumexp only reads.
    moved = 0.5 if name == "logsumexp" else 1.0
    cells = [
        name,
        str(x.shape),
        str(x.dtype),
        *(ratio(t[who], t["ours"]) for who in ("SciPy", "torch", "NumPy formula")),
        ratio(t["ours"], t["ours, 2 threads"]) if len(x) > 1 else "one row",
        f"{1e3 * np.median(t['ours']):.2f}",
        f"{1e9 * np.median(t['ours']) / x.size:.2f}",
        f"{moved * np.median(t['copy'] / t['ours']):.0%}",
        f"{max(others, 0):.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    for entry in Path("/proc/cpuinfo").read_text().splitlines():
        if entry.startswith("model name"):
            return entry.split(":")[1].strip()
    return platform.processor()


def main() -> None:
    """Print the conditions and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each try")
    parser.add_argument("--tries", type=int, default=3, help="of which the quietest is printed")
    parser.add_argument("--functions", nargs="+", default=list(PLAIN), choices=list(PLAIN))
    parser.add_argument("--rows", nargs="+", type=int, help="only the shapes with so many rows")
    parser.add_argument("--one-process", action="store_true", help="all competitors in one process")
    arguments = parser.parse_args()
    versions = (f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "scipy", "torch"))
    print(f"{datetime.date.today()}, {cpu()}, {os.cpu_count()} logical CPUs,")
    print(f"Python {platform.python_version()}, {', '.join(versions)}; competitors in", end=" ")
    print("one process." if arguments.one_process else "a new process each.")
    print("Times of the others over ours: above 1, ours is faster; medians and quartiles.")
    print("The last column is what other processes kept busy, in percent of a core.\n")
    print("| function | shape | format | SciPy | torch | NumPy formula |", end=" ")
    print("gain of 2 threads | ours, ms | ns an entry | of copy bandwidth | others |")
    print("|---" * 11 + "|")
    where = Here if arguments.one_process else Elsewhere
    for shape in SHAPES:
        if arguments.rows and shape[0] not in arguments.rows:
            continue
        for dtype in ("float32", "float64"):
            competitors = {who: where(who, shape, dtype) for who in COMPETITORS}
            for name in arguments.functions:
                tries = [
                    measure(competitors, name, arguments.seconds) for _ in range(arguments.tries)
                ]
                t, others = min(tries, key=itemgetter(1))
                print(line(name, np.empty(shape, dtype), t, others), flush=True)


if __name__ == "__main__":
    main()
