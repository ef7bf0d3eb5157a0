"""What a rule sees: one operator with its tensors, under one profile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from firmware_sim.model import Operator, Tensor
from firmware_sim.preflight.refusal import Refusal, Stage
from firmware_sim.profiles import Profile


class Site(NamedTuple):
    """One operator of a subgraph.

    Attributes:
        subgraph: index of its subgraph.
        operator: the operator.
        tensors: all tensors of its subgraph.
        profile: the build.
        kernel_file: where the kernel library has its own kernel for the operator, its file; None for the reference one.
            Rules were executed with reference kernels; for others their sources were only read.
    """

    subgraph: int
    operator: Operator
    tensors: Sequence[Tensor]
    profile: Profile
    kernel_file: str | None

    def input(self, position: int) -> Tensor | None:
        """An input, None if it is absent."""
        inputs = self.operator.inputs
        return self.tensors[inputs[position]] if position < len(inputs) and inputs[position] >= 0 else None

    def output(self, position: int = 0) -> Tensor | None:
        """An output, None if it is absent."""
        outputs = self.operator.outputs
        return self.tensors[outputs[position]] if position < len(outputs) and outputs[position] >= 0 else None

    def operands(self, names: Iterable[str]) -> Iterator[Tensor]:
        """Those of the operands that are there. "in0" is the first input, "out0" the first output, "in*" all inputs."""
        for name in names:
            if name == "in*":
                yield from (self.tensors[index] for index in self.operator.inputs if index >= 0)
                continue
            tensor = self.operand(name)
            if tensor is not None:
                yield tensor

    def operand(self, name: str) -> Tensor | None:
        """The operand called "in0", "in1", ..., "out0", ..., None if it is absent."""
        is_input, position = _place(name)
        return self.input(position) if is_input else self.output(position)

    def refuse(
        self,
        reason: str,
        source: str,
        *,
        tensor: Tensor | None = None,
        stage: Stage = "allocate",
        is_executed: bool | None = None,
        hint: str | None = None,
    ) -> Refusal:
        """A refusal of this operator.

        `source` is the reference kernel's file. `is_executed` says whether the rule was executed in TFLM, where that
        does not follow from the kernel library. What fails only at Invoke is certain only in subgraph 0: nobody knows
        whether the others are ever called.
        """
        executed = self.kernel_file is None if is_executed is None else is_executed
        return Refusal(
            self.subgraph,
            self.operator.index,
            self.operator.op,
            None if tensor is None else tensor.name,
            reason,
            self.kernel_file or source,
            executed and (stage == "allocate" or self.subgraph == 0),
            stage,
            hint,
        )


@cache
def _place(name: str) -> tuple[bool, int]:
    """Whether the operand of that name is an input, and its position."""
    return (True, int(name[2:])) if name.startswith("in") else (False, int(name[3:]))


def is_quantised(tensor: Tensor) -> bool:
    """TFLM sees a quantisation only where scales and zero points are stored (micro_allocator.cc:225-343)."""
    quantization = tensor.quantization
    return quantization is not None and bool(quantization.scale) and bool(quantization.zero_point)


def scale(tensor: Tensor) -> float:
    """The first scale; 0 without quantisation, as in TFLM."""
    return tensor.quantization.scale[0] if tensor.quantization and is_quantised(tensor) else 0.0


def zero_point(tensor: Tensor) -> int:
    """The first zero point; 0 without quantisation, as in TFLM."""
    return tensor.quantization.zero_point[0] if tensor.quantization and is_quantised(tensor) else 0


Rule = Callable[[Site], Iterable[Refusal]]

_RULES: Final[dict[str, list[Rule]]] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register a function as a rule for these operators."""

    def add(function: Rule) -> Rule:
        for op in ops:
            _RULES.setdefault(op, []).append(function)
        return function

    return add


def rules(op: str) -> Sequence[Rule]:
    """The registered rules of an operator."""
    return _RULES.get(op, ())
