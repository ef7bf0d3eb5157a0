"""State dicts as torchvision and timm name them, and what their networks compute from one, without their code."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F

_FOLDER = Path(__file__).parents[1] / "data" / "state_dicts"
BACKBONES = {
    "torchvision-mobilenet_v2": "mobilenet_v2", "timm-mobilenet_v2": "mobilenet_v2", "resnet18": "resnet18",
    "resnet50": "resnet50",
}  # fmt: skip


def shapes(name):
    """Name and shape of every tensor, from the library's source (the file says which)."""
    return json.loads((_FOLDER / f"{name}.json").read_text())["shapes"]


def random(name, seed=0):
    """A state dict with weights under which no part of the network can be left out unnoticed."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes(name).items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith(("running_var", "weight")) and len(shape) == 1:
            state[key] = torch.empty(shape).uniform_(0.5, 1.5, generator=generator)
        else:
            fan_in = max(1, torch.Size(shape[1:]).numel()) if len(shape) > 1 else 100
            state[key] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
    return state


class Functions:
    """The layers of a state dict, by name."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, stride=1):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, weight.shape[2] // 2, 1, x.shape[1] // weight.shape[1])

    def norm(self, name, x):
        mean, variance, weight, bias = (
            self.state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias)

    def linear(self, name, x):
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])


def torchvision_mobilenet_v2(state, x):
    """torchvision/models/mobilenetv2.py, MobileNetV2.forward in evaluation mode."""
    f = Functions(state)
    x = F.relu6(f.norm("features.0.1", f.conv("features.0.0", x, 2)))
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    for number, stride in enumerate(strides, start=1):
        at, y, last = f"features.{number}.conv", x, 1 if number == 1 else 2
        if number > 1:
            y = F.relu6(f.norm(f"{at}.0.1", f.conv(f"{at}.0.0", y)))
        depthwise = f"{at}.{last - 1}"
        y = F.relu6(f.norm(f"{depthwise}.1", f.conv(f"{depthwise}.0", y, stride)))
        y = f.norm(f"{at}.{last + 1}", f.conv(f"{at}.{last}", y))
        x = x + y if stride == 1 and x.shape[1] == y.shape[1] else y
    x = F.relu6(f.norm("features.18.1", f.conv("features.18.0", x)))
    return f.linear("classifier.1", x.mean((2, 3)))


def timm_mobilenet_v2(state, x):
    """timm/models/efficientnet.py and _efficientnet_blocks.py, EfficientNet.forward in evaluation mode."""
    f = Functions(state)
    x = F.relu6(f.norm("bn1", f.conv("conv_stem", x, 2)))
    for stage, (blocks, stride) in enumerate([(1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)]):
        for block in range(blocks):
            at, step, y = f"blocks.{stage}.{block}", stride if block == 0 else 1, x
            if stage:
                y = F.relu6(f.norm(f"{at}.bn1", f.conv(f"{at}.conv_pw", y)))
                y = F.relu6(f.norm(f"{at}.bn2", f.conv(f"{at}.conv_dw", y, step)))
                y = f.norm(f"{at}.bn3", f.conv(f"{at}.conv_pwl", y))
            else:
                y = F.relu6(f.norm(f"{at}.bn1", f.conv(f"{at}.conv_dw", y, step)))
                y = f.norm(f"{at}.bn2", f.conv(f"{at}.conv_pw", y))
            x = x + y if step == 1 and x.shape[1] == y.shape[1] else y
    x = F.relu6(f.norm("bn2", f.conv("conv_head", x)))
    return f.linear("classifier", x.mean((2, 3)))


def resnet(state, x):
    """torchvision/models/resnet.py, ResNet.forward in evaluation mode, of basic blocks or of bottlenecks."""
    f = Functions(state)
    x = F.max_pool2d(F.relu(f.norm("bn1", f.conv("conv1", x, 2))), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(
            sum(1 for name in state if name.startswith(f"layer{layer}.") and name.endswith("conv1.weight"))
        ):
            at, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            deep = f"{at}.conv3.weight" in state
            y = F.relu(f.norm(f"{at}.bn1", f.conv(f"{at}.conv1", x, 1 if deep else stride)))
            y = f.norm(f"{at}.bn2", f.conv(f"{at}.conv2", y, stride if deep else 1))
            if deep:
                y = f.norm(f"{at}.bn3", f.conv(f"{at}.conv3", F.relu(y)))
            if f"{at}.downsample.0.weight" in state:
                x = f.norm(f"{at}.downsample.1", f.conv(f"{at}.downsample.0", x, stride))
            x = F.relu(x + y)
    return f.linear("fc", x.mean((2, 3)))


FORWARDS = {
    "torchvision-mobilenet_v2": torchvision_mobilenet_v2, "timm-mobilenet_v2": timm_mobilenet_v2, "resnet18": resnet,
    "resnet50": resnet,
}  # fmt: skip
