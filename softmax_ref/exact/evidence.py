"""Hold the exact functions against MPFR: ``python -m softmax_ref.exact.evidence``.

Prints what was compared, by format and function, by family, and by the stage that decided; every
difference is shown with its input. The exit status is 1 if there is any. Needs gmpy2.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .. import exact
from ..formats import FORMATS, Format
from .families import FAMILIES, draw
from .truth import Truth

Array = NDArray[np.float64]

FUNCTIONS = ("softmax", "log_softmax", "logsumexp")
#: Row lengths, and how many rows of each are drawn in one round.
SIZES = {1: 5, 2: 50, 3: 30, 7: 20, 10: 20, 64: 5, 100: 5, 1000: 1, 1025: 1}
#: Longer rows, one in every so many rounds.
LONG = {1: 20_000, 8: 100_000, 32: 1_000_000}


@dataclass
class Tally:
    """Counts of what was compared."""

    entries: Counter[tuple[str, str]] = field(default_factory=Counter)
    stages: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def total(self) -> int:
        """Entries compared."""
        return sum(self.entries.values())

    def compare(self, x: NDArray[np.generic], fmt: Format, family: str) -> None:
        """Compare all three functions on the rows of `x`."""
        found = {}
        for name in FUNCTIONS:
            result, certificate = getattr(exact, name)(x, certificate=True)
            found[name] = result.astype(np.float64).reshape(len(x), -1)
            for stage, count in certificate.counts().items():
                self.stages[fmt.name, name, stage] += count
        for row, wide in enumerate(x.astype(np.float64)):
            truth = Truth(wide, fmt)
            for name in FUNCTIONS:
                expected = np.atleast_1d(getattr(truth, name)())
                if name != "logsumexp":
                    filled = np.full(wide.size, 0.0 if name == "softmax" else -np.inf)
                    filled[np.isfinite(wide)] = expected
                    expected = filled
                self._count(fmt, name, family, found[name][row], expected, wide)

    def _count(
        self, fmt: Format, name: str, family: str, found: Array, expected: Array, x: Array
    ) -> None:
        nan = np.isnan(found) & np.isnan(expected)
        same = nan | ((found == expected) & (np.signbit(found) == np.signbit(expected)))
        self.entries[fmt.name, name] += found.size
        self.families[family] += found.size
        for i in np.flatnonzero(~same):
            shown = f"; x = {[v.hex() for v in x.tolist()]}" if x.size < 8 else ""
            self.wrong.append(
                f"{name}, {fmt.name}, {family}, n = {x.size}, entry {i}: "
                f"{found[i].hex()} instead of {expected[i].hex()}{shown}"
            )


Batch = tuple[str, Format, NDArray[np.generic]]


def batches(seed: int, sizes: Mapping[int, int] = SIZES) -> Iterator[Batch]:
    """Endless rows: each round has every format, family and short length."""
    rng = np.random.default_rng(seed)
    for number in itertools.count():
        for fmt in FORMATS.values():
            for family in FAMILIES:
                for n, times in sizes.items():
                    yield family, fmt, np.stack([draw(family, rng, fmt, n) for _ in range(times)])
        # long rows in turns
        for every, n in LONG.items():
            if number % every == 0:
                fmt = list(FORMATS.values())[(number // every) % len(FORMATS)]
                family = list(FAMILIES)[(5 * number // every) % len(FAMILIES)]
                yield family, fmt, draw(family, rng, fmt, n)[None]


def all_pairs(name: str) -> Iterator[Batch]:
    """All pairs of finite numbers of an 8-bit format."""
    fmt = FORMATS[name]
    values = _finite(np.arange(256, dtype=np.uint8).view(fmt.dtype))
    for a in values:
        yield "all pairs", fmt, np.stack([np.full_like(values, a), values], axis=1)


def all_differences(name: str, step: int = 1) -> Iterator[Batch]:
    """[0, −d] for all finite d ≥ 0 of a 16-bit format (for each `step`-th of them)."""
    fmt = FORMATS[name]
    values = _finite(np.arange(0, 1 << 15, step, dtype=np.uint16).view(fmt.dtype))
    for part in np.array_split(values, 32):
        yield "[0, −d] for all d", fmt, np.stack([np.zeros_like(part), -part], axis=1)


def _finite(values: NDArray[np.generic]) -> NDArray[np.generic]:
    with np.errstate(invalid="ignore"):  # signalling nans
        return values[np.isfinite(values.astype(np.float64))]


def exhaustive() -> Iterator[Batch]:
    """The small formats, completely."""
    for name in ("float8_e4m3fn", "float8_e5m2"):
        yield from all_pairs(name)
    for name in ("float16", "bfloat16"):
        yield from all_differences(name)


def hard_pairs(seed: int, count: int, keep: int) -> Iterator[Batch]:
    """Pairs of which some result lies unusually near a rounding boundary.

    Of `count` random pairs in each format those are kept whose certificate shows the least room.
    """
    rng = np.random.default_rng(seed)
    for fmt in FORMATS.values():
        x = np.asarray(fmt.round(rng.normal(scale=4, size=(count, 2))))
        for name in FUNCTIONS:
            _, certificate = getattr(exact, name)(x, certificate=True)
            room = _room(certificate, fmt).reshape(count, -1).min(axis=1)
            yield "hard to round", fmt, x[np.argsort(room)[:keep]]


def _room(certificate: exact.Certificate, fmt: Format) -> Array:
    """Distance of the true value from the middle between two numbers, in last places."""
    value, rest = certificate.anchor, (certificate.low + certificate.high) / 2
    unit = fmt.ulp(value)
    steps = value / unit
    room: Array = np.abs(np.abs((steps - np.floor(steps)) + rest / unit) - 0.5)
    return room


def collect(batches: Iterable[Batch], entries: int | None = None) -> Tally:
    """Compare batches until at least `entries` entries are done, or all."""
    tally = Tally()
    for family, fmt, x in batches:
        tally.compare(x, fmt, family)
        if entries is not None and tally.total() >= entries:
            break
    return tally


def report(tally: Tally, seconds: float) -> str:
    """What was compared, as text."""
    lines = [f"{'format':<14} {'function':<12} {'entries':>10}  " + "  ".join(exact.STAGES)]
    for (fmt, name), count in sorted(tally.entries.items()):
        shares = "  ".join(
            f"{tally.stages[fmt, name, stage]:>{len(stage)}}" for stage in exact.STAGES
        )
        lines.append(f"{fmt:<14} {name:<12} {count:>10}  {shares}")
    lines += [f"{family:<28} {count:>10}" for family, count in tally.families.items()]
    lines += tally.wrong[:50]
    lines.append(f"{tally.total()} entries, {len(tally.wrong)} wrong, {seconds:.0f} s")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m softmax_ref.exact.evidence", description=__doc__
    )
    parser.add_argument("--entries", type=int, default=1_000_000, help="how many to compare")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--exhaustive", action="store_true", help="the small formats, completely")
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    if chosen.exhaustive:
        tally = collect(exhaustive())
    else:
        hard = hard_pairs(
            chosen.seed, max(1000, chosen.entries // 50), max(10, chosen.entries // 10_000)
        )
        tally = collect(itertools.chain(hard, batches(chosen.seed)), chosen.entries)
    print(report(tally, time.perf_counter() - start))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
