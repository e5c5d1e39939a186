"""Cross-entropy against PyTorch's, over all combinations of its arguments."""

import itertools

import numpy as np
import pytest
import torch

import softmax_ref as sr

INF = float("inf")
LOGITS = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TARGETS = {
    "each class": torch.tensor([0, 1, 2, 0]),
    "one class": torch.tensor([0, 0, 0, 0]),
    "probabilities": torch.tensor([[0.2, 0.3, 0.5], [1, 0, 0], [0, 0, 0], [0.5, 0.5, 0]]).double(),
}
WEIGHTS = [None, [1.0, 2.0, 0.5], [0.0, 2.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]]


def combinations():
    for weight, ignore_index, smoothing, reduction in itertools.product(
        WEIGHTS, (-100, 0, 1), (0.0, 0.1, 1.0), ("none", "sum", "mean")
    ):
        yield dict(
            weight=None if weight is None else torch.tensor(weight).double(),
            ignore_index=ignore_index,
            label_smoothing=smoothing,
            reduction=reduction,
        )


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_loss_and_gradient_are_those_of_pytorch(target):
    """To 1e-13, a few roundings of numbers of about 1; nan where the weights of the mean are 0."""
    for given in combinations():
        if target.is_floating_point() and given["ignore_index"] >= 0:
            continue  # PyTorch has no meaning for it
        x = LOGITS.clone().requires_grad_()
        expected = torch.nn.functional.cross_entropy(x, target, **given)
        (gradient,) = torch.autograd.grad(expected.sum(), x)
        near = dict(rtol=1e-13, atol=1e-13, equal_nan=True, msg=str(given))
        torch.testing.assert_close(sr.cross_entropy(x, target, **given), expected, **near)
        ours = sr.cross_entropy_gradient(x, target, **given)
        torch.testing.assert_close(ours, gradient, **near)
        of_arrays = {k: v.numpy() if torch.is_tensor(v) else v for k, v in given.items()}
        on_arrays = sr.cross_entropy(LOGITS.numpy(), target.numpy(), **of_arrays)
        torch.testing.assert_close(torch.as_tensor(on_arrays), expected, **near)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_where_a_logit_is_minus_infinity(target):
    """As PyTorch, but for its nan, 0 · inf: a class with coefficient 0 contributes 0."""
    x = LOGITS.index_fill(1, torch.tensor([1]), -INF)
    for given in combinations():
        if target.is_floating_point() and given["ignore_index"] >= 0:
            continue
        expected = torch.nn.functional.cross_entropy(x, target, **given)
        ours = sr.cross_entropy(x, target, **given)
        same = torch.isclose(ours, expected, rtol=1e-13, atol=1e-13)
        assert (same | torch.isnan(expected)).all(), given
        if given["reduction"] != "mean":
            assert not torch.isnan(ours).any()


def test_a_loss_of_0_is_not_negative():
    x = np.array([[0.0, -INF]])
    for target in ([0], [[1.0, 0.0]]):
        assert not np.signbit(sr.cross_entropy(x, target))
