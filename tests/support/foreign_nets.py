"""Networks in the style of published ones, written as a stranger to this project would: layers, functions, methods."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class LeNet(nn.Module):
    """Tanh, average pools, log-softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 6 * 6, 40)
        self.bn = nn.BatchNorm1d(40)
        self.fc2 = nn.Linear(40, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        x = F.avg_pool2d(self.conv2(x).tanh(), (2, 2))
        x = x.view(-1, 16 * 6 * 6)
        x = F.relu(self.bn(self.fc1(x)))
        x = F.dropout(x, 0.5, training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class Vgg(nn.Module):
    """A list of numbers becomes a Sequential; adaptive pooling; three linear layers."""

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [], 3
        for v in (8, "M", 16, "M", 24, 24, "M"):
            if v == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                layers += [nn.Conv2d(channels, v, kernel_size=3, padding=1), nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
                channels = v
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(24 * 2 * 2, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 32), nn.ReLU(True), nn.Dropout(),
            nn.Linear(32, 10),
        )  # fmt: skip

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class BasicBlock(nn.Module):
    def __init__(self, inplanes, planes, stride=1, groups=1, dilation=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """A strided stem, a padded max pool on an even map, grouped and dilated convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8, groups=4))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16, dilation=2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class PreActivation(nn.Module):
    """Normalisation and activation in front of the convolutions, functions only, tensor methods."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.scale = nn.Parameter(torch.tensor([0.5]))
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1))
        self.weight = nn.Parameter(torch.randn(5, 8) * 0.3)

    def forward(self, x):
        x = self.stem((x - self.mean) / 0.5)
        y = self.conv1(F.relu6(self.bn1(x)))
        y = self.conv2(self.bn2(y).clamp(0, 6))
        x = x.add(y.mul(self.scale))
        x = F.leaky_relu(F.max_pool2d(x, 3, 2, 1), 0.1)
        x = x.mean((2, 3))
        return F.softmax(F.linear(x, self.weight), -1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        scale = F.adaptive_avg_pool2d(x, 1)
        scale = F.relu(self.fc1(scale), inplace=True)
        return F.hardsigmoid(self.fc2(scale), inplace=True) * x


class InvertedResidual(nn.Module):
    def __init__(self, inp, exp, out, kernel, stride, se, hs):
        super().__init__()
        act = nn.Hardswish if hs else nn.ReLU
        self.use_res = stride == 1 and inp == out
        self.block = nn.Sequential(
            nn.Conv2d(inp, exp, 1, bias=False), nn.BatchNorm2d(exp), act(inplace=True),
            nn.Conv2d(exp, exp, kernel, stride, kernel // 2, groups=exp, bias=False), nn.BatchNorm2d(exp),
            act(inplace=True), SqueezeExcite(exp) if se else nn.Identity(),
            nn.Conv2d(exp, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip

    def forward(self, x):
        return x + self.block(x) if self.use_res else self.block(x)


class MobileNetV3(nn.Module):
    """Hard swish, squeeze-and-excitation with a hard sigmoid, large kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(),
            InvertedResidual(8, 16, 8, 3, 1, True, False), InvertedResidual(8, 24, 12, 5, 2, False, True),
            InvertedResidual(12, 24, 12, 5, 1, True, True),
            nn.Conv2d(12, 32, 1, bias=False), nn.BatchNorm2d(32), nn.Hardswish(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Linear(32, 24), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(24, 10))

    def forward(self, x):
        x = self.features(x)
        x = x.mean(3).mean(2)
        return self.classifier(x)


class Fire(nn.Module):
    def __init__(self, inp, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inp, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1(x)), torch.relu(self.expand3(x))], 1)


class SqueezeNet(nn.Module):
    """Pools with ceil_mode; a convolution as classifier; squeeze at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fire1, self.fire2 = Fire(8, 4, 8), Fire(16, 4, 12)
        self.final = nn.Conv2d(24, 10, 1)

    def forward(self, x):
        x = self.pool(self.stem(x))
        x = self.pool(self.fire1(x))
        x = self.final(self.fire2(x)).relu()
        return F.adaptive_avg_pool2d(x, (1, 1)).squeeze(-1).squeeze(-1)


class DenseLayer(nn.Module):
    def __init__(self, inp, growth):
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(inp), nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inp, growth, 3, padding=1, bias=False)

    def forward(self, features):
        return self.conv(self.relu(self.norm(torch.cat(features, 1))))


class DenseNet(nn.Module):
    """Ever longer lists to concatenate (more than ten at the end), an average pool as transition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.layers = nn.ModuleList(DenseLayer(6 + 2 * i, 2) for i in range(11))
        self.transition = nn.Sequential(nn.BatchNorm2d(28), nn.ReLU(), nn.Conv2d(28, 12, 1), nn.AvgPool2d(2, 2))
        self.norm, self.fc = nn.BatchNorm2d(12), nn.Linear(12, 10)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        x = self.transition(torch.cat(features, dim=1))
        x = F.relu(self.norm(x), inplace=True)
        x = F.adaptive_avg_pool2d(x, (1, 1)).view(x.size(0), -1)
        return self.fc(x)


def channel_shuffle(x, groups):
    batchsize, num_channels, height, width = x.size()
    x = x.view(batchsize, groups, num_channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batchsize, num_channels, height, width)


class ShuffleUnit(nn.Module):
    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
            nn.Conv2d(half, half, 3, 1, 1, groups=half), nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x):
        x1, x2 = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((x1, self.branch(x2)), dim=1), 2)


class ShuffleNet(nn.Module):
    """Channel splits and shuffles, one of them by the module."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.units = nn.Sequential(ShuffleUnit(12), nn.ChannelShuffle(3), ShuffleUnit(12))
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        x = self.units(self.stem(x))
        return self.fc(x.mean([2, 3]))


class Ghost(nn.Module):
    def __init__(self, inp, out):
        super().__init__()
        self.out = out
        half = (out + 1) // 2
        self.primary = nn.Sequential(nn.Conv2d(inp, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True))
        self.cheap = nn.Sequential(
            nn.Conv2d(half, half, 3, 1, 1, groups=half, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)
        )

    def forward(self, x):
        x1 = self.primary(x)
        x2 = self.cheap(x1)
        return torch.cat([x1, x2], dim=1)[:, : self.out, :, :]


class GhostNet(nn.Module):
    """Half of the features from cheap depthwise convolutions; a slice; an SE gate by view and expand_as."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.ghost1, self.ghost2 = Ghost(8, 16), Ghost(16, 9)
        self.fc1, self.fc2, self.out = nn.Linear(16, 4), nn.Linear(4, 16), nn.Linear(9, 10)

    def forward(self, x):
        x = self.ghost1(F.silu(self.stem(x)))
        b, c, _, _ = x.size()
        gate = nn.functional.adaptive_avg_pool2d(x, 1).view(b, c)
        gate = torch.sigmoid(self.fc2(F.relu(self.fc1(gate)))).view(b, c, 1, 1)
        x = self.ghost2(x * gate.expand_as(x))
        return self.out(x.view(b, 9, -1).mean(-1))


class UNet(nn.Module):
    """Nearest upsampling and skips, conditions on shapes; a map as the result."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self.double(3, 6), self.double(6, 12)
        self.bottom = self.double(12, 16)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.up2, self.up1 = self.double(28, 12), self.double(18, 6)
        self.head = nn.Conv2d(6, 2, 1)

    @staticmethod
    def double(inp, out):
        return nn.Sequential(
            nn.Conv2d(inp, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x):
        assert x.shape[1] == 3, "three channels"
        if x.shape[-2] % 4 or x.shape[-1] % 4:
            raise ValueError("a multiple of four pixels")
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        y = self.up2(torch.cat([self.up(c), b], dim=1))
        if y.shape[2:] != a.shape[2:]:
            y = F.interpolate(y, size=a.shape[2:])
        y = self.up1(torch.cat((y, a), dim=1))
        return self.head(y).sigmoid()


class Inception(nn.Module):
    """Branches with factorised kernels and a pool that counts its padding; a sigmoid joins plain features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2)
        self.b1 = nn.Conv2d(8, 4, 1)
        self.b7 = nn.Sequential(nn.Conv2d(8, 4, (1, 7), padding=(0, 3)), nn.Conv2d(4, 4, (7, 1), padding=(3, 0)))
        self.bp = nn.Conv2d(8, 4, 1)
        self.gate = nn.Conv2d(8, 4, 1)
        self.reduce = nn.Conv2d(16, 8, 3, stride=2)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = F.relu(self.stem(x))
        pool = self.bp(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        x = torch.cat([self.b1(x), self.b7(x), pool, torch.sigmoid(self.gate(x))], 1)
        x = torch.cat([self.reduce(x), F.max_pool2d(x, kernel_size=3, stride=2)], 1)
        x = F.relu(x)
        return self.fc(F.avg_pool2d(x, x.size()[2:]).flatten(1))


class ConvSame(nn.Conv2d):
    """Padding as TensorFlow has it, worked out from the map, as ports of its networks do."""

    def forward(self, x):
        (h, w), (k, _), (s, _) = x.size()[-2:], self.kernel_size, self.stride
        down, across = max((-(-h // s) - 1) * s + k - h, 0), max((-(-w // s) - 1) * s + k - w, 0)
        x = F.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Ported(nn.Module):
    """A MobileNet from TensorFlow, with attention by the largest pixel of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(ConvSame(8, 8, 5, 2, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.pointwise = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.last = ConvSame(16, 16, 3, 2)
        self.gate = nn.Conv2d(16, 16, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.pointwise(self.depthwise(self.stem(self.pad(x))))
        x = F.relu(self.last(x))
        x = x * torch.sigmoid(self.gate(x.amax((2, 3), keepdim=True)))
        return self.fc(x.mean((2, 3)))


class TwoHeads(nn.Module):
    """Two inputs, two outputs in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 3, 2, 1)
        self.boxes, self.classes = nn.Conv2d(8, 4, 1), nn.Linear(8, 5)

    def forward(self, image, depth):
        x = F.relu(self.a(image) + self.b(depth))
        return {"boxes": self.boxes(x), "classes": self.classes(F.adaptive_max_pool2d(x, 1).flatten(1))}


NETS = (
    LeNet, Vgg, ResNet, PreActivation, MobileNetV3, SqueezeNet, DenseNet, ShuffleNet, GhostNet, UNet, Inception, Ported,
)  # fmt: skip
