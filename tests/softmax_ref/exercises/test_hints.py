"""Hints for mistakes that nobody has listed: what is said, and of which mistake."""

from types import SimpleNamespace

import numpy as np
import pytest

from softmax_ref.exercises import _hints

TWO = np.array([0.25, 0.75])


def outcome(kind, returned, expected=TWO, modified=""):
    return SimpleNamespace(kind=kind, returned=returned, expected=expected, modified=modified)


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (outcome("raised", OverflowError("math range error")), "raises above 709.78"),
        (outcome("raised", ValueError("math domain error")), "Did everything underflow?"),
        (outcome("raised", ValueError("could not broadcast")), "Is a keepdims=True missing?"),
        (outcome("raised", KeyError("x")), "the whole traceback"),
        (outcome("type", None), "Is the return missing?"),
        (outcome("type", "0.25", np.array(["zero"])), "list of words"),
        (outcome("type", "0.25"), "A number or an array of numbers"),
        (outcome("shape", TWO[:, None]), "Only their arrangement"),
        (outcome("shape", np.array(1.0)), "An axis is lost."),
        (outcome("shape", np.zeros(3)), "Which axis should have been summed"),
        (outcome("dtype", np.array([0, 1])), "Integers cannot hold the answer."),
        (outcome("dtype", TWO.astype(np.float32)), "The answer should be float64."),
        (outcome("not finite", np.array([np.nan, 1.0])), "nan comes from"),
        (outcome("not finite", np.array([np.inf, 1.0])), "An infinity"),
        (outcome("modified", TWO, modified="x"), "Write x = x - c"),
        (outcome("value", np.array(["no"]), np.array(["yes"])), "by hand"),
        (outcome("value", np.array([[1.0, 3], [2, 4]]), np.array([[1.0, 2], [3, 4]])), "transpose"),
        (outcome("value", 2 * TWO), "2 times the right one"),
        (outcome("value", TWO + 1e-6), "The first digits are right."),
        (outcome("value", TWO + 0.1), "Compare each step."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hint_for_each_mistake(failed, said):
    assert said in _hints.general(failed, [failed])


def test_a_constant_factor_is_only_named_if_it_holds_everywhere():
    wrong, not_a_number = outcome("value", 2 * TWO), outcome("value", TWO * np.nan)
    assert "2 times" in _hints.general(wrong, [wrong, outcome("value", 2 * TWO)])
    for other in (outcome("value", 3 * TWO), outcome("shape", TWO), not_a_number):
        assert "times" not in _hints.general(wrong, [wrong, other])


def test_which_parameters_fit():
    assert _hints.fits(lambda x, axis: x, ["x", "axis"])
    assert not _hints.fits(lambda x: x, ["x", "axis"])
    assert _hints.fits(np.exp, ["x"])
    assert _hints.fits(max, ["a", "b"])  # its signature is not known
    assert "x, axis" in _hints.signature(["x", "axis"])
