"""A .tflite file as plain frozen dataclasses.

`read` checks everything it follows: the result holds indices that exist, shapes whose products are sane, and views into
the file that lie inside it. Weights are never copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OptionValue = int | float | bool | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation: real = scale * (stored - zero_point), per tensor (one scale) or along `dimension`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dimension: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a subgraph.

    `type` is the name in schema.fbs ("INT8"). `shape` is as stored, [N, H, W, C] for images; () is a scalar.
    `data` is a read-only view into the file for a constant, None for everything else.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    buffer: int
    is_variable: bool = False
    quantization: Quantization | None = None
    data: memoryview | None = None

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a subgraph, in execution order.

    `op` is the builtin's name in schema.fbs ("CONV_2D"), or the custom code of a custom operator, for which `is_custom`
    is set. An absent optional input has index -1. `options` holds the builtin options by their names in schema.fbs, with
    defaults filled in; it is empty if the file stores none.
    """

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    custom_options: memoryview | None = None
    intermediates: tuple[int, ...] = ()
    is_custom: bool = False


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Tensors and operators with their own numbering; subgraph 0 is the one that is invoked."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """A whole file. `path` is the name it is reported under; `metadata` maps entry names to views of their buffers."""

    path: str
    sha256: str
    size_bytes: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    metadata: Mapping[str, memoryview] = field(default_factory=dict)
