"""Errors of softmax, log_softmax and logsumexp in ulp, against mpmath, beside other libraries.

Run ``python -m benchmarks.accuracy`` for the table; the tests use the families and the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import scipy.special
import torch

import softmax_ref as sr
from softmax_ref.formats import FORMATS, Format

FUNCTIONS = ("softmax", "log_softmax", "logsumexp")


def families(f: Format, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows of n logits, float64 values that the format has; what is hard about each is its name."""
    span = -f.exp_underflow()[0]  # how far below the maximum a probability becomes 0
    offset = {5: 1000.0, 8: 1e4}.get(int(np.log2(f.max_exponent + 1)) + 1, 1e4)
    k = rng.integers(n)
    dominant = rng.normal(size=n)
    dominant[k] = dominant.max() + min(span / 2, 30.0)
    subnormal = -span + rng.uniform(0, (f.precision + 2) * np.log(2), n)
    subnormal[k] = 0.0
    rows = {
        "normal": rng.normal(size=n),
        "spread": rng.uniform(-span, 0, n),
        "ties": rng.choice([0.0, 1.0, 2.0], n),
        "equal": np.full(n, rng.normal()),
        "dominant": dominant,
        "log-probabilities": np.log(rng.dirichlet(np.full(n, 0.5)) + 1e-30),
        "near overflow": f.max * rng.uniform(0.5, 1.0, n) * rng.choice([-1, 1], n),
        "subnormal": subnormal,
        "offset": offset + rng.normal(size=n),
        "tiny": 1e-3 * rng.normal(size=n),
        "clusters": rng.choice([0.0, -span / 2], n) + rng.normal(size=n),
    }
    return {name: f._round(np.clip(row, -f.max, f.max)) for name, row in rows.items()}


def truth(x: np.ndarray) -> dict[str, list[Any]]:
    """The exact values to 60 digits."""
    with mpmath.workdps(60):
        m = max(map(mpmath.mpf, x.tolist()))
        d = [mpmath.mpf(v) - m for v in x.tolist()]
        e = [mpmath.exp(v) for v in d]
        k = d.index(0)
        rest = mpmath.fsum(e[:k] + e[k + 1 :])
        log_sum = mpmath.log1p(rest)
        return {
            "softmax": [v / (1 + rest) for v in e],
            "log_softmax": [v - log_sum for v in d],
            "logsumexp": [m + log_sum],
        }


def ulps(y: Any, exact: list[Any], f: Format) -> np.ndarray:
    """|y − exact| in units of the format's spacing at the exact value; inf for nan."""
    values = np.atleast_1d(np.asarray(y, dtype=np.float64)).tolist()
    with mpmath.workdps(60):
        return np.array(
            [
                float(abs(mpmath.mpf(v) - t) / f.ulp(float(t))) if np.isfinite(v) else np.inf
                for v, t in zip(values, exact, strict=True)
                if abs(t) <= f.max
            ]
        )


def _numpy(name: str, x: np.ndarray) -> Any:
    """The shifted formula as most people write it."""
    m = x.max()
    e = np.exp(x - m)
    if name == "softmax":
        return e / e.sum()
    return x - m - np.log(e.sum()) if name == "log_softmax" else m + np.log(e.sum())


def _scipy(name: str, x: np.ndarray) -> Any:
    if x.dtype == ml_dtypes.bfloat16:
        raise TypeError("scipy has no bfloat16")
    return getattr(scipy.special, name)(x)


def _torch(name: str, x: np.ndarray) -> Any:
    dtype = getattr(torch, x.dtype.name)
    tensor = torch.tensor(x.astype(np.float64)).to(dtype)  # exact: the format has these values
    return getattr(torch, name)(tensor, -1).to(torch.float64).numpy()


def _jax(name: str, x: np.ndarray) -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    function = jax.nn.logsumexp if name == "logsumexp" else getattr(jax.nn, name)
    return np.asarray(function(jax.numpy.asarray(x)).astype("float64"))


def _ours(name: str, x: np.ndarray) -> Any:
    return getattr(sr, name)(x)


def _ours_on_tensors(name: str, x: np.ndarray) -> Any:
    tensor = torch.tensor(x.astype(np.float64)).to(getattr(torch, x.dtype.name))
    return getattr(sr, name)(tensor).to(torch.float64).numpy()


LIBRARIES: dict[str, Callable[[str, np.ndarray], Any]] = {
    "ours": _ours,
    "ours, torch": _ours_on_tensors,
    "NumPy formula": _numpy,
    "SciPy": _scipy,
    "torch": _torch,
}
try:
    import jax as _jax_is_there  # noqa: F401

    LIBRARIES["jax"] = _jax
except ImportError:
    pass


def errors(
    f: Format, sizes: tuple[int, ...], repeats: int, seed: int
) -> Iterator[tuple[str, str, str, float]]:
    """(function, family, library, largest error in ulp) over the sizes and repeats."""
    rng = np.random.default_rng(seed)
    worst: dict[tuple[str, str, str], float] = {}
    for n in sizes:
        for _ in range(repeats):
            for family, row in families(f, n, rng).items():
                exact, x = truth(row), row.astype(f.dtype)
                for name in FUNCTIONS:
                    for library, function in LIBRARIES.items():
                        try:
                            with np.errstate(all="ignore"):
                                y = function(name, x)
                        except TypeError:
                            continue
                        key = name, family, library
                        error = max(ulps(y, exact[name], f), default=0.0)
                        worst[key] = max(worst.get(key, 0.0), error)
    for key, error in worst.items():
        yield *key, error


def main() -> None:
    """Print the table: one line for each format, function and family, one column each library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 10, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--formats", nargs="+", default=["float64", "float32", "float16", "bfloat16"]
    )
    arguments = parser.parse_args()
    print("| format | function | family |", " | ".join(LIBRARIES), "|")
    print("|---|---|---|" + "---|" * len(LIBRARIES))
    for format_name in arguments.formats:
        table: dict[tuple[str, str], dict[str, float]] = {}
        found = errors(FORMATS[format_name], tuple(arguments.sizes), arguments.repeats, seed=0)
        for name, family, library, error in found:
            table.setdefault((name, family), {})[library] = error
        for name in FUNCTIONS:
            for (function, family), row in table.items():
                if function == name:
                    cells = (f"{row[k]:.3g}" if k in row else "" for k in LIBRARIES)
                    print(
                        f"| {format_name} | {name} | {family} |", " | ".join(cells), "|", flush=True
                    )


if __name__ == "__main__":
    main()
