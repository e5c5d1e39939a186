"""Failures of well-known libraries, each reproduced by a function, and noticed when mended.

Each record says in which version the failure was seen. :func:`live_failures` runs them all on the
versions that are installed. When a library mends one, the verdict is "mended", and the record
should be told: its `mended_in` names the first version that was seen to be right.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ..formats import FORMATS
from .edges import MANY
from .libraries import LIBRARIES, version_of


@dataclass(frozen=True)
class Failure:
    """A failure that was seen.

    Attributes
    ----------
    id : str
    library : str
        The name of the package that is installed.
    seen_in : str
        Its version.
    statement : str
        What is returned for what, and what would be right.
    fails : callable
        Reproduces it: True if the installed version still fails in this way.
    mended_in : str
        The first version that was seen to be right; empty as long as there is none.
    """

    id: str
    library: str
    seen_in: str
    statement: str
    fails: Callable[[], bool]
    mended_in: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a failure in the installed version.

    Attributes
    ----------
    failure : Failure
    version : str
        That is installed; empty if none is.
    verdict : str
        "still so", "mended" or "not installed".
    """

    failure: Failure
    version: str
    verdict: str

    @property
    def news(self) -> str:
        """What the record does not know yet, in a sentence, or nothing."""
        known = self.failure
        if self.verdict == "mended" and not known.mended_in:
            return (
                f"{known.library} {self.version} mends {known.id}: set its mended_in to "
                f"{self.version!r}, and correct what the book says about it."
            )
        if self.verdict == "still so" and known.mended_in:
            return (
                f"{known.library} {self.version} fails in {known.id}, which the record says was "
                f"mended in {known.mended_in}."
            )
        return ""

    def __str__(self) -> str:
        tail = f" ({self.failure.library} {self.version})" if self.version else ""
        return f"{self.failure.id}: {self.verdict}{tail}"


def live_failures(library: str | None = None) -> list[Verdict]:
    """Reproduce the recorded failures with what is installed.

    Parameters
    ----------
    library : str, optional
        Only those of one package, such as "scipy".

    Examples
    --------
    >>> for verdict in live_failures("ml_dtypes"):
    ...     print(verdict.failure.id, verdict.verdict)
    cast-ml_dtypes-bfloat16 still so
    cast-ml_dtypes-float8_e4m3fn still so
    cast-ml_dtypes-float8_e5m2 still so
    """
    return [_verdict(one) for one in FAILURES if library in (None, one.library)]


def _verdict(failure: Failure) -> Verdict:
    version = version_of(failure.library)
    if version is None:
        return Verdict(failure, "", "not installed")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn of some of them
        return Verdict(failure, version, "still so" if failure.fails() else "mended")


# --- equal float16 logits -----------------------------------------------------------------------


def _of_equal_float16(library: str, op: str) -> Any:
    """The first entry of what a library returns for so many float16 zeros."""
    one = LIBRARIES[library]
    zeros = np.zeros(MANY, np.float16)
    if one.array == "torch":
        zeros = importlib.import_module("torch").from_numpy(zeros)
    name = "axis" if one.array == "numpy" else "dim"
    y = one.functions()[op](zeros, **{name: -1})
    return float(np.ravel(np.asarray(y))[0])


_RETURNS = {"softmax": 0.0, "log_softmax": -np.inf, "logsumexp": np.inf}
_RIGHT = {"softmax": "1/n", "log_softmax": "−log n", "logsumexp": "log n"}


def _equal_float16(library: str, distribution: str, seen_in: str, op: str) -> Failure:
    return Failure(
        f"float16-sum-{distribution}-{op}",
        distribution,
        seen_in,
        f"{op} of {MANY:,} equal float16 logits returns {_RETURNS[op]:g}, where {_RIGHT[op]} "
        "belongs: the sum of the exponentials overflows.",
        lambda: bool(_of_equal_float16(library, op) == _RETURNS[op]),
    )


# --- the others ---------------------------------------------------------------------------------


def _torch_cross_entropy_float16() -> bool:
    """Small random logits over a large vocabulary, drawn in float32 and rounded."""
    torch = importlib.import_module("torch")
    generator = torch.Generator().manual_seed(0)
    logits = (0.1 * torch.randn(4, 128_256, generator=generator)).half()
    target = torch.zeros(4, dtype=torch.int64)
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    return bool(torch.isinf(loss).all())


def _scipy_unsigned() -> bool:
    special = importlib.import_module("scipy.special")
    return bool(np.isnan(special.softmax(np.array([1, 2], np.uint8))[0]))


def _scipy_signed() -> bool:
    special = importlib.import_module("scipy.special")
    p = special.softmax(np.array([100, -100], np.int8))
    return bool(p[0] == 0 and np.isnan(p[1]))


def _torch_softmin_unsigned() -> bool:
    torch = importlib.import_module("torch")
    x = torch.tensor([0, 2], dtype=torch.uint8)
    p = torch.nn.functional.softmin(x, dim=0, dtype=torch.float64)
    return bool(p[1] > p[0])


def _torch_margin() -> bool:
    torch = importlib.import_module("torch")
    logits = torch.tensor([[20.0, 0.0]], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    return bool(loss == 0 and logits.grad[0, 0] == 0)


def _jax_margin() -> bool:
    jax = importlib.import_module("jax")

    def loss(x: Any) -> Any:
        return -jax.nn.log_softmax(x)[0]

    value, gradient = jax.value_and_grad(loss)(jax.numpy.asarray([20.0, 0.0], "float32"))
    return bool(value == 0 and gradient[0] == 0)


def _jax_contraction() -> bool:
    jax = importlib.import_module("jax")
    tempered = jax.jit(lambda x: jax.nn.softmax(x / np.float32(0.7)))
    rng = np.random.default_rng(0)
    x = (2e9 + 1e6 * rng.normal(size=(64, 4))).astype(np.float32)
    return bool(np.isnan(np.asarray(tempered(x))).any())


def _onnx_reference() -> bool:
    evaluator = LIBRARIES["ONNX reference"].functions()["log_softmax"]
    y = evaluator(np.array([100, 0], np.float32), axis=-1)
    return bool(abs(y[1] + 100) > 0.01)


def _onnx_runtime_float16() -> bool:
    logsumexp = LIBRARIES["ONNX Runtime"].functions()["logsumexp"]
    return bool(np.isinf(logsumexp(np.array([1000, 1000], np.float16), axis=-1)))


def _above_a_middle(name: str) -> tuple[float, float]:
    """A number just above the middle of two numbers of a format, and the upper of the two.

    In float32 it rounds to the middle, from where a second rounding goes to the even one below.
    """
    u = FORMATS[name].unit_roundoff
    return 1 + u + 2.0**-40, 1 + 2 * u


def _torch_cast(name: str) -> bool:
    torch = importlib.import_module("torch")
    x, upper = _above_a_middle(name)
    return bool(float(torch.tensor(x, dtype=torch.float64).to(getattr(torch, name))) != upper)


def _ml_dtypes_cast(name: str) -> bool:
    x, upper = _above_a_middle(name)
    return float(np.float64(x).astype(getattr(ml_dtypes, name))) != upper


def _cast(distribution: str, seen_in: str, name: str, fails: Callable[[str], bool]) -> Failure:
    return Failure(
        f"cast-{distribution}-{name}",
        distribution,
        seen_in,
        f"A cast from float64 to {name} rounds twice: just above the middle of two numbers it "
        "returns the lower.",
        lambda: fails(name),
    )


#: All failures on record.
FAILURES: tuple[Failure, ...] = (
    *(_equal_float16("SciPy", "scipy", "1.17.1", op) for op in _RETURNS),
    *(_equal_float16("PyTorch", "torch", "2.13.0", op) for op in ("log_softmax", "logsumexp")),
    *(_equal_float16("JAX", "jax", "0.10.2", op) for op in _RETURNS),
    Failure(
        "float16-cross_entropy-torch",
        "torch",
        "2.13.0",
        "cross_entropy of float16 logits of deviation 0.1 over 128,256 classes returns inf for "
        "every row on the CPU, where about 11.8 belongs.",
        _torch_cross_entropy_float16,
    ),
    Failure(
        "uint8-softmax-scipy",
        "scipy",
        "1.17.1",
        "softmax of uint8 [1, 2] returns [nan, 0]: 1 − 2 wraps around to 255.",
        _scipy_unsigned,
    ),
    Failure(
        "int8-softmax-scipy",
        "scipy",
        "1.17.1",
        "softmax of int8 [100, −100] returns [0, nan]: −100 − 100 wraps around to 56.",
        _scipy_signed,
    ),
    Failure(
        "uint8-softmin-torch",
        "torch",
        "2.13.0",
        "softmin of uint8 [0, 2] with dtype float64 favours the 2: it is negated, to 254, before "
        "it is converted.",
        _torch_softmin_unsigned,
    ),
    Failure(
        "margin-torch",
        "torch",
        "2.13.0",
        "cross_entropy of float32 [20, 0] with target 0 has loss 0 and gradient 0 at the target, "
        "where 2.061e-9 and −2.061e-9 belong.",
        _torch_margin,
    ),
    Failure(
        "margin-jax",
        "jax",
        "0.10.2",
        "−log_softmax of float32 [20, 0] has value 0 and gradient 0 at the first entry, where "
        "2.061e-9 and −2.061e-9 belong.",
        _jax_margin,
    ),
    Failure(
        "contraction-jax",
        "jax",
        "0.10.2",
        "softmax(x / 0.7), compiled for a CPU with fused multiply-add, returns nan for float32 "
        "logits near 2e9: contracted into it, x − max becomes positive, and its exponential inf.",
        _jax_contraction,
    ),
    Failure(
        "log-of-softmax-onnx",
        "onnx",
        "1.23.2",
        "LogSoftmax of float32 [100, 0] by the reference evaluator returns −99.983 where −100 "
        "belongs: it takes the logarithm of softmax.",
        _onnx_reference,
    ),
    Failure(
        "float16-logsumexp-onnxruntime",
        "onnxruntime",
        "1.31.1",
        "ReduceLogSumExp of float16 [1000, 1000] returns inf, where 1000.5 belongs: the maximum "
        "is not subtracted.",
        _onnx_runtime_float16,
    ),
    *(
        _cast("torch", "2.13.0", name, _torch_cast)
        for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")
    ),
    *(
        _cast("ml_dtypes", "0.6.0", name, _ml_dtypes_cast)
        for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")
    ),
)
