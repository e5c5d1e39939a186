"""The functions of the libraries that are installed, and the table of what was found about them."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import softmax_ref

from .checker import Report, check
from .truth import OPERATIONS

Functions = dict[str, Callable[..., Any]]
#: The formats of the table.
TABLE_FORMATS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Library:
    """Where a library's three functions are.

    Attributes
    ----------
    name : str
    distribution : str
        The package that is installed for it.
    functions : callable
        Imports it, and returns its functions by operation.
    array : str
        What they are given.
    """

    name: str
    distribution: str
    functions: Callable[[], Functions]
    array: str = "numpy"

    def version(self) -> str | None:
        """The installed version, or None."""
        return version_of(self.distribution)


@dataclass(frozen=True)
class Row:
    """What was found about one function of one library in one format.

    Attributes
    ----------
    library, version, op, dtype : str
    found : Report or None
        None where the library is not installed; `version` is then empty.
    """

    library: str
    version: str
    op: str
    dtype: str
    found: Report | None

    @property
    def status(self) -> str:
        """measured, not offered or not installed."""
        if self.found is None:
            return "not installed"
        return "not offered" if self.found.not_offered else "measured"

    def as_json(self) -> dict[str, Any]:
        """The row as plain values."""
        plain = {name: getattr(self, name) for name in ("library", "version", "op", "dtype")}
        report = self.found.as_json() if self.found else None
        return {**plain, "status": self.status, "report": report}


def version_of(distribution: str) -> str | None:
    """The version of an installed package, or None.

    Examples
    --------
    >>> version_of("no-such-package") is None
    True
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def report(
    libraries: Iterable[str] | None = None,
    ops: Iterable[str] = OPERATIONS,
    dtypes: Iterable[str] = TABLE_FORMATS,
    *,
    seed: int = 0,
) -> list[Row]:
    """Check the functions of the libraries that are installed.

    Parameters
    ----------
    libraries : iterable of str, optional
        Names from :data:`LIBRARIES`; all by default.
    ops, dtypes : iterable of str
        Operations and formats.
    seed : int
        As for :func:`check`.

    Returns
    -------
    list of Row
        One for each library, operation and format; one for a library that is not installed.

    Raises
    ------
    ValueError
        If there is no such library, operation or format; it names the choices.

    Examples
    --------
    >>> rows = report(["NumPy formula", "SciPy"], ops=["softmax"], dtypes=["float16"])
    >>> [(row.library, row.status, row.found.thresholds.entries) for row in rows]
    [('NumPy formula', 'measured', 65519), ('SciPy', 'measured', 65519)]
    """
    names = list(LIBRARIES) if libraries is None else list(libraries)
    for name in names:
        if name not in LIBRARIES:
            raise ValueError(f"library must be one of {', '.join(LIBRARIES)}; got {name!r}.")
    chosen = [LIBRARIES[name] for name in names]
    return [row for library in chosen for row in _rows(library, list(ops), list(dtypes), seed)]


def _rows(library: Library, ops: list[str], dtypes: list[str], seed: int) -> list[Row]:
    version = library.version()
    if version is None:
        return [Row(library.name, "", "", "", None)]
    functions = library.functions()
    return [
        Row(
            library.name,
            version,
            op,
            dtype,
            check(functions[op], op, dtype, array=library.array, seed=seed),
        )
        for op in ops
        for dtype in dtypes
    ]


# --- where the functions are ------------------------------------------------------------------


def _formula_softmax(x: NDArray[Any], axis: int) -> NDArray[Any]:
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    shares: NDArray[Any] = e / np.sum(e, axis=axis, keepdims=True)
    return shares


def _formula_log_softmax(x: NDArray[Any], axis: int) -> NDArray[Any]:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    y: NDArray[Any] = shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return y


def _formula_logsumexp(x: NDArray[Any], axis: int) -> NDArray[Any]:
    largest = np.max(x, axis=axis, keepdims=True)
    total = np.sum(np.exp(x - largest), axis=axis)
    y: NDArray[Any] = np.squeeze(largest, axis) + np.log(total)
    return y


def _named(module: str) -> Callable[[], Functions]:
    """The three functions under their own names in a module."""

    def functions() -> Functions:
        found = importlib.import_module(module)
        return {op: getattr(found, op) for op in OPERATIONS}

    return functions


def _jax() -> Functions:
    jax = importlib.import_module("jax")

    def in_its_format(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: NDArray[Any], axis: int) -> NDArray[Any]:
            with jax.enable_x64(True):  # or float64 would become float32
                return np.asarray(function(jax.numpy.asarray(x), axis=axis))

        return call

    nn = jax.nn
    own = {"softmax": nn.softmax, "log_softmax": nn.log_softmax, "logsumexp": nn.logsumexp}
    return {op: in_its_format(function) for op, function in own.items()}


_ONNX_NAMES = {
    "softmax": "Softmax",
    "log_softmax": "LogSoftmax",
    "logsumexp": "ReduceLogSumExp",
}


@functools.cache
def onnx_model(op: str, dtype: str, ndim: int, axis: int) -> Any:
    """A model of one node that takes x and returns y.

    It needs the package onnx.
    """
    onnx = importlib.import_module("onnx")
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    reduces = op == "logsumexp"
    node = onnx.helper.make_node(
        _ONNX_NAMES[op],
        ["x", "axes"] if reduces else ["x"],
        ["y"],
        **({"keepdims": 0} if reduces else {"axis": axis}),
    )
    x = onnx.helper.make_tensor_value_info("x", element, [None] * ndim)
    y = onnx.helper.make_tensor_value_info("y", element, [None] * (ndim - reduces))
    axes = onnx.numpy_helper.from_array(np.array([axis]), "axes")
    graph = onnx.helper.make_graph([node], op, [x], [y], [axes] if reduces else [])
    opset = onnx.helper.make_opsetid("", 18)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)


def _onnx(session: Callable[[Any], Any]) -> Functions:
    """Functions that run one-node models; `session` makes a model ready to run."""
    ready = functools.cache(lambda *key: session(onnx_model(*key)))

    def function(op: str) -> Callable[..., Any]:
        def call(x: NDArray[Any], axis: int) -> NDArray[Any]:
            (y,) = ready(op, x.dtype.name, x.ndim, axis).run(None, {"x": x})
            return np.asarray(y)

        return call

    return {op: function(op) for op in OPERATIONS}


def _onnx_reference() -> Functions:
    reference = importlib.import_module("onnx.reference")
    return _onnx(reference.ReferenceEvaluator)


def _onnx_runtime() -> Functions:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only

    def session(model: Any) -> Any:
        text = model.SerializeToString()
        return runtime.InferenceSession(text, options, providers=["CPUExecutionProvider"])

    return _onnx(session)


#: Those of the table, by name.
LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library(
            "NumPy formula",
            "numpy",
            lambda: {
                "softmax": _formula_softmax,
                "log_softmax": _formula_log_softmax,
                "logsumexp": _formula_logsumexp,
            },
        ),
        Library("SciPy", "scipy", _named("scipy.special")),
        Library("PyTorch", "torch", _named("torch"), "torch"),
        Library("JAX", "jax", _jax),
        Library("ONNX Runtime", "onnxruntime", _onnx_runtime),
        Library("ONNX reference", "onnx", _onnx_reference),
        Library(
            "softmax_ref",
            "softmax-checked",
            lambda: {op: getattr(softmax_ref, op) for op in OPERATIONS},
        ),
    )
}
