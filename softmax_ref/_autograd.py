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
    def forward(operation: Operation, x: torch.Tensor, *constants: Any) -> Any:
        return operation.value(x, *constants)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        ctx.operation, x, *constants = inputs
        tensors = [c for c in constants if isinstance(c, torch.Tensor)]
        ctx.plain = [None if isinstance(c, torch.Tensor) else (c,) for c in constants]
        ctx.save_for_backward(x, output, *tensors)
        ctx.save_for_forward(x, output, *tensors)

    @staticmethod
    def _saved(ctx: Any) -> tuple[torch.Tensor, torch.Tensor, list[Any]]:
        x, y, *tensors = ctx.saved_tensors
        remaining = iter(tensors)
        return x, y, [next(remaining) if p is None else p[0] for p in ctx.plain]

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[Any, ...]:
        x, y, constants = _Node._saved(ctx)
        return None, ctx.operation.vjp(x, y, g, *constants), *(None for _ in constants)

    @staticmethod
    def jvp(ctx: Any, _: None, v: torch.Tensor, *__: Any) -> Any:
        x, y, constants = _Node._saved(ctx)
        return ctx.operation.jvp(x, y, v, *constants)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], operation: Operation, x: torch.Tensor, *constants: Any
    ) -> tuple[Any, int]:
        def batched(a: Any, dim: int | None) -> Any:
            if not isinstance(a, torch.Tensor):
                return a
            return a.expand(info.batch_size, *a.shape) if dim is None else a.movedim(dim, 0)

        arrays = (batched(a, d) for a, d in zip((x, *constants), in_dims[1:], strict=True))
        return apply(operation, *arrays), 0


def apply(operation: Operation, x: torch.Tensor, *constants: Any) -> Any:
    """The operation's value, with its closed forms as the derivative."""
    return _Node.apply(operation, x, *constants)  # type: ignore[no-untyped-call]
