"""Small networks for the tests of the exporters, written as somebody else would."""

from __future__ import annotations

import torch
from torch import nn


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and running statistics that no folding may ignore; evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(generator=generator)
                part.running_var.uniform_(0.5, 2.0, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(generator=generator)
            elif isinstance(part, (nn.Conv2d, nn.Linear)):
                fan_in = part.weight[0].numel()
                part.weight.normal_(0, fan_in**-0.5, generator=generator)
                if part.bias is not None:
                    part.bias.normal_(0, 0.1, generator=generator)
    return module.eval()


class Foreign(nn.Module):
    """Symmetric padding, a residual, a gate, a concatenation and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.gate = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.project = nn.Conv2d(16, 12, 1)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(12 * 4 * 4, 20)
        self.drop = nn.Dropout(0.5)
        self.classify = nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = x + torch.relu(self.norm(self.depthwise(x)))
        y = y * self.gate(y)
        y = self.project(torch.cat([x, y], 1))
        y = nn.functional.hardswish(self.pool(y))
        y = y.view(y.size(0), -1)
        return self.classify(self.drop(torch.relu(self.head(y))))
