"""ONNX's own node test cases for the five operators that this package has."""

import importlib
import warnings

import numpy as np
import pytest

import softmax_ref as sr

node = pytest.importorskip("onnx.backend.test.case.node")

MODULES = {
    "softmax": 7,
    "logsoftmax": 7,
    "reduce_log_sum_exp": 9,
    "softmax_cross_entropy_loss": 34,
    "negativeloglikelihoodloss": 18,
}


def cases():
    """The cases that importing the modules registers, without those of the expanded functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their NumPy takes the logarithm of 0
        for module in MODULES:
            importlib.import_module(f"onnx.backend.test.case.node.{module}")
    operators = {"Softmax", "LogSoftmax", "ReduceLogSumExp"}
    operators |= {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}
    return [
        case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in operators
    ]


CASES = cases()


def attributes(onnx_node):
    from onnx.helper import get_attribute_value

    values = {a.name: get_attribute_value(a) for a in onnx_node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def compute(operator, inputs, axis=-1, keepdims=1, noop_with_empty_axes=0, **given):
    x = inputs[0]
    if operator == "Softmax":
        return [sr.softmax(x, axis)]
    if operator == "LogSoftmax":
        return [sr.log_softmax(x, axis)]
    if operator == "ReduceLogSumExp":
        axes = tuple(inputs[1]) if len(inputs[1]) else None
        assert not noop_with_empty_axes
        return [sr.logsumexp(x, axes, keepdims=bool(keepdims))]
    weight = inputs[2] if len(inputs) > 2 else None
    loss = sr.nll_loss if operator == "NegativeLogLikelihoodLoss" else sr.cross_entropy
    return [loss(x, inputs[1], axis=1, weight=weight, **given), sr.log_softmax(x, 1)]


def test_there_are_75_cases():
    assert len(CASES) == sum(MODULES.values()) == 75


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_node_case(case):
    (onnx_node,) = case.model.graph.node
    for inputs, expected in case.data_sets:
        results = compute(onnx_node.op_type, inputs, **attributes(onnx_node))
        for y, value in zip(results, expected, strict=False):  # the log-probabilities are optional
            assert y.dtype == value.dtype
            # The tolerances of the cases themselves.
            np.testing.assert_allclose(y, value, rtol=case.rtol, atol=case.atol)
