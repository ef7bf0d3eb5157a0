"""Operators that can be computed in bands of rows, and why others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import unpack_from
from typing import Final

from firmware_sim.costs import macs
from firmware_sim.memory.elements import element_bytes
from firmware_sim.model import Operator, Tensor
from firmware_sim.overlap.windows import windows
from firmware_sim.rewrite.bands.geometry import Padded, Reach, Rows, Same, Window
from firmware_sim.schema import PADDING

_WINDOWED: Final = frozenset({"AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"})
_ELEMENTWISE: Final = frozenset(
    {
        "ABS", "ADD", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "QUANTIZE", "RELU", "RELU6",
        "SUB", "TANH",
    }
)  # fmt: skip
_TYPES: Final = ("INT8", "INT16")
_PAIRS: Final = {"INT32": "<8i", "INT64": "<8q"}


@dataclass(frozen=True, slots=True)
class Layer:
    """An operator that works row by row.

    Attributes:
        operator: it.
        data: the inputs that are maps, in the order of the operator's inputs.
        reach: which rows belong together.
        row_macs: multiply-accumulates of one row of the output.
        margins: rows before and behind and columns before and behind that a PAD adds; None for all others.
    """

    operator: Operator
    data: tuple[int, ...]
    reach: Reach
    row_macs: int
    margins: tuple[int, int, int, int] | None = None

    @property
    def output(self) -> int:
        """The tensor that it writes."""
        return self.operator.outputs[0]

    @property
    def is_windowed(self) -> bool:
        """It reads more than one row for a row, so that rows at a cut come out wrong."""
        return isinstance(self.reach, Window) and self.reach.is_same and self.reach.span > 1

    def borders(self, rows: Rows) -> tuple[bool, ...]:
        """Whether rows of the input begin and end where the image does, which decides what a PAD adds; empty for others."""
        return (rows.start == 0, rows.end == self.reach.size) if isinstance(self.reach, Padded) else ()


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of a map [1, H, W, C]."""
    return tensor.shape[2] * tensor.shape[3] * element_bytes(tensor)


def layer(operator: Operator, tensors: Mapping[int, Tensor]) -> Layer | str:
    """The operator as a layer of rows, or in words why it is none.

    Args:
        operator: any operator.
        tensors: those of its subgraph by their numbers.
    """
    name = f"operator {operator.index} ({operator.op})"
    if operator.is_custom or operator.op not in _WINDOWED | _ELEMENTWISE | {"PAD"} or len(operator.outputs) != 1:
        return f"{name} does not work row by row"
    result = tensors[operator.outputs[0]]
    data = tuple(index for index in operator.inputs if index >= 0 and tensors[index].data is None)
    for tensor in (result, *(tensors[index] for index in data)):
        if tensor.type not in _TYPES:
            return f"{name} computes with {tensor.type}; bands are for int8 and int16"
        if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.is_variable or min(tensor.shape) < 1:
            return f"{name}: {tensor.name!r} has the shape {list(tensor.shape)}, and bands need [1, H, W, C]"
    found = _reach(operator, tensors, data)
    if found is None:
        return f"{name}: its inputs are of a kind that bands are not made for"
    reach, margins = found
    return Layer(operator, data, reach, macs(operator, tensors) // result.shape[1], margins)


def _reach(
    operator: Operator, tensors: Mapping[int, Tensor], data: tuple[int, ...]
) -> tuple[Reach, tuple[int, int, int, int] | None] | None:
    result = tensors[operator.outputs[0]]
    if operator.op in _ELEMENTWISE:
        if not data or any(tensors[index].shape != result.shape for index in data):
            return None
        # A constant of the whole shape would have to be cut as well; one value for all stays as it is.
        constants = [tensors[index] for index in operator.inputs if index >= 0 and index not in data]
        if any(constant.elements != 1 for constant in constants):
            return None
        return Same(result.shape[1]), None
    if data != operator.inputs[:1]:
        return None
    if operator.op == "PAD":
        margins = _margins(tensors[operator.inputs[1]])
        if margins is None:
            return None
        return Padded(tensors[data[0]].shape[1], result.shape[1], margins[0]), margins
    geometry = windows(operator, tensors, 1, 1)
    if geometry is None:
        return None
    axis = geometry.height
    is_same = operator.option("padding") == PADDING["SAME"]
    window = Window(axis.size, axis.out, axis.kernel, axis.stride, axis.dilation, axis.pad, is_same)
    expected = -(-axis.size // axis.stride) if is_same else (axis.size - window.span) // axis.stride + 1
    return (window, None) if axis.out == expected else None


def _margins(paddings: Tensor) -> tuple[int, int, int, int] | None:
    layout = _PAIRS.get(paddings.type)
    if layout is None or paddings.data is None or paddings.shape != (4, 2):
        return None
    values: tuple[int, ...] = unpack_from(layout, paddings.data)
    if any(values[:2]) or any(values[6:]) or min(values) < 0:
        return None
    return values[2], values[3], values[4], values[5]
