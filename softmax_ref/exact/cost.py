"""What correct rounding costs: ``python -m softmax_ref.exact.cost`` (needs SciPy).

Prints, for each format and shape, the ratio of the times of exact.softmax and
scipy.special.softmax: the median of ratios of runs that follow each other, so that what else the
machine does weighs on both, and their range; then how the time compares with mpmath's.
Times are those of the thread (``time.thread_time``). Run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np
from scipy import special

from .. import exact
from ..formats import FORMATS
from . import multiprecision

SHAPES = ((1024, 1000), (64, 100_000))
NAMES = ("float64", "float32", "float16", "bfloat16")


def seconds(function: Callable[[Any], Any], x: Any) -> float:
    """Time of one call in this thread."""
    start = time.thread_time()
    function(x)
    return time.thread_time() - start


def scipy_softmax(x: Any) -> Any:
    """SciPy's softmax along the last axis."""
    return special.softmax(x, axis=-1)


def thirty_digits(x: Any) -> list[mpmath.mpf]:
    """Softmax of a row by mpmath with 30 digits, without any test of its rounding."""
    with mpmath.workdps(30):
        terms = [mpmath.exp(v) for v in x.tolist()]
        total = mpmath.fsum(terms)
        return [t / total for t in terms]


def last_stage(x: Any) -> list[float]:
    """Softmax of a row, correctly rounded by mpmath alone."""
    row = multiprecision.Row(x)
    return [multiprecision.softmax_entry(row, v, FORMATS["float64"]).value for v in x.tolist()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m softmax_ref.exact.cost", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="pairs of runs for each ratio")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    rng = np.random.default_rng(chosen.seed)
    for shape in SHAPES:
        wide = rng.normal(scale=3, size=shape)
        for name in NAMES:
            x = wide.astype(FORMATS[name].dtype)
            exact.softmax(x[:2])
            pairs = [
                (seconds(exact.softmax, x), seconds(scipy_softmax, x))
                for _ in range(chosen.repeats)
            ]
            ratios = sorted(mine / theirs for mine, theirs in pairs)
            mine = statistics.median(pair[0] for pair in pairs) / x.size
            print(
                f"{name:9} {shape!s:15} {statistics.median(ratios):6.2f} × SciPy "
                f"[{ratios[0]:.2f}, {ratios[-1]:.2f}]  {1e9 * mine:6.1f} ns an entry"
            )
        if shape == SHAPES[0]:
            for_exact = seconds(exact.softmax, wide) / wide.size
            for function in (thirty_digits, last_stage):
                ratio = seconds(function, wide[0]) / shape[1] / for_exact
                print(f"mpmath, {function.__name__}: {ratio:.0f} × exact.softmax in float64")
    return 0


if __name__ == "__main__":
    sys.exit(main())
