"""The graph between a torch module and a file: tensors and operators in the vocabulary of TFLite.

Maps are NHWC with N = 1, as on the device. Operator names, option names and the strings of enumerations ("SAME",
"RELU6") are those of TFLite's schema.fbs, so that writing a file needs no translation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import InternalError

Shape = tuple[int, ...]
OptionValue = int | float | bool | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine quantisation: real = scale * (integer - zero_point); one entry, or one per channel of `dimension`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dimension: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the graph.

    Attributes:
        data: None for everything that is computed at run time.
        fixed: a constant that the lowering of a layer makes, whatever the network has learnt.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    data: NDArray[Any] | None = None
    quantization: Quantization | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. An input that TFLite calls optional and that is absent is None. `where` is the module's path."""

    op: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    where: str = ""

    def with_options(self, **options: OptionValue) -> Operator:
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True, slots=True)
class Graph:
    """Operators in execution order, the tensors that they name, and which of them the caller sees."""

    tensors: Mapping[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def constant(self, name: str | None) -> NDArray[Any] | None:
        """The data of a tensor, None if it is computed (or absent)."""
        return None if name is None else self.tensors[name].data

    def quantization(self, name: str) -> Quantization:
        """Of a tensor that has one, as all do that hold int8 or the integers of a bias."""
        quantization = self.tensors[name].quantization
        assert quantization is not None, f"{name} is quantised"
        return quantization

    def producers(self) -> dict[str, int]:
        """Index of the operator that writes each computed tensor."""
        return {name: i for i, op in enumerate(self.operators) for name in op.outputs}

    def consumers(self) -> dict[str, list[int]]:
        """Indices of the operators that read each tensor, in order; an operator that reads it twice is listed twice."""
        readers: dict[str, list[int]] = {}
        for i, op in enumerate(self.operators):
            for name in op.inputs:
                if name is not None:
                    readers.setdefault(name, []).append(i)
        return readers

    def activations(self) -> Iterator[Tensor]:
        """The computed tensors: graph inputs first, then in the order in which they are written."""
        yield from (self.tensors[name] for name in self.inputs)
        yield from (self.tensors[name] for op in self.operators for name in op.outputs)

    def rebuilt(self, operators: Iterable[Operator], tensors: Iterable[Tensor] = ()) -> Graph:
        """The same graph with other operators; `tensors` are added or replaced, unused ones are dropped."""
        operators = tuple(operators)
        table = {**self.tensors, **{tensor.name: tensor for tensor in tensors}}
        used: set[str | None] = {*self.inputs, *self.outputs}
        for op in operators:
            used.update(op.inputs, op.outputs)
        kept = {name: tensor for name, tensor in table.items() if name in used}
        return Graph(kept, operators, self.inputs, self.outputs)

    def owners(self) -> dict[str, str]:
        """For each tensor that an operator writes, or reads as a constant, the module that the operator belongs to."""
        places: dict[str, str] = {}
        for op in self.operators:
            places.update(dict.fromkeys(op.outputs, op.where))
            for name in op.inputs:
                if name is not None and self.tensors[name].data is not None:
                    places.setdefault(name, op.where)
        return places

    def check(self) -> Graph:
        """Return the graph if it is sound.

        Raises:
            InternalError: a tensor is read before it is written, written twice or never; a shape is not positive.
        """
        written = set(self.inputs) | {name for name, tensor in self.tensors.items() if tensor.data is not None}
        for op in self.operators:
            for name in op.inputs:
                if name is not None and name not in written:
                    raise InternalError(f"{op.op} reads {name!r} before anything writes it", where=op.where)
            for name in op.outputs:
                if name in written:
                    raise InternalError(f"{op.op} writes {name!r}, which is written already", where=op.where)
                written.add(name)
        if missing := [name for name in self.outputs if name not in written]:
            raise InternalError(f"nothing writes the graph output {missing[0]!r}")
        for tensor in self.tensors.values():
            if min(tensor.shape, default=1) < 1:
                raise InternalError(f"tensor {tensor.name!r} has the shape {list(tensor.shape)}")
            if tensor.data is not None and tuple(np.shape(tensor.data)) != tensor.shape:
                raise InternalError(f"constant {tensor.name!r} holds {np.shape(tensor.data)}, not {tensor.shape}")
        return self
