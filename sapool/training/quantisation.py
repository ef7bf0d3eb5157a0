"""Quantisation-aware training: a network computes with the rounding that its int8 export will have.

The exporter itself says where its tensors are and what their scales are: the network is traced, its ranges are observed on
the images that an export calibrates on, and the graph is quantised, as `sapool export` does. What each scale belongs to in
the torch network is found by name and then by value: a tensor of the graph and the output of a module are taken for the same
only if they hold the same numbers. Gradients pass rounding unchanged and stop where values are cut off (Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from exporters.execute import run
from exporters.graph import Graph, Quantization
from exporters.lower import find
from exporters.quantize import observe, quantize, round_in_place, separate
from exporters.tflite import PIXELS
from exporters.trace import trace
from sapool.calibration import batches
from sapool.data.preprocessing import to_float
from sapool.lowering import blocks

_PROBES: Final = 8
# Lowering a self-attentive pool approximates by 0.06%, which later layers can make more of. Another tensor is further away:
# weighted and plain averages, say, by a third.
_TOLERANCE: Final = 0.1
_KERNELS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")


@dataclass(frozen=True, slots=True)
class Point:
    """How the output of a module is rounded: to which integers, and whether it is an average of them."""

    quantization: Quantization
    average: bool = False

    def round(self, output: torch.Tensor) -> torch.Tensor:
        """The output as int8 represents it; gradients pass, and stop where it is cut off."""
        # In single precision also where the network computes in half.
        result: torch.Tensor = _Rounding.apply(  # type: ignore[no-untyped-call]
            output.float(), self.quantization, self.average
        )
        return result


class _Rounding(torch.autograd.Function):
    """Rounding whose gradient is that of the identity, or of cutting off; averages of what int8 holds are never cut off."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, quantization: Quantization, average: bool) -> torch.Tensor:
        if not average:
            (scale,), (zero_point,) = quantization.scale, quantization.zero_point
            low, high = ((end - zero_point) * scale for end in (-128.5, 127.5))
            ctx.save_for_backward((values >= low) & (values <= high))
        return round_in_place(values.clone(), quantization, average=average)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = gradients
        return (gradient * ctx.saved_tensors[0] if ctx.saved_tensors else gradient), None, None


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """How a network of one structure computes in int8.

    Args:
        points: for modules by name, how their output is rounded.
        kernels: names of the weights that are rounded with a scale for each output channel; biases have 32 bits.
        unmatched: tensors of the export that are no module's output: what self-attention computes inside a pool.
    """

    points: Mapping[str, Point]
    kernels: tuple[str, ...]
    unmatched: tuple[str, ...]

    def __call__(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of `network` with the rounding of its export; gradients reach its parameters."""
        parameters = dict(network.named_parameters())
        rounded = {name: round_kernel(parameters[name]) for name in self.kernels}
        with self._rounding(network):
            logits: torch.Tensor = functional_call(network, rounded, (inputs,))
        return logits

    @contextmanager
    def _rounding(self, network: nn.Module) -> Iterator[None]:
        handles = [
            network.get_submodule(name).register_forward_hook(_rounds(point)) for name, point in self.points.items()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _rounds(point: Point) -> Any:
    return lambda module, inputs, output: point.round(output)


def round_kernel(weight: torch.Tensor) -> torch.Tensor:
    """Weights [O, ...] as int8 with a symmetric scale for each output channel, -127 to 127.

    A factor on a channel changes its scale and no integer, so what the export folds into the weights may be left out here.
    """
    with torch.no_grad():
        scales = (weight.detach().float().flatten(1).abs().amax(1) / 127).clamp_(min=2.0**-40)
        zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scales, zeros, 0, -127, 127)


def simulation(network: nn.Module, images: NDArray[np.uint8]) -> Simulation:
    """How `network` would compute if it were exported now.

    Args:
        network: takes float32 [B, C, H, W]; it is left as it is.
        images: calibration images, uint8 [N, H, W, C].

    Raises:
        ExportError: the network cannot be exported.
    """
    _, height, width, channels = images.shape
    graph = separate(trace(network, (1, channels, height, width)), PIXELS)
    integers = quantize(graph, observe(graph, batches(images)), input_quantization=PIXELS)
    modules, points = _matches(network, graph, to_float(images[:_PROBES])), {}
    averages = {op.outputs[0] for op in graph.operators if op.op == "AVERAGE_POOL_2D"}
    found = set()
    for tensor in integers.activations():
        name = modules.get(tensor.name)
        if name is not None and tensor.quantization is not None:
            points[name] = Point(tensor.quantization, tensor.name in averages)
            found.add(tensor.name)
    unmatched = [op.outputs[0] for op in integers.operators if op.outputs[0] not in found and op.op != "RESHAPE"]
    return Simulation(points, _kernels(network, graph), tuple(unmatched))


def _matches(network: nn.Module, graph: Graph, batch: NDArray[np.float32]) -> dict[str, str]:
    """For tensors of the graph the module whose output they are; parts of what is lowered as a whole are left out."""
    tensors: dict[str, torch.Tensor] = {}
    run(graph, batch, lambda name, values: tensors.update({name: values.clone()}))
    wanted = {name: name.rpartition("/")[0] for name in tensors}
    known = dict(network.named_modules())
    outputs: dict[str, list[torch.Tensor]] = {}

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                outputs.setdefault(name, []).append(output.detach().float().cpu())

        return keep

    inside = {
        f"{name}.{part}"
        for name, module in known.items()
        if name and _is_one_layer(module)
        for part, _ in module.named_modules()
        if part
    }
    names = {name for name in wanted.values() if name in known and name and name not in inside}
    handles = [known[name].register_forward_hook(keeper(name)) for name in names]
    modes = {name: module.training for name, module in known.items()}
    network.eval()
    try:
        with torch.no_grad():
            device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
            network(torch.as_tensor(batch).permute(0, 3, 1, 2).contiguous().to(device))
    finally:
        for handle in handles:
            handle.remove()
        for name, module in known.items():
            module.training = modes[name]
    # A module that is used twice has two scales, and its output is left alone.
    once = {name: values[0] for name, values in outputs.items() if len(values) == 1}
    return {
        tensor: module for tensor, module in wanted.items() if module in once and _same(tensors[tensor], once[module])
    }


def _is_one_layer(module: nn.Module) -> bool:
    """Whether the export lowers it as a whole, in whatever order; blocks are lowered layer by layer."""
    lowering = find(type(module))
    return lowering is not None and lowering.__module__ != blocks.__name__


def _same(tensor: torch.Tensor, output: torch.Tensor) -> bool:
    """Whether a tensor [B, H, W, C] of the graph and an output [B, C, H, W] or [B, C] of a module hold the same."""
    ours = output.permute(0, 2, 3, 1) if output.ndim == 4 else output
    if ours.numel() != tensor.numel():
        return False
    spread = max(float(tensor.abs().max()), 1e-6)
    return float((ours.reshape(-1) - tensor.reshape(-1)).abs().max()) <= _TOLERANCE * spread


def _kernels(network: nn.Module, graph: Graph) -> tuple[str, ...]:
    """The weights of layers that are one convolution of the graph each."""
    places = {op.where for op in graph.operators if op.op in _KERNELS}
    return tuple(
        f"{name}.weight"
        for name, module in network.named_modules()
        if name in places and isinstance(module, (nn.Conv2d, nn.Linear))
    )
