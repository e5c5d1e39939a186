"""Derivatives and losses against PyTorch and against the loops that define them."""

import numpy as np
import pytest
import torch

import softmax_ref as sr
from softmax_ref import derivatives

RNG = np.random.default_rng(3)


def test_the_jacobian_by_loop_and_vectorised():
    # 1e-15 is a few units of roundoff: both compute each entry with at most ten operations.
    x = RNG.normal(size=(4, 6))
    J = sr.jacobian(x)
    for row, matrix in zip(x, J, strict=True):
        np.testing.assert_allclose(matrix, derivatives.jacobian_by_loop(row), atol=1e-15)
    np.testing.assert_array_equal(sr.jacobian(x.T, axis=0), J)


def test_products_agree_with_the_matrix():
    x, v = RNG.normal(size=(2, 4, 6))
    expected = np.einsum("rij,rj->ri", sr.jacobian(x), v)
    np.testing.assert_allclose(sr.softmax_jvp(x, v), expected, atol=1e-15)
    np.testing.assert_allclose(sr.softmax_vjp(x, v), expected, atol=1e-15)
    np.testing.assert_allclose(sr.softmax_vjp(x.T, v.T, axis=0), expected.T, atol=1e-15)


def test_products_want_the_shape_of_x():
    with pytest.raises(ValueError, match=r"v must have the shape of x, \(3,\); got \(2,\)\."):
        sr.softmax_jvp(np.zeros(3), np.zeros(2))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 1.0, 3.0, 0.25])])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_means_what_it_means_in_pytorch(reduction, weight, smoothing, soft):
    x = RNG.normal(size=(7, 5))
    t = RNG.dirichlet(np.ones(5), 7) if soft else np.array([0, 4, 2, -100, 1, 1, 3])
    given = dict(reduction=reduction, label_smoothing=smoothing)
    tensor = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(
        tensor, torch.tensor(t), None if weight is None else torch.tensor(weight), **given
    )
    expected.sum().backward()
    # Both round each of about 5 terms once or twice: 1e-14 leaves room for the order of the sums.
    y = sr.cross_entropy(x, t, weight=weight, **given)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-14)
    g = sr.cross_entropy_gradient(x, t, weight=weight, **given)
    np.testing.assert_allclose(g, tensor.grad, rtol=1e-13, atol=1e-15)


def test_a_confident_float32_gradient_is_not_zero():
    x = np.array([[20.0, 0.0]], np.float32)
    g = sr.cross_entropy_gradient(x, [0])
    np.testing.assert_allclose(g, [[-2.0611536e-09, 2.0611536e-09]], rtol=3e-7)  # 2 ulp


def test_a_target_out_of_range_is_named():
    with pytest.raises(IndexError, match=r"got 3 at index 1\."):
        sr.cross_entropy(np.zeros((2, 3)), [0, 3])
