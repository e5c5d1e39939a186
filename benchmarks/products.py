"""Products with the Jacobian of softmax against forming the Jacobian: time and memory by n.

Run ``OMP_NUM_THREADS=1 python -m benchmarks.products``.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import softmax_ref as sr

SIZES = (10, 100, 1000, 3000, 10_000)


def seconds(function: Callable[[], Any], at_least: float = 0.3) -> float:
    """Median time of a call, over calls that take at least so long together."""
    times: list[float] = []
    while sum(times) < at_least or len(times) < 5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak(function: Callable[[], Any]) -> int:
    """Bytes that the call holds at once, at most, its result included."""
    tracemalloc.start()
    function()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(0)
    print("| n | JVP, µs | VJP, µs | dense, µs | dense/JVP | JVP, KiB | dense, KiB | of memory |")
    print("|---|---|---|---|---|---|---|---|")
    for n in SIZES:
        x, v = rng.normal(size=(2, n))
        functions = {
            "jvp": lambda x=x, v=v: sr.softmax_jvp(x, v),
            "vjp": lambda x=x, v=v: sr.softmax_vjp(x, v),
            "dense": lambda x=x, v=v: sr.jacobian(x) @ v,
        }
        np.testing.assert_allclose(functions["jvp"](), functions["dense"](), atol=1e-15)
        t = {name: 1e6 * seconds(function) for name, function in functions.items()}
        m = {name: peak(function) / 1024 for name, function in functions.items()}
        print(
            f"| {n} | {t['jvp']:.0f} | {t['vjp']:.0f} | {t['dense']:.0f} |",
            f"{t['dense'] / t['jvp']:.3g} | {m['jvp']:.0f} | {m['dense']:.0f} |",
            f"{m['dense'] / m['jvp']:.3g} |",
        )


if __name__ == "__main__":
    main()
