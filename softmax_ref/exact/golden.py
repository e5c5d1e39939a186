"""Golden vectors: inputs with correctly rounded outputs, as bit patterns (needs gmpy2).

``python -m softmax_ref.exact.golden`` writes one text file for each format into
``softmax_ref/exact/golden_v1``. Nothing but integers is drawn at random, and all functions are
MPFR's, so that the files come out byte for byte the same on any machine.

Lines that start with # are comments. Every other line is a case of five fields, separated by tabs:

    family   x   softmax   log_softmax   logsumexp

A field is a list of numbers, separated by spaces; a number is its bit pattern in hexadecimal. Where
a result is nan any nan is right. The sign of zero counts: a negative number that rounds to zero
gives −0.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import gmpy2
import numpy as np
from numpy.typing import NDArray

from ..formats import FORMATS, Format
from .truth import Truth

#: Where the files lie that belong to this version.
FOLDER = Path(__file__).with_name("golden_v1")
_SEED = 2026
_HARD = 40
_INF, _NAN = math.inf, math.nan
_EDGES = (
    [0.0],
    [-0.0, 0.0],
    [5.0],
    [-_INF],
    [-_INF, -_INF],
    [-_INF, 2.0],
    [-_INF, 2.0, 2.0],
    [-_INF, 0.5, -_INF, 1.0],
    [_INF, 1.0],
    [_INF, _INF],
    [_INF, -_INF],
    [_NAN, 1.0],
    [_NAN, _INF],
)
_KNOWN = (
    [-2.3025850929940455, -1.6094379124341003, -0.35667494393873245],
    [-0.6931471805599453, -0.6931471805599453],
    [71.375, -52.40625],
    [2.0, 1.0, 0.1],
    [1.0, 2.0, 3.0],
    [1.0, 2.0, 5.0],
    [1000.0, 2000.0, 5000.0],
    [-1000.0, -1000.0, -1000.0],
    [-1000.0, 1.0, 1000.0],
    [100.0, 0.0],
    [20.0, 0.0],
    [40.0, 0.0],
    [0.0, -740.0, -745.2],
    [0.0, -744.0],
    [512 - 2.0**-44, 2.0**-43 - 512],
)
Case = tuple[str, NDArray[np.float64]]


def cases(fmt: Format) -> Iterator[Case]:
    """All inputs of a format, as float64."""
    rng = np.random.default_rng(_SEED)
    for x in _EDGES:
        if fmt.has_infinity or not np.isinf(x).any():
            yield "edge", np.array(x)
    for x in _KNOWN:
        yield "known", _into(fmt, np.array(x))
    for count in (2, 3, 5, 7, 10, 64, 100):
        yield "equal", np.zeros(count)
    if fmt.name == "float8_e4m3fn":
        yield "equal", np.zeros(1024)  # 1/1024 is a tie
    largest = fmt.max
    below = fmt.next_down(largest)
    for x in ([largest, -largest], [largest, largest], [-largest, below, largest], [-largest] * 2):
        yield "near ±largest", np.array(x)
    for size in (2, 3, 4):
        for _ in range(120):
            yield "any bits", _any_bits(fmt, rng, size)
    for size in (2, 3, 8, 20):
        for _ in range(40):
            yield "eighths", _into(fmt, rng.integers(-64, 65, size) / 8)
    deep = int(-8 * math.log(fmt.smallest_subnormal))
    for k in rng.integers(0, deep + 24, 80):
        yield "dominant entry", _into(fmt, np.array([0.0, -k / 8, -rng.integers(0, k + 1) / 8]))
    for size in (2, 3, 6):
        for _ in range(30):
            weights = rng.integers(1, 100, size)
            total = int(weights.sum())
            logs = [float(gmpy2.log(gmpy2.mpfr(int(w)) / total)) for w in weights]
            yield "log-probabilities", _into(fmt, np.array(logs))
    yield from _hard(fmt, rng)


def _into(fmt: Format, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(fmt.round(np.clip(x, -fmt.max, fmt.max))).astype(np.float64)


def _any_bits(fmt: Format, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Bit patterns drawn alike, without infinities and nan."""
    found: list[float] = []
    width = 8 * fmt.dtype.itemsize
    while len(found) < size:
        bits = rng.integers(0, 1 << width, dtype=np.uint64).astype(f"u{fmt.dtype.itemsize}")
        value = _from_bits(bits, fmt)
        if math.isfinite(value):
            found.append(value)
    return np.array(found)


def _from_bits(bits: NDArray[np.unsignedinteger], fmt: Format) -> float:
    with np.errstate(invalid="ignore"):  # signalling nans
        return float(bits.view(fmt.dtype).astype(np.float64))


def _hard(fmt: Format, rng: np.random.Generator) -> Iterator[Case]:
    """[0, −d] where a result is nearest to a rounding boundary, among all or many d."""
    rooms: dict[str, list[tuple[gmpy2.mpfr, float]]] = {}
    with gmpy2.context(precision=300):
        for d in _candidates(fmt, rng):
            e = gmpy2.exp(-gmpy2.mpfr(d))
            log = gmpy2.log1p(e)
            values = {"small": e / (1 + e), "large": 1 / (1 + e), "low": -d - log, "high": log}
            for name, value in values.items():
                rooms.setdefault(name, []).append((_room(value, fmt), d))
    for name, found in rooms.items():
        for _, d in sorted(found)[:_HARD]:
            yield f"hard to round, {name}", np.array([0.0, -d])


def _candidates(fmt: Format, rng: np.random.Generator) -> list[float]:
    if fmt.dtype.itemsize > 2:
        digits = fmt.precision - 1
        drawn = zip(
            rng.integers(1 << digits, 2 << digits, 4000).tolist(),
            rng.integers(-4, 7, 4000).tolist(),
            strict=True,
        )
        return [math.ldexp(bits, exponent - digits) for bits, exponent in drawn]
    every = np.arange(1 << (8 * fmt.dtype.itemsize - 1), dtype=f"u{fmt.dtype.itemsize}")
    values = [_from_bits(bits, fmt) for bits in every]
    return [v for v in values if 0 < v < -math.log(fmt.smallest_subnormal)]


def _room(value: gmpy2.mpfr, fmt: Format) -> gmpy2.mpfr:
    """Distance to the nearest boundary, in units of the last place."""
    exponent = max(gmpy2.get_exp(value) - 1, fmt.min_exponent)
    steps = gmpy2.mul_2exp(abs(value), fmt.precision) * gmpy2.exp2(-exponent - 1)
    return abs(steps - gmpy2.floor(steps) - 0.5)


def results(fmt: Format, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """softmax, log_softmax and logsumexp of a row, edges included."""
    limit = np.max(x)
    if not math.isfinite(limit):
        return np.full(x.size, _NAN), np.full(x.size, _NAN), np.array([limit])
    truth, finite = Truth(x, fmt), np.isfinite(x)
    p, log_p = np.zeros(x.size), np.full(x.size, -_INF)
    p[finite], log_p[finite] = truth.softmax(), truth.log_softmax()
    return p, log_p, np.array([truth.logsumexp()])


def text(fmt: Format) -> str:
    """The file of a format."""
    width = 2 * fmt.dtype.itemsize
    lines = [
        f"# Golden vectors, version 1: {fmt.name}, bit patterns of {4 * width} bits.",
        "# Correctly rounded (to nearest, ties to even, gradual underflow) by MPFR.",
        "# Reuse under the MIT licence. Made by python -m softmax_ref.exact.golden.",
        "# family\tx\tsoftmax\tlog_softmax\tlogsumexp",
    ]
    for family, x in cases(fmt):
        fields = [
            " ".join(f"{int(bits):0{width}x}" for bits in _bits(values, fmt))
            for values in (x, *results(fmt, x))
        ]
        lines.append("\t".join([family, *fields]))
    return "\n".join(lines) + "\n"


def _bits(values: NDArray[np.float64], fmt: Format) -> NDArray[np.unsignedinteger]:
    bits = values.astype(fmt.dtype).view(f"u{fmt.dtype.itemsize}")
    nan = np.array([_NAN]).astype(fmt.dtype).view(bits.dtype)
    return np.where(np.isnan(values), nan, bits)


def read(fmt: Format) -> Iterator[tuple[str, list[NDArray[np.generic]]]]:
    """The stored cases of a format: family, and x, softmax, log_softmax, logsumexp."""
    for line in (FOLDER / f"{fmt.name}.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            family, *fields = line.split("\t")
            yield (
                family,
                [
                    np.array(
                        [int(word, 16) for word in field.split()], f"u{fmt.dtype.itemsize}"
                    ).view(fmt.dtype)
                    for field in fields
                ],
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m softmax_ref.exact.golden", description="Write the golden vectors."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to write")
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for fmt in FORMATS.values():
        (folder / f"{fmt.name}.tsv").write_text(text(fmt), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
