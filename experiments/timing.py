"""Timing that can be trusted, with NumPy alone, and torch where a GPU is timed.

What is compared is measured in turns: each round takes one sample of everything, forwards in one
round and backwards in the next, so that a machine that slows down slows all of them alike.  Every
sample is kept.  A time is the median of its samples, a ratio the median of the rounds' ratios; both
come with an interval made of order statistics, which needs no assumption about how times are
distributed.  A ratio whose interval includes 1 reads "no difference shown".

Copied to a machine that has nothing else of this project, the file checks that machine::

    python timing.py --device cuda --out timings.json

Examples
--------
>>> timings = measure({"sum": lambda: sum(range(100))}, max_seconds=0.01)
>>> time = timings.median("sum")
>>> time.low <= time.value <= time.high
True
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

CONFIDENCE = 0.95
PRECISION = 0.02  # half the width of an interval, as a fraction of its median
FIRST_LOOK = 10  # rounds before the intervals are looked at
NEXT_LOOK = 1.5  # how much longer each further series is; few looks leave the confidence intact
BUSY = 0.25  # load for each hardware thread above which a machine counts as busy
SCHEMA = 1

Work = Callable[[], object]


# --- estimates --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A median and an interval that covers the true one with the confidence asked for."""

    value: float
    low: float
    high: float

    @property
    def precision(self) -> float:
        """Half the width of the interval, as a fraction of the value."""
        return (self.high - self.low) / (2 * self.value) if self.value else math.inf

    @property
    def verdict(self) -> str:
        """Read a ratio of times: ``slower``, ``faster`` or ``no difference shown``."""
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else "no difference shown"

    def scaled(self, factor: float) -> Estimate:
        """Return the estimate in another unit: all three numbers times a positive factor."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def inverse(self) -> Estimate:
        """Return the estimate of one over the quantity, such as a rate from a time."""
        return Estimate(1 / self.value, 1 / self.high, 1 / self.low if self.low else math.inf)

    def overlaps(self, other: Estimate) -> bool:
        """Say whether two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high


def estimate(samples: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Estimate the median of positive quantities from independent samples.

    The interval reaches from the k-th smallest to the k-th largest sample.  It misses the median
    only if fewer than k samples fall on one side of it, which has the probability of fewer than k
    heads in n throws of a coin, whatever the distribution; k is the largest that keeps the
    confidence.  Fewer samples than that needs (6 for 95%) bound nothing: (0, inf).

    Parameters
    ----------
    samples : sequence of float
        At least one.
    confidence : float
        The probability, between 0 and 1, with which the interval is to cover the median.

    Examples
    --------
    >>> estimate([3.0, 1.0, 2.0, 5.0, 4.0, 6.0])
    Estimate(value=3.5, low=1.0, high=6.0)
    >>> estimate([1.0, 2.0])
    Estimate(value=1.5, low=0.0, high=inf)
    """
    ordered = np.sort(samples)
    rank = _rank(len(ordered), confidence)
    if not rank:
        return Estimate(float(np.median(ordered)), 0.0, math.inf)
    return Estimate(float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[-rank]))


@cache
def _rank(n: int, confidence: float) -> int:
    """Return the largest k for which fewer than k heads in n throws are improbable enough."""
    allowed = int((1 - confidence) / 2 * 2**53) * 2**n // 2**53  # of the 2ⁿ equally likely throws
    below, term, k = 0, 1, 0
    while below + term <= allowed:
        below += term
        term = term * (n - k) // (k + 1)
        k += 1
    return k


# --- clocks -----------------------------------------------------------------------------------


class Clock(Protocol):
    """What times a number of calls."""

    name: str

    def now(self) -> float:
        """Return the seconds since some moment."""

    def seconds(self, work: Work, loops: int) -> float:
        """Call `work` so many times and return how long all calls took together."""


class WallClock:
    """Time as a watch shows it.

    Parameters
    ----------
    synchronise : callable, optional
        Waits until a device has done all that was asked of it, as ``torch.cuda.synchronize``.
        It is called before each sample starts.
    wait : bool
        Whether to synchronise again before the sample ends.  Without it only the asking is timed,
        not the work: the control that shows why it is needed.
    counter : callable
        Returns a time in nanoseconds.
    """

    def __init__(
        self,
        synchronise: Callable[[], object] = lambda: None,
        *,
        wait: bool = True,
        counter: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.name = "wall clock" if wait else "wall clock, not synchronised"
        self._synchronise, self._wait, self._counter = synchronise, wait, counter

    def now(self) -> float:
        """Return the seconds on the counter."""
        return self._counter() / 1e9

    def seconds(self, work: Work, loops: int) -> float:
        """Time calls from outside."""
        self._synchronise()
        begin = self._counter()
        for _ in range(loops):
            work()
        if self._wait:
            self._synchronise()
        end = self._counter()
        if not self._wait:
            self._synchronise()  # so that the next sample does not pay for this one
        return (end - begin) / 1e9


class CudaClock:
    """Time as the GPU counts it, from the start of the first kernel to the end of the last."""

    name = "CUDA events"

    def now(self) -> float:
        """Return the seconds on the processor's counter."""
        return time.perf_counter()

    def seconds(self, work: Work, loops: int) -> float:
        """Time calls by a pair of CUDA events around them."""
        import torch

        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(loops):
            work()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / 1e3


def clock_for(device: str) -> Clock:
    """Return the clock that times a device truly: ``cpu`` or ``cuda``."""
    return CudaClock() if device == "cuda" else WallClock()


def unsynchronised_clock() -> WallClock:
    """Return the control: a wall clock that does not wait for the GPU."""
    import torch

    return WallClock(torch.cuda.synchronize, wait=False)


# --- measuring --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timings:
    """All samples of a measurement, and what is to be known to judge them."""

    seconds: dict[str, list[float]]  # one sample a round, per call
    loops: dict[str, int]  # calls in each sample
    clocks: dict[str, str]
    confidence: float
    precision: float  # what was asked for
    precise: bool  # whether it was reached before the limit
    notices: list[str]

    def median(self, name: str) -> Estimate:
        """Estimate the seconds that one call takes."""
        return estimate(self.seconds[name], self.confidence)

    def ratio(self, name: str, to: str) -> Estimate:
        """Estimate how many times as long one takes as another, from the rounds' ratios."""
        ratios = np.divide(self.seconds[name], self.seconds[to])
        return estimate(ratios, self.confidence)

    def rate(self, name: str, amount: float) -> Estimate:
        """Estimate a rate, such as bytes in a second, of work that handles so much in a call."""
        return self.median(name).inverse().scaled(amount)


def measure(
    works: Mapping[str, Work],
    *,
    clock: Clock | Mapping[str, Clock] | None = None,
    prepare: Work | None = None,
    precision: float = PRECISION,
    confidence: float = CONFIDENCE,
    sample_seconds: float = 1e-3,
    warm_up_seconds: float = 0.05,
    max_seconds: float = 5.0,
    max_rounds: int = 2_000,
) -> Timings:
    """Time several functions in turns until their medians and ratios are known well enough.

    Parameters
    ----------
    works : mapping of str to callable
        What to time, each without arguments.
    clock : Clock or mapping of str to Clock, optional
        One clock for all, or one for each; a wall clock if not given.
    prepare : callable, optional
        Called before each sample and not timed, as to push data out of the caches; each sample is
        then a single call.
    precision : float
        Half the width of an interval, as a fraction of its median, at which measuring ends: of
        every median, and of every ratio to the first of `works`.
    confidence : float
        The confidence of the intervals.
    sample_seconds : float
        How long a sample takes at least: short work is called many times in each.  The loop around
        the calls adds some 30 ns to each.
    warm_up_seconds : float
        How long each is called before anything counts; once at the very least.
    max_seconds : float
        When to end though the precision is not reached, not counting the warm-up.  Ten rounds are
        taken all the same, unless `max_rounds` is less.
    max_rounds : int
        How many samples of each to take at most.

    Returns
    -------
    Timings
        The samples; notices say if the machine was busy, the times drifted or the precision was
        not reached.
    """
    clocks = dict(clock) if isinstance(clock, Mapping) else dict.fromkeys(works, clock)
    clocks = {name: clocks[name] or WallClock() for name in works}
    notices = _load_notices()
    shortest = 0.0 if prepare else sample_seconds
    loops = {
        name: _warm_up(work, clocks[name], warm_up_seconds, shortest)
        for name, work in works.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    now = next(iter(clocks.values())).now
    begin, look, reached = now(), FIRST_LOOK, math.inf
    for done in range(1, max_rounds + 1):
        for name in list(works)[:: 1 if done % 2 else -1]:
            if prepare:
                prepare()
            seconds[name].append(clocks[name].seconds(works[name], loops[name]) / loops[name])
        over = now() - begin >= max_seconds and done >= FIRST_LOOK
        if done in (look, max_rounds) or over:
            look = math.ceil(look * NEXT_LOOK)
            reached = _worst_precision(seconds, confidence)
            if over or reached <= precision:
                break
    if reached > precision:
        notices.append(f"The precision is {reached:.1%} where {precision:.1%} was asked for.")
    notices += _drift_notices(seconds, precision, confidence)
    return Timings(
        seconds,
        loops,
        {name: clocks[name].name for name in works},
        confidence,
        precision,
        reached <= precision,
        notices,
    )


def _warm_up(work: Work, clock: Clock, warm_up: float, sample: float) -> int:
    """Call until warm; return how many calls a sample needs."""
    spent, loops = 0.0, 1
    while True:
        last = clock.seconds(work, loops)
        spent += last
        if last >= sample and spent >= warm_up:
            return loops
        if last < sample:
            growth = 1.2 * sample / last if last > 0 else 10
            loops = math.ceil(loops * min(10, max(growth, 1.2)))


def _worst_precision(seconds: Mapping[str, Sequence[float]], confidence: float) -> float:
    """Return the largest relative half-width among the medians and the ratios to the first."""
    first, *others = seconds
    series = [*seconds.values(), *(np.divide(seconds[o], seconds[first]) for o in others)]
    return max(estimate(samples, confidence).precision for samples in series)


# --- what may spoil a measurement -------------------------------------------------------------


def _load_notices() -> list[str]:
    load, threads = os.getloadavg()[0], os.cpu_count() or 1
    if load <= BUSY * threads:
        return []
    return [f"The machine was busy before the first sample: load {load:.1f} on {threads} threads."]


def _drift_notices(
    seconds: Mapping[str, Sequence[float]], precision: float, confidence: float
) -> list[str]:
    """Say whose last third differs from the first third by more than the intervals allow."""
    notices = []
    for name, samples in seconds.items():
        third = max(len(samples) // 3, 1)
        first = estimate(samples[:third], confidence)
        last = estimate(samples[-third:], confidence)
        change = last.value / first.value - 1
        if not first.overlaps(last) and abs(change) > precision:
            notices.append(
                f"{name} drifted: its last third took {abs(change):.0%} "
                f"{'longer' if change > 0 else 'less'} than its first (throttling, or other work)."
            )
    return notices


# --- memory -----------------------------------------------------------------------------------


def copy_work(nbytes: int, device: str = "cpu", *, library: str = "torch") -> Work:
    """Return work that copies so many bytes: it reads and writes, so 2·nbytes move.

    Parameters
    ----------
    nbytes : int
        How much to copy in a call.
    device : str
        ``cpu`` or ``cuda``.
    library : str
        ``torch``, which uses all its threads, or ``numpy``, which uses one.
    """
    if library == "numpy":
        source, target = np.ones(nbytes, np.uint8), np.ones(nbytes, np.uint8)
        return lambda: np.copyto(target, source)
    import torch

    source, target = (torch.ones(nbytes, dtype=torch.uint8, device=device) for _ in range(2))
    return lambda: target.copy_(source)


def copy_bandwidth(
    nbytes: int = 2**28, device: str = "cpu", *, library: str = "torch", **limits: float
) -> Estimate:
    """Estimate the bytes that a copy moves in a second, read and written together."""
    timings = measure(
        {"copy": copy_work(nbytes, device, library=library)}, clock=clock_for(device), **limits
    )
    return timings.rate("copy", 2 * nbytes)


def evict(nbytes: int = 2**28, device: str = "cpu") -> Work:
    """Return a function that overwrites so many bytes, so that the caches hold nothing else."""
    if device == "cpu":
        block = np.zeros(nbytes, np.uint8)
        return lambda: np.add(block, 1, out=block)
    import torch

    block = torch.zeros(nbytes, dtype=torch.uint8, device=device)
    return lambda: block.add_(1)


# --- the machine ------------------------------------------------------------------------------

GPU_FIELDS = ("name", "memory.total", "driver_version")
GPU_STATE_FIELDS = ("clocks.sm", "clocks.max.sm", "temperature.gpu", "power.draw")
SLOWED = {  # bits of nvidia-smi's clocks_throttle_reasons.active
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "temperature",
    0x40: "temperature",
    0x80: "power brake",
}


def gpu() -> dict[str, str] | None:
    """Return name, memory, driver and CUDA version of the first NVIDIA GPU; None without one."""
    found = _nvidia_smi(GPU_FIELDS)
    if found:
        found["cuda"] = str(getattr(_torch_version("cuda"), "cuda", None))
    return found


def gpu_state() -> dict[str, object] | None:
    """Return the GPU's clocks, temperature and power now, and what slows it; None without one."""
    reasons = "clocks_throttle_reasons.active"
    found = _nvidia_smi((*GPU_STATE_FIELDS, reasons))
    if not found:
        return None
    active = found.pop(reasons)
    bits = int(active, 16) if active.startswith("0x") else 0
    return found | {"slowed_by": sorted({why for bit, why in SLOWED.items() if bits & bit})}


def machine() -> dict[str, object]:
    """Describe processor, GPU, libraries and load, with no more than NumPy installed.

    Names no user, host or folder.
    """
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": cpu() or platform.processor(),
        "threads": os.cpu_count(),
        "gpu": gpu(),
        "gpu_state": gpu_state(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": getattr(_torch_version(), "__version__", None),
        "timer_resolution_s": time.get_clock_info("perf_counter").resolution,
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def cpu() -> str:
    """Return the processor's name as Linux tells it; elsewhere nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def _torch_version(part: str = "") -> object:
    try:
        import torch
    except ImportError:
        return None
    return torch.version if part else torch


def _nvidia_smi(fields: Sequence[str]) -> dict[str, str] | None:
    query = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(zip(fields, done.stdout.splitlines()[0].split(", "), strict=True))


# --- keeping ----------------------------------------------------------------------------------


def described(**about: object) -> dict[str, object]:
    """Return what is to be known of samples taken now: when, on what machine, and `about`."""
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    return {"schema": SCHEMA, "taken": taken, "machine": machine(), "about": about}


def write(path: Path, series: Mapping[str, Timings], description: Mapping[str, object]) -> None:
    """Write samples to a JSON file.

    Parameters
    ----------
    path : Path
        The file; it appears whole or not at all.
    series : mapping of str to Timings
        Measurements by name.
    description : mapping
        As `described` gives it.
    """
    path = Path(path)
    partial = path.with_name(f".partial-{path.name}")
    content = {**description, "series": {name: asdict(one) for name, one in series.items()}}
    partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
    partial.replace(path)


def read(path: Path) -> tuple[dict[str, Timings], dict[str, object]]:
    """Return the measurements of a file and their description.

    Raises
    ------
    ValueError
        If the file was written by another version of this module.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if content.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {content.get('schema')}: expected {SCHEMA}.")
    return {name: Timings(**raw) for name, raw in content.pop("series").items()}, content


# --- the check of a machine -------------------------------------------------------------------


def check(device: str, nbytes: int = 2**28) -> dict[str, Timings]:
    """Measure what every other time on a device is judged by.

    ``copy`` times a large copy, ``same`` a copy against itself (the ratio must show no difference),
    and on a GPU ``launch`` the smallest kernel and ``unsynchronised`` the copy as a clock sees it
    that does not wait.
    """
    clock, copy = clock_for(device), copy_work(nbytes, device)
    small = copy_work(2**20, device)
    series = {
        "copy": measure({"copy": copy}, clock=clock),
        "same": measure({"one": small, "other": small}, clock=clock),
    }
    if device == "cuda":
        series["launch"] = measure({"launch": copy_work(1, device)}, clock=clock)
        series["unsynchronised"] = measure({"copy": copy}, clock=unsynchronised_clock())
    return series


def report(series: Mapping[str, Timings], nbytes: int = 2**28) -> list[str]:
    """Say in lines what `check` found."""
    copy, same = series["copy"].rate("copy", 2 * nbytes), series["same"].ratio("other", "one")
    lines = [
        f"Copy bandwidth: {copy.value / 1e9:.1f} GB/s "
        f"({copy.low / 1e9:.1f} to {copy.high / 1e9:.1f}).",
        f"The same work twice: ratio {same.value:.3f} ({same.low:.3f} to {same.high:.3f}), "
        f"{same.verdict}.",
    ]
    if "launch" in series:
        launch, true = series["launch"].median("launch"), series["copy"].median("copy")
        blind = series["unsynchronised"].median("copy")
        lines += [
            f"A kernel that does nothing: {launch.value * 1e6:.1f} µs.",
            f"Not synchronised, the copy seems {true.value / blind.value:.0f} times as fast as "
            "it is.",
        ]
    return lines + [notice for timings in series.values() for notice in timings.notices]


def main(arguments: Sequence[str] | None = None) -> None:
    """Check this machine and say what it is fit for."""
    parser = argparse.ArgumentParser(prog="timing.py", description=main.__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="a JSON file that keeps every sample")
    options = parser.parse_args(arguments)
    series = check(options.device)
    print(*report(series), sep="\n")
    if options.out:
        write(options.out, series, described(device=options.device))


if __name__ == "__main__":
    main()
