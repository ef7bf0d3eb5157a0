"""What a kernel sees while it prepares, and the registry of kernels whose Prepare asks for memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

from firmware_sim.errors import InternalError, ModelError
from firmware_sim.model import Operator, Tensor
from firmware_sim.profiles import Profile


class Requests(Protocol):
    """Where a kernel's requests go, in the order in which it makes them."""

    def persistent(self, count: int, /) -> None:
        """Take `count` bytes of the tail, aligned to 16."""

    def scratch(self, count: int, /) -> None:
        """Ask for a scratch buffer of `count` bytes in the head."""


class Node:
    """One operator of a subgraph while its kernel runs Init or Prepare.

    Attributes:
        operator: the operator.
        tensors: evaluation tensors of its subgraph; a kernel may give an output a new shape.
        profile: the build.
        requests: where memory is asked for.
        producers: tensor to the operator that writes it, within the subgraph.
        variables: buffers of resource variables so far, by (container, shared name).
        doubts: reasons why this operator's bytes are not exact.
    """

    def __init__(
        self,
        operator: Operator,
        tensors: list[Tensor],
        profile: Profile,
        requests: Requests,
        producers: Mapping[int, Operator],
        variables: dict[tuple[str, str], int],
    ) -> None:
        self.operator = operator
        self.tensors = tensors
        self.profile = profile
        self.requests = requests
        self.producers = producers
        self.variables = variables
        self.doubts: list[str] = []

    def input(self, position: int) -> Tensor:
        """An input that the kernel cannot do without.

        Raises:
            ModelError: it is absent.
        """
        tensor = self.optional_input(position)
        if tensor is None:
            raise self.error(f"input {position} is missing")
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """An input, or None if it is absent."""
        inputs = self.operator.inputs
        index = inputs[position] if position < len(inputs) else -1
        return None if index < 0 else self.tensors[index]

    def output(self, position: int = 0) -> Tensor:
        """An output.

        Raises:
            ModelError: it is absent.
        """
        if position >= len(self.operator.outputs):
            raise self.error(f"output {position} is missing")
        return self.tensors[self.operator.outputs[position]]

    def reshape_output(self, shape: tuple[int, ...]) -> None:
        """Give output 0 another shape."""
        index = self.operator.outputs[0]
        self.tensors[index] = self.tensors[index].replaced(shape=shape)

    def dimension(self, tensor: Tensor, axis: int) -> int:
        """Size of `tensor` along `axis`.

        Raises:
            ModelError: it has no such axis.
        """
        if not -len(tensor.shape) <= axis < len(tensor.shape):
            raise self.error(f"tensor {tensor.name!r} of shape {list(tensor.shape)} has no axis {axis}")
        return tensor.shape[axis]

    def persistent(self, *sizes: int) -> None:
        """Take persistent buffers of these sizes, one after the other."""
        for size in sizes:
            self.requests.persistent(size)

    def scratch(self, *sizes: int) -> None:
        """Ask for scratch buffers of these sizes, one after the other."""
        for size in sizes:
            self.requests.scratch(size)

    def relocate_dims(self, tensor: Tensor) -> None:
        """Copy the shape of an output into the arena (kernels/kernel_util.cc:128-147)."""
        self.persistent(int_array_bytes(len(tensor.shape)))

    def error(self, message: str) -> ModelError:
        """An error that names this operator."""
        return ModelError(f"operator {self.operator.index} ({self.operator.op}): {message}")

    def refuse_hybrid(self, data: Tensor, weights: Tensor) -> None:
        """Float data with integer weights: no kernel of TFLM takes that.

        Raises:
            ModelError: it is the case.
        """
        if data.type == "FLOAT32" and weights.type in ("INT8", "INT4"):
            raise ModelError(
                f"operator {self.operator.index} ({self.operator.op}): FLOAT32 data with {weights.type} weights; "
                "TensorFlow Lite Micro does not run hybrid models",
                hint="Quantise activations too (full integer quantisation).",
            )


def int_array_bytes(entries: int) -> int:
    """Bytes of a TfLiteIntArray."""
    return 4 + 4 * entries


Kernel = Callable[[Node], None]

_INIT: Final[dict[str, Kernel]] = {}
_PREPARE: Final[dict[tuple[str, str], Kernel]] = {}


def prepares(*ops: str, kernels: str = "reference") -> Callable[[Kernel], Kernel]:
    """Register a function as Prepare of these operators in a kernel library."""

    def add(function: Kernel) -> Kernel:
        for op in ops:
            _add(_PREPARE, (op, kernels), function)
        return function

    return add


def initialises(*ops: str) -> Callable[[Kernel], Kernel]:
    """Register a function as Init of these custom operators. Sizes of builtin ones are in the tables."""

    def add(function: Kernel) -> Kernel:
        for op in ops:
            _add(_INIT, op, function)
        return function

    return add


_Key = TypeVar("_Key")


def _add(registry: dict[_Key, Kernel], key: _Key, function: Kernel) -> None:
    if key in registry:
        raise InternalError(f"two kernels for {key}")
    registry[key] = function


def custom_init(op: str) -> Kernel | None:
    """Init of a custom operator of the families loaded so far; see `firmware_sim.memory.kernels.custom_init`."""
    return _INIT.get(op)


def prepare(op: str, kernels: str, *, is_custom: bool) -> Kernel | None:
    """Prepare of an operator of the families loaded so far; see `firmware_sim.memory.kernels.prepare`."""
    if is_custom:
        return _PREPARE.get((op, "reference")) if op in _INIT else None
    kernel = _PREPARE.get((op, kernels)) or _PREPARE.get((op, "reference"))
    return None if op in _INIT else kernel
