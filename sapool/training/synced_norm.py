"""Batch normalisation over the images of all processes, so that several train as one does with the whole batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as distributed
from lightning.pytorch.plugins import LayerSync, TorchSyncBatchNorm
from torch import nn


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Each one's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (gradient,) = gradients
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _total(values: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return result


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose mean and variance are those of all processes; each must hold as many images.

    torch's own SyncBatchNorm does the same on GPUs, and refuses to run on the CPU.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        processes = distributed.get_world_size()
        # One message carries both: the variance of all is the mean of squares less the square of the mean.
        own = torch.var_mean(x, (0, 2, 3), correction=0)
        mean, square = _total(torch.stack((own[1], own[0] + own[1].square()))) / processes
        variance = (square - mean.square()).clamp(min=0)
        count = x.numel() // x.shape[1] * processes
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
        factor = self.weight * torch.rsqrt(variance + self.eps)
        result: torch.Tensor = (x - mean[:, None, None]) * factor[:, None, None] + self.bias[:, None, None]
        return result


class SyncedNorms(LayerSync):
    """Has the processes of Lightning's DDP share the statistics of their batches."""

    def __init__(self) -> None:
        self._torch = TorchSyncBatchNorm()

    def apply(self, model: nn.Module) -> nn.Module:
        if next(model.parameters()).device.type != "cpu":
            return self._torch.apply(model)
        return _swap(model, nn.BatchNorm2d, SyncedBatchNorm2d)

    def revert(self, model: nn.Module) -> nn.Module:
        return self._torch.revert(_swap(model, SyncedBatchNorm2d, nn.BatchNorm2d))


def _swap(model: nn.Module, old: type[nn.Module], new: type[nn.Module]) -> nn.Module:
    # The state is the same, so the layers stay the objects that the optimiser and the caller know.
    for module in model.modules():
        if type(module) is old:
            module.__class__ = new
    return model
