"""Times of softmax on the processor and on a GPU, as raw samples.

NumPy and torch are enough, so that a GPU machine with a clone of the project and nothing else
installed can take the samples that ``device_timings.ipynb`` reads; an implementation that needs
more is reported as not offered, with the reason::

    python -m experiments.devices --out samples.json

Every time is taken as :mod:`experiments.timing` takes it: warm-up apart, in turns, by CUDA events
on a GPU.  What was timed is compared with float64 afterwards, from the last call of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from experiments import timing
from experiments.timing import Timings, Work

FORMATS = ("float16", "bfloat16", "float32", "float64")
ROW_STEP = 4  # each size has so many times as many rows as the one before
COPY = "copy"

Function = Callable[[torch.Tensor], Work]  # prepares its input; the work returns the result


@dataclass(frozen=True)
class Setting:
    """What to time.

    Attributes
    ----------
    dtype : str
        The format in which sizes are compared; formats are compared at the largest size.
    n : int
        Logits in a row.
    largest : int
        Logits in the largest array; arrays have 1, 4, 16, … rows.
    max_seconds : float
        When to stop timing one series, if the precision is not reached before.
    compiled : bool
        Whether to time torch.compile as well: compiling takes seconds for each shape.
    seed : int
        Decides the logits.
    """

    dtype: str = "float32"
    n: int = 1024
    largest: int = 2**20
    max_seconds: float = 0.3
    compiled: bool = False
    seed: int = 0

    @property
    def rows(self) -> list[int]:
        """The numbers of rows, from one on."""
        found = [1]
        while found[-1] * ROW_STEP * self.n <= self.largest:
            found.append(found[-1] * ROW_STEP)
        return found


def devices() -> list[str]:
    """Return the devices of this machine: ``cpu``, and ``cuda`` where torch can use a GPU."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


# --- the implementations ----------------------------------------------------------------------


def package_on_numpy(x: torch.Tensor) -> Work:
    """The package, given an array."""
    import softmax_ref
    from softmax_ref.formats import get_format

    array = x.to(torch.float64).numpy().astype(get_format(_name(x.dtype)).dtype)  # exact
    return lambda: softmax_ref.softmax(array)


def package_on_torch(x: torch.Tensor) -> Work:
    """The package, given a tensor."""
    import softmax_ref

    return lambda: softmax_ref.softmax(x)


def torch_eager(x: torch.Tensor) -> Work:
    """PyTorch's own softmax."""
    return lambda: torch.softmax(x, dim=-1)


def torch_compiled(x: torch.Tensor) -> Work:
    """PyTorch's own softmax, compiled for the shape (which needs a C++ compiler on a CPU)."""
    compiled = torch.compile(lambda x: torch.softmax(x, dim=-1), dynamic=False)
    return lambda: compiled(x)


def fused_kernel(x: torch.Tensor) -> Work:
    """The project's own kernel for GPUs."""
    from softmax_ref import kernels

    return lambda: kernels.softmax(x)


IMPLEMENTATIONS: dict[str, tuple[Function, tuple[str, ...]]] = {
    "package on NumPy": (package_on_numpy, ("cpu",)),
    "package on torch": (package_on_torch, ("cpu", "cuda")),
    "torch eager": (torch_eager, ("cpu", "cuda")),
    "torch compiled": (torch_compiled, ("cpu", "cuda")),
    "fused kernel": (fused_kernel, ("cuda",)),
}


def offered(setting: Setting) -> tuple[dict[str, Function], dict[str, str], dict[str, float]]:
    """Try each implementation once on each device.

    Returns
    -------
    dict of str to callable
        Those that work, by device and name, such as ``cpu: torch eager``.
    dict of str to str
        Why the others do not, in a few words.
    dict of str to float
        Seconds that the first call took, with all that it loads and compiles.
    """
    found, reasons, first = {}, {}, {}
    for device in devices():
        for name, (function, supported) in IMPLEMENTATIONS.items():
            label = f"{device}: {name}"
            if device not in supported:
                continue
            if function is torch_compiled and not setting.compiled:
                reasons[label] = "not asked for (parameter compiled)"
                continue
            begin = time.perf_counter()
            try:
                function(logits(setting, 1, device))()
            except Exception as error:  # whatever a missing library or compiler raises
                text = str(error).strip() or type(error).__name__
                reasons[label] = text.splitlines()[0][:160]
            else:
                found[label] = function
                first[label] = round(time.perf_counter() - begin, 3)
    return found, reasons, first


# --- taking samples ---------------------------------------------------------------------------


def take(setting: Setting) -> tuple[dict[str, Timings], dict[str, object]]:
    """Take all samples on this machine.

    Returns
    -------
    dict of str to Timings
        ``size R`` compares a copy and the implementations on R rows.  ``formats`` does so in all
        formats at the largest size, but for compiled code, which would have to be compiled again.
        With a GPU there are ``transfer R``, ``launch`` and ``control``: see `of_a_gpu`.
    dict of str to JSON values
        The setting, the devices, what was not offered and why, how long first calls took, the
        largest error of each implementation as a fraction of what is allowed, and the state of the
        GPU before and after.
    """
    found, reasons, first = offered(setting)
    errors: dict[str, float] = {}
    before = timing.gpu_state()
    series = {
        f"size {rows}": _in_turns(setting, _works(setting, rows, found), errors)
        for rows in setting.rows
    }
    quick = {label: function for label, function in found.items() if function is not torch_compiled}
    formats = {}
    for dtype in FORMATS:
        works = _works(replace(setting, dtype=dtype), setting.rows[-1], quick)
        formats |= {f"{label}, {dtype}": work for label, work in works.items()}
    series["formats"] = _in_turns(setting, formats, errors)
    if "cuda" in devices():
        series |= of_a_gpu(setting)
    about = {
        "setting": asdict(setting),
        "devices": devices(),
        "torch_threads": torch.get_num_threads(),
        "not_offered": reasons,
        "first_call_s": first,
        "errors": errors,
        "gpu_before": before,
        "gpu_after": timing.gpu_state(),
    }
    return series, about


def logits(setting: Setting, rows: int, device: str) -> torch.Tensor:
    """Draw logits of standard deviation 3."""
    drawn = np.random.default_rng(setting.seed).standard_normal((rows, setting.n)) * 3
    return moved(torch.from_numpy(drawn).to(getattr(torch, setting.dtype)), device)


def moved(x: torch.Tensor, device: str) -> torch.Tensor:
    """Return a tensor on a device."""
    return x.to(device)


@dataclass
class Checked:
    """Work whose last result is kept, to be compared afterwards; a copy has nothing to compare."""

    work: Work
    x: torch.Tensor | None = None
    result: object = None

    def __call__(self) -> None:
        """Do the work."""
        self.result = self.work()


def _works(setting: Setting, rows: int, functions: dict[str, Function]) -> dict[str, Checked]:
    """Return a copy for each device, and each function on the logits of its device."""
    works = {}
    for device in devices():
        x = logits(setting, rows, device)
        works[f"{device}: {COPY}"] = Checked(timing.copy_work(x.nbytes, device))
        works |= {
            label: Checked(function(x), x)
            for label, function in functions.items()
            if label.startswith(f"{device}: ")
        }
    return works


def _in_turns(setting: Setting, works: dict[str, Checked], errors: dict[str, float]) -> Timings:
    """Time works in turns, each by the clock of its device; enter the errors of their results."""
    clocks = {label: timing.clock_for(label.partition(":")[0]) for label in works}
    timings = timing.measure(works, clock=clocks, max_seconds=setting.max_seconds)
    for label, work in works.items():
        if work.x is not None:
            implementation = label.partition(",")[0]
            errors[implementation] = max(
                errors.get(implementation, 0.0), error(work.x, work.result)
            )
    return timings


def error(x: torch.Tensor, result: object) -> float:
    """Return the largest error in a row, as a fraction of twice (n + 2 + 2d)u times its maximum.

    (n + 2 + 2d)u is the bound of the shifted softmax, d the spread of the row; twice, because the
    float64 formula that it is compared with may err by as much.
    """
    wide = x.cpu().to(torch.float64).numpy()
    e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    right = e / e.sum(axis=-1, keepdims=True)
    computed = result.cpu().to(torch.float64).numpy() if torch.is_tensor(result) else result
    off = np.abs(np.asarray(computed, np.float64) - right).max(axis=-1) / right.max(axis=-1)
    u = torch.finfo(x.dtype).eps / 2
    worst = np.max(off / (2 * (x.shape[-1] + 2 + 2 * np.ptp(wide, axis=-1)) * u))
    return float(worst) if np.isfinite(worst) else 1e9


def of_a_gpu(setting: Setting) -> dict[str, Timings]:
    """Time what only a GPU has.

    Returns
    -------
    dict of str to Timings
        ``transfer R``: the way of R rows to the GPU, the way back, both with a softmax between, and
        the softmax on the processor.  ``launch``: a copy of one byte, and a softmax of one row.
        ``control``: the largest softmax by a clock that waits for the GPU and by one that does not.
    """
    limit = {"max_seconds": setting.max_seconds}
    wall, events = timing.WallClock(torch.cuda.synchronize), timing.clock_for("cuda")
    series = {}
    for rows in setting.rows:
        series[f"transfer {rows}"] = timing.measure(_ways(setting, rows), clock=wall, **limit)
    starts = {
        "launch": timing.copy_work(1, "cuda"),
        "one row": torch_eager(logits(setting, 1, "cuda")),
    }
    series["launch"] = timing.measure(starts, clock=events, **limit)
    eager = torch_eager(logits(setting, setting.rows[-1], "cuda"))
    clocks = {"waiting": events, "not waiting": timing.unsynchronised_clock()}
    series["control"] = timing.measure(dict.fromkeys(clocks, eager), clock=clocks, **limit)
    return series


def _ways(setting: Setting, rows: int) -> dict[str, Work]:
    """Return the ways to the GPU and back."""
    x, y = logits(setting, rows, "cpu"), logits(setting, rows, "cuda")
    return {
        "to the GPU": lambda: moved(x, "cuda"),
        "back": lambda: moved(y, "cpu"),
        "there and back": lambda: moved(torch.softmax(moved(x, "cuda"), dim=-1), "cpu"),
        "on the processor": torch_eager(x),
    }


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# --- the command ------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the samples on this machine and keep them in a file."""
    default = Setting()
    parser = argparse.ArgumentParser("python -m experiments.devices", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file, such as samples.json")
    parser.add_argument("--dtype", choices=FORMATS, default=default.dtype)
    parser.add_argument("--n", type=int, default=default.n, help="logits in a row")
    parser.add_argument("--largest", type=int, default=default.largest, help="logits in all")
    parser.add_argument("--max-seconds", type=float, default=default.max_seconds)
    parser.add_argument("--compiled", action="store_true", help="time torch.compile as well")
    parser.add_argument("--seed", type=int, default=default.seed)
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    series, about = take(Setting(**options))
    timing.write(out, series, timing.described(**about))
    for label, reason in about["not_offered"].items():
        print(f"{label} is not offered here: {reason}.")
    for notice in dict.fromkeys(n for timings in series.values() for n in timings.notices):
        print(notice)
    print(f"{sum(len(s) for t in series.values() for s in t.seconds.values())} samples in {out}.")


if __name__ == "__main__":
    main()
