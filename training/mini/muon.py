"""Muon for many small matrices: one Newton-Schulz iteration for all matrices of one shape."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5


class StackedMuon(torch.optim.Optimizer):
    """The update of `torch.optim.Muon` with its defaults (Keller Jordan's Muon), computed on stacks of matrices.

    Matrices of one shape are one stack, and also those of the transposed shape. On a CPU, one product of stacks takes
    a fraction of the time of its products one by one. The momenta of a stack are kept under its first matrix.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(list(matrices), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Takes a step. Every matrix must have a gradient."""
        for group in self.param_groups:
            stacks: dict[tuple[int, int], list[nn.Parameter]] = {}
            for matrix in group["params"]:
                stacks.setdefault((min(matrix.shape), max(matrix.shape)), []).append(matrix)
            for stack in stacks.values():
                self._step(stack, group["lr"], group["weight_decay"], group["momentum"])

    def _step(self, stack: list[nn.Parameter], rate: float, decay: float, momentum: float) -> None:
        gradient = torch.stack([_wide(matrix.grad) for matrix in stack if matrix.grad is not None])
        state = self.state[stack[0]]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        update = orthogonal(gradient.lerp(state["momentum_buffer"], momentum))
        for matrix, change in zip(stack, update, strict=True):
            rows, columns = matrix.shape
            matrix.mul_(1 - rate * decay)
            matrix.add_(change.T if rows > columns else change, alpha=-rate * math.sqrt(max(1, rows / columns)))


def orthogonal(stack: Tensor) -> Tensor:
    """The nearest matrices with orthogonal rows, roughly: (n, rows, columns), with rows <= columns, in bfloat16."""
    a, b, c = _COEFFICIENTS
    turned = stack.bfloat16()
    turned = turned / turned.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_STEPS):
        gram = turned @ turned.mT
        turned = torch.baddbmm(turned, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), turned, beta=a)
    return turned


def _wide(matrix: Tensor) -> Tensor:
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
