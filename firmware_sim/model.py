"""A .tflite file as plain frozen dataclasses, as `firmware_sim.reader` makes them.

Everything in them has been checked: indices exist, products of shapes are sane, and data lies inside the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from firmware_sim.digest import Digest
from firmware_sim.records import Record

OptionValue = int | float | bool | str | tuple[int | float, ...]

COMPRESSION_METADATA = "COMPRESSION_METADATA"
"""Metadata entry of a model with compressed constants (lite/micro/compression.h)."""


class Quantization(Record):
    """Affine quantisation: real = scale * (stored - zero_point), per tensor or along axis `dimension`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dimension: int


class Tensor(Record):
    """One tensor of a subgraph.

    `type` is the name in schema.fbs ("INT8"). `shape` is as stored, [N, H, W, C] for images; () is a scalar, and -1 a
    size that is not known before the model runs.
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
        """Number of elements; 1 for a scalar. Means nothing while a size is not known."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


class Operator(Record):
    """One operator of a subgraph, in execution order.

    `op` is the builtin's name in schema.fbs ("CONV_2D"), or the custom code of a custom operator, for which
    `is_custom` is set. An absent optional input has index -1. `options` holds the builtin options by their names in
    schema.fbs, with defaults filled in; it is empty if the file stores none.
    """

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, OptionValue] = {}
    custom_options: memoryview | None = None
    intermediates: tuple[int, ...] = ()
    is_custom: bool = False

    def option(self, name: str, default: int = 0) -> int:
        """An integer option, or `default` where the file stores no options."""
        value = self.options.get(name, default)
        return int(value) if isinstance(value, int | float) else default


class Subgraph(Record):
    """Tensors and operators with their own numbering; subgraph 0 is the one that is invoked."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str = ""


class Tensors(Protocol):
    """Tensors by their numbers: those of a subgraph, or a mapping where only some are there."""

    def __getitem__(self, index: int, /) -> Tensor:
        """The tensor of that number."""


class Model(Record):
    """A whole file. `path` is the name it is reported under; `metadata` maps entry names to their bytes."""

    path: str
    digest: Digest
    size_bytes: int
    description: str
    subgraphs: tuple[Subgraph, ...]
    metadata: Mapping[str, memoryview] = {}

    @property
    def sha256(self) -> str:
        """SHA-256 of the file in hexadecimal digits."""
        return self.digest.hexadecimal


def read(source: str | Path | bytes, *, name: str | None = None) -> Model:
    """Read a .tflite file, or its bytes.

    Args:
        source: path of the file, or its contents.
        name: what the model is called in reports and errors; by default the path.

    Raises:
        FileError: there is no such file, or it cannot be read.
        ModelError: it is not a .tflite file, is damaged, or contains what is not supported.
    """
    from firmware_sim.reader import read_model

    return read_model(source, name)
