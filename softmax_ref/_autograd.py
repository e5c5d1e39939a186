"""Operations as nodes of PyTorch's autograd graph (imported when the first tensor arrives)."""

from __future__ import annotations

from typing import Any

import torch

from ._operations import Operation


class _Node(torch.autograd.Function):
    """One operation in the graph: reverse mode, forward mode, twice differentiable, vmap.

    The backward pass is written in differentiable functions of the saved input and output, so that
    autograd differentiates it again.
    """

    @staticmethod
    def forward(operation: Operation, x: torch.Tensor, *constants: float) -> Any:
        return operation.value(x, *constants)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.operation, x, *ctx.constants = inputs
        ctx.save_for_backward(x, output)
        ctx.save_for_forward(x, output)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[Any, ...]:
        gradient = ctx.operation.vjp(*ctx.saved_tensors, g, *ctx.constants)
        return None, gradient, *(None for _ in ctx.constants)

    @staticmethod
    def jvp(ctx: Any, _: None, v: torch.Tensor, *__: None) -> Any:
        return ctx.operation.jvp(*ctx.saved_tensors, v, *ctx.constants)

    @staticmethod
    def vmap(
        _: Any, in_dims: tuple[Any, ...], operation: Operation, x: torch.Tensor, *constants: float
    ) -> tuple[Any, int]:
        """Operations act along the last axis, so one more axis in front is nothing new to them."""
        return apply(operation, x.movedim(in_dims[1], 0), *constants), 0


def apply(operation: Operation, x: torch.Tensor, *constants: float) -> Any:
    """The operation's value, with its closed forms as the derivative."""
    return _Node.apply(operation, x, *constants)  # type: ignore[no-untyped-call]
