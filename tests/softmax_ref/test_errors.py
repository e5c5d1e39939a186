"""Bad input ends in one sentence of the right class; good input is left as it was."""

import ml_dtypes
import numpy as np
import pytest
import torch

import softmax_ref as sr
from softmax_ref import textbook
from softmax_ref.formats import FORMATS

X = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]])
T = np.array([0, 2])
GENERATOR = np.random.default_rng(0)

CASES = {
    "a string": (
        lambda: sr.softmax("abc"),
        TypeError,
        "x must hold real numbers in one of",
    ),
    "strings": (lambda: sr.softmax(["a", "b"]), TypeError, "got str"),
    "objects": (lambda: sr.logsumexp([10**40, None]), TypeError, "got object"),
    "complex": (lambda: sr.log_softmax([1j]), TypeError, "got complex128"),
    "complex tensor": (lambda: sr.softmax(torch.zeros(2) * 1j), TypeError, "got complex64"),
    "fp8": (lambda: sr.softmax(np.zeros(2, ml_dtypes.float8_e5m2)), TypeError, "got float8_e5m2"),
    "long double": (lambda: sr.softmax(np.zeros(2, np.longdouble)), TypeError, "got "),
    "dates": (lambda: sr.softmax(np.array(["2020-01-01"], "M8[D]")), TypeError, "got datetime64"),
    "a masked array": (lambda: sr.softmax(np.ma.masked_less(X, 0)), TypeError, r"where=~mask"),
    "ragged rows": (lambda: sr.softmax([[1.0], [1.0, 2.0]]), ValueError, "inhomogeneous"),
    "axis out of range": (lambda: sr.softmax(X, 2), np.exceptions.AxisError, "axis 2 is out of"),
    "axis out of range in a tuple": (
        lambda: sr.logsumexp(X, (0, 5)),
        np.exceptions.AxisError,
        "axis 5 is out of",
    ),
    "axis of a number": (lambda: sr.softmax(1.0, 1), np.exceptions.AxisError, "axis 1 is out of"),
    "the same axis twice": (lambda: sr.softmax(X, (0, -2)), ValueError, "not name the same axis"),
    "a fractional axis": (lambda: sr.softmax(X, 0.5), TypeError, "axis must be an integer"),
    "a boolean axis": (lambda: sr.softmax(X, True), TypeError, "axis must be an integer"),
    "two axes of classes": (lambda: sr.cross_entropy(X, T, axis=(0, 1)), TypeError, "one integer"),
    "two axes of a Jacobian": (lambda: sr.jacobian(X, (0, 1)), TypeError, "one integer"),
    "temperature 0": (
        lambda: sr.softmax(X, temperature=0),
        ValueError,
        r"temperature must be a positive finite number in float64; got 0\.",
    ),
    "negative temperature": (lambda: sr.softmin(X, temperature=-1.0), ValueError, "got -1.0"),
    "infinite temperature": (lambda: sr.log_softmax(X, temperature=np.inf), ValueError, "got inf"),
    "nan temperature": (lambda: sr.softmax(X, temperature=np.nan), ValueError, "got nan"),
    "temperature that rounds to 0": (
        lambda: sr.softmax(X.astype(np.float32), temperature=1e-60),
        ValueError,
        "in float32; got 1e-60",
    ),
    "temperature as a string": (lambda: sr.softmax(X, temperature="1"), TypeError, "got str"),
    "temperature as a boolean": (lambda: sr.softmax(X, temperature=True), TypeError, "got bool"),
    "temperature as an array": (
        lambda: sr.softmax(X, temperature=X),
        TypeError,
        "temperature must",
    ),
    "a mask of integers": (
        lambda: sr.softmax(X, where=[1, 0, 1]),
        TypeError,
        "where must hold",
    ),
    "a mask that does not fit": (
        lambda: sr.softmax(X, where=[True, False]),
        ValueError,
        r"where must have a shape that broadcasts to that of x, \(2, 3\); got \(2,\)\.",
    ),
    "weights that do not fit": (lambda: sr.logsumexp(X, b=[1.0, 2.0]), ValueError, "b must have"),
    "complex weights": (lambda: sr.logsumexp(X, b=[1j]), TypeError, "b must hold real"),
    "a negative sum": (lambda: sr.logsumexp(X, b=-1.0), ValueError, "pass return_sign=True"),
    "a direction of another shape": (
        lambda: sr.softmax_jvp(X, X[0]),
        ValueError,
        r"v must have the shape of x, \(2, 3\); got \(3,\)\.",
    ),
    "a gradient of another shape": (
        lambda: sr.logsumexp_vjp(X, X),
        ValueError,
        "x without its axis",
    ),
    "a tensor beside an array": (
        lambda: sr.softmax_vjp(X, torch.zeros(2, 3)),
        TypeError,
        "g is a P",
    ),
    "a mask tensor beside an array": (
        lambda: sr.softmax(X, where=torch.ones(3).bool()),
        TypeError,
        "where is a PyTorch tensor",
    ),
    "a target tensor beside an array": (
        lambda: sr.cross_entropy(X, torch.tensor([0, 1])),
        TypeError,
        "target is a PyTorch tensor",
    ),
    "a matrix for the loop": (
        lambda: __import__("softmax_ref.derivatives").derivatives.jacobian_by_loop(X),
        ValueError,
        r"x must be a vector; got an array of shape \(2, 3\)\.",
    ),
    "a target too large": (
        lambda: sr.cross_entropy(X, [0, 3]),
        IndexError,
        r"target must be between 0 and 2, or ignore_index \(-100\); got 3 at index 1\.",
    ),
    "a negative target": (
        lambda: sr.cross_entropy_gradient(X, [-1, 0]),
        IndexError,
        "-1 at index 0",
    ),
    "a target in a matrix": (
        lambda: sr.cross_entropy(np.zeros((2, 3, 4)), [[0, 0, 0], [0, 9, 0]]),
        IndexError,
        r"got 9 at index \(1, 1\)\.",
    ),
    "a target for one row": (lambda: sr.cross_entropy(X[0], 7), IndexError, r"got 7 at index \(\)"),
    "a target in uint8, with ignore_index elsewhere": (
        lambda: sr.cross_entropy(torch.zeros(1, 3), torch.tensor([156], dtype=torch.uint8)),
        IndexError,
        "got 156 at index 0",
    ),
    "targets of another shape": (
        lambda: sr.cross_entropy(X, [0]),
        ValueError,
        r"\(2,\), as it hol",
    ),
    "probabilities of another shape": (
        lambda: sr.cross_entropy(X, X[0]),
        ValueError,
        "probabilities",
    ),
    "boolean targets": (lambda: sr.cross_entropy(X, [True, False]), TypeError, "got booleans"),
    "string targets": (lambda: sr.cross_entropy(X, ["a", "b"]), TypeError, "target must hold real"),
    "logits without classes": (lambda: sr.cross_entropy(1.0, 0), ValueError, r"got shape \(\)"),
    "logits of no classes": (
        lambda: sr.cross_entropy(np.empty((2, 0)), np.empty((2, 0))),
        ValueError,
        r"logits must have an axis of classes, not empty; got shape \(2, 0\)\.",
    ),
    "class weights of the wrong length": (
        lambda: sr.cross_entropy(X, T, weight=[1.0, 2.0]),
        ValueError,
        r"weight must have one entry for each class, shape \(3,\); got shape \(2,\)\.",
    ),
    "too much smoothing": (
        lambda: sr.cross_entropy(X, T, label_smoothing=1.5),
        ValueError,
        r"label_smoothing must be a number between 0 and 1; got 1\.5\.",
    ),
    "negative smoothing": (
        lambda: sr.cross_entropy_hvp(X, T, X, label_smoothing=-0.1),
        ValueError,
        "-0.1",
    ),
    "smoothing as a string": (
        lambda: sr.cross_entropy(X, T, label_smoothing="a"),
        TypeError,
        "got str",
    ),
    "an unknown reduction": (
        lambda: sr.cross_entropy(X, T, reduction="avg"),
        ValueError,
        "reduction must be one of none, sum, mean; got 'avg', nearest to",
    ),
    "no reduction": (lambda: sr.binary_cross_entropy(X, X, reduction=None), ValueError, "got None"),
    "nll_loss of probabilities": (lambda: sr.nll_loss(X, X), TypeError, "integers; got float64"),
    "a binary target above 1": (
        lambda: sr.binary_cross_entropy(X, X),
        ValueError,
        "between 0 and 1",
    ),
    "binary targets of another shape": (
        lambda: sr.binary_cross_entropy(X, T),
        ValueError,
        "target must have the shape of logits",
    ),
    "q of another shape": (
        lambda: sr.kl_divergence(X, X[0]),
        ValueError,
        "q must have the shape of p",
    ),
    "no generator": (lambda: sr.gumbel_max(X, 0), TypeError, "numpy.random.Generator.*got int"),
    "NumPy's generator for a tensor": (
        lambda: sr.gumbel_max(torch.zeros(3), GENERATOR),
        TypeError,
        "torch.Generator for tensors; got Generator",
    ),
    "no finite logit": (lambda: sr.gumbel_max([-np.inf], GENERATOR), ValueError, "a finite one in"),
    "a nan logit": (lambda: sr.gumbel_max([0.0, np.nan], GENERATOR), ValueError, "finite or −inf"),
    "Gumbel temperature": (
        lambda: sr.gumbel_softmax(X, GENERATOR, temperature=0),
        ValueError,
        "temperature must be",
    ),
    "no threads": (lambda: sr.set_num_threads(0), ValueError, "at least 1; got 0"),
}


@pytest.mark.parametrize(("call", "error", "message"), CASES.values(), ids=CASES)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sr.get_num_threads() == 1


FUNCTIONS = {
    "softmax": lambda x: sr.softmax(x),
    "softmax along two axes": lambda x: sr.softmax(x, None, where=x > 0, temperature=0.5),
    "log_softmax": lambda x: sr.log_softmax(x, 0),
    "logsumexp": lambda x: sr.logsumexp(x, b=x, return_sign=True),
    "sigmoid": lambda x: sr.sigmoid(x),
    "log_sigmoid": lambda x: sr.log_sigmoid(x),
    "softplus": lambda x: sr.softplus(x),
    "jacobian": lambda x: sr.jacobian(x),
    "softmax_vjp": lambda x: sr.softmax_vjp(x, x),
    "log_softmax_vjp": lambda x: sr.log_softmax_vjp(x, x),
    "log_softmax_jvp": lambda x: sr.log_softmax_jvp(x, x),
    "cross_entropy": lambda x: sr.cross_entropy(x, [0, -100], label_smoothing=0.1),
    "cross_entropy_gradient": lambda x: sr.cross_entropy_gradient(x, x),
    "cross_entropy_hvp": lambda x: sr.cross_entropy_hvp(x, [1, 1], x, weight=x[0]),
    "binary_cross_entropy": lambda x: sr.binary_cross_entropy(x, x > 0),
    "entropy": lambda x: sr.entropy(abs(x)),
    "kl_divergence": lambda x: sr.kl_divergence(abs(x), abs(x)),
    "gumbel_softmax": lambda x: sr.gumbel_softmax(x, np.random.default_rng(0)),
    "RunningLogSumExp": lambda x: sr.RunningLogSumExp().update(x).softmax(x),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("dtype", [f.dtype for f in list(FORMATS.values())[:4]], ids=str)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only", "big-endian"])
def test_inputs_are_never_modified(function, dtype, layout):
    x = X.astype(dtype)
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    elif layout == "read-only":
        x.flags.writeable = False
    elif dtype != ml_dtypes.bfloat16:
        x = x.astype(x.dtype.newbyteorder(">"))
    before = x.copy()
    expected = function(X.astype(dtype))
    y = function(x)
    for ours, plain in zip(np.atleast_1d(y), np.atleast_1d(expected), strict=True):
        np.testing.assert_array_equal(ours, plain)
    np.testing.assert_array_equal(x, before)


def test_the_textbook_functions_compute_in_the_format_they_are_given():
    for name in ("softmax", "log_softmax", "logsumexp"):
        function = getattr(textbook, name)
        for f in list(FORMATS.values())[:4]:
            assert function(X.astype(f.dtype)).dtype == f.dtype
        assert function(torch.tensor(X).bfloat16()).dtype == torch.bfloat16
        assert function([1, 2]).dtype == np.float64
    np.testing.assert_allclose(
        textbook.cross_entropy(X, T), sr.cross_entropy(X, T, reduction="none")
    )
