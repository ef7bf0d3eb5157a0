"""The persistent part of the arena, allocation by allocation, in the order in which TFLM makes them.

The tail grows down from the end of the arena; each allocation lowers its edge by the size and then to a multiple of the
alignment (arena_allocator/single_arena_buffer_allocator.cc:108-123). The end is taken to be a multiple of 16, so the
same is a counter of used bytes that is raised to a multiple of the alignment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from firmware_sim.errors import ModelError
from firmware_sim.memory import sizes
from firmware_sim.memory.elements import ALIGNMENT_BYTES, round_up, tensor_bytes
from firmware_sim.memory.kernels import Node, custom_init, prepare
from firmware_sim.memory.kernels.resources import variable_key
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.startup import Startup
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.profiles import Profile

_ADDRESSES = 2**32  # of a 32-bit processor
_MAX_SCRATCH_PER_OPERATOR = 12  # micro_allocator.cc:54, 710-716


class Scratch(NamedTuple):
    """A scratch buffer that an operator asked for."""

    subgraph: int
    operator: int
    bytes: int


class OperatorUse:
    """What one operator adds to the tail, and why that may not be exact.

    `is_unknown` says that nothing at all is known of its kernel.
    """

    def __init__(self) -> None:
        self.persistent_bytes = 0
        self.is_unknown = False
        self.doubts: list[str] = []


class Tail:
    """The finished tail.

    Attributes:
        used_bytes: size of the tail.
        parts: bytes by purpose, padding included; they add up to `used_bytes`.
        tensors: evaluation tensors per subgraph, with the shapes that Prepare has left.
        scratch: scratch buffers in the order of the requests.
        operators: (subgraph, operator) to its use.
        startup: how much arena initialisation needs.
    """

    def __init__(self, model: Model, profile: Profile) -> None:
        self.used_bytes = 0
        self.parts: dict[str, int] = {}
        self.tensors = [list(subgraph.tensors) for subgraph in model.subgraphs]
        self.scratch: list[Scratch] = []
        self.operators = {
            (number, operator.index): OperatorUse()
            for number, subgraph in enumerate(model.subgraphs)
            for operator in subgraph.operators
        }
        self.startup = Startup(profile)


def tail(model: Model, profile: Profile, plan: OfflinePlan) -> Tail:
    """The tail that a model leaves in the arena of an interpreter (tensorflow/lite/micro/micro_interpreter.cc).

    Resource variables are taken to be as many as the model names.

    Raises:
        ModelError: the model contains what TFLM refuses.
    """
    return Simulation(model, profile, plan).run()


class Simulation:
    """The allocations of one model, phase by phase; `tail` says what they have come to."""

    def __init__(self, model: Model, profile: Profile, plan: OfflinePlan) -> None:
        self.model = model
        self.profile = profile
        self.plan = plan
        self.tail = Tail(model, profile)
        self.nodes: dict[tuple[int, int], Node] = {}

    def run(self) -> Tail:
        _check_shapes(self.model)
        with self.part("interpreter"):
            self.interpreter()
        self.tail.startup.begin_model()
        with self.part("bookkeeping of the model"):
            self.model_structures(
                [len(subgraph.tensors) for subgraph in self.model.subgraphs],
                [len(subgraph.operators) for subgraph in self.model.subgraphs],
            )
        with self.part("builtin data"):
            self.builtin_data()
        with self.part("kernel data"):
            self.initialise()
            self.prepare()
        with self.part("scratch buffer handles"):
            self.scratch_handles(len(self.tail.scratch))
        with self.part("variables"):
            self.variables()
        self.tail.startup.end_planning(self.tail.used_bytes)
        with self.part("inputs and outputs"):
            self.endpoints(self.model.subgraphs[0].inputs)
            self.endpoints(self.model.subgraphs[0].outputs)
        return self.tail

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Book what is allocated inside under `name`."""
        before = self.tail.used_bytes
        yield
        if self.tail.used_bytes > before:
            self.tail.parts[name] = self.tail.used_bytes - before

    def allocate(self, count: int, align: int) -> None:
        used_bytes = round_up(self.tail.used_bytes + count, align)
        self.tail.used_bytes = used_bytes
        self.tail.startup.persistent(used_bytes)

    def persistent(self, count: int) -> None:
        self.allocate(count, ALIGNMENT_BYTES)

    def structure(self, name: str, count: int = 1, align: int | None = None) -> None:
        size = sizes.core(self.profile, name)
        self.allocate(size.bytes * count, align or size.align_bytes)

    def interpreter(self) -> None:
        """micro_allocator.cc:83-104, 542-580; recording_micro_allocator.cc:45-62; micro_resource_variable.cc:30-42."""
        prefix = "Recording" if self.profile.recording else ""
        self.structure(f"{prefix}SingleArenaBufferAllocator")
        self.structure("GreedyMemoryPlanner")
        self.structure(f"{prefix}MicroAllocator")
        variables = {variable_key(operator) for _, operator in self.operators() if _is(operator, "VAR_HANDLE")}
        if variables:
            self.structure("MicroResourceVariables", align=ALIGNMENT_BYTES)
            self.structure("MicroResourceVariable", len(variables), align=ALIGNMENT_BYTES)

    def model_structures(self, tensors: Sequence[int], operators: Sequence[int]) -> None:
        """For as many of them in each subgraph (micro_allocator.cc:637-652, 771-794, 1037-1069)."""
        self.structure("MicroBuiltinDataAllocator")
        self.structure("SubgraphAllocations", len(tensors))
        for count in tensors:
            self.structure("TfLiteEvalTensor", count)
        for count in operators:
            self.structure("NodeAndRegistration", count)

    def operators(self) -> Iterator[tuple[int, Operator]]:
        for number, subgraph in enumerate(self.model.subgraphs):
            for operator in subgraph.operators:
                yield number, operator

    def book(self, number: int, operator: Operator, before: int) -> OperatorUse:
        """Book on an operator what has been allocated since the tail was `before` bytes."""
        use = self.tail.operators[number, operator.index]
        use.persistent_bytes += self.tail.used_bytes - before
        return use

    def builtin_data(self) -> None:
        """micro_interpreter.cc:107-198."""
        for number, operator in self.operators():
            size = None if operator.is_custom else sizes.builtin_data(self.profile, operator.op)
            if size is not None:
                before = self.tail.used_bytes
                self.allocate(size.bytes, size.align_bytes)
                self.book(number, operator, before)

    def initialise(self) -> None:
        """micro_interpreter_graph.cc:98-134."""
        producers: list[dict[int, Operator]] = [{} for _ in self.model.subgraphs]
        variables: dict[tuple[str, str], int] = {}
        for number, operator in self.operators():
            producers[number].update(dict.fromkeys(operator.outputs, operator))
            node = Node(
                operator, self.tail.tensors[number], self.profile, _Requests(self, number, operator.index),
                producers[number], variables,
            )  # fmt: skip
            self.nodes[number, operator.index] = node
            before = self.tail.used_bytes
            is_known = self.initialise_kernel(node)
            use = self.book(number, operator, before)
            use.doubts = node.doubts
            use.is_unknown = not is_known

    def initialise_kernel(self, node: Node) -> bool:
        """Run Init; False if the kernel is not known."""
        operator = node.operator
        if operator.is_custom:
            init = custom_init(operator.op)
            if init is None:
                node.doubts.append("a custom operator whose kernel is not known; its memory is left out")
                return False
            init(node)
        elif not sizes.is_known(operator.op):
            node.doubts.append("TensorFlow Lite Micro is not known to have this operator; its memory is left out")
            return False
        else:
            size = sizes.opdata(self.profile, operator.op)
            if size is not None:
                self.allocate(size.bytes, size.align_bytes)
        return True

    def prepare(self) -> None:
        """micro_interpreter_graph.cc:136-183."""
        for number, operator in self.operators():
            node = self.nodes[number, operator.index]
            kernel = prepare(operator.op, self.profile.kernels, is_custom=operator.is_custom)
            requests, before = len(self.tail.scratch), self.tail.used_bytes
            self.tail.startup.begin_operator(requests)
            if kernel is not None:
                kernel(node)
                self.book(number, operator, before)
            if len(self.tail.scratch) - requests > _MAX_SCRATCH_PER_OPERATOR:
                raise node.error(f"asks for more than {_MAX_SCRATCH_PER_OPERATOR} scratch buffers")
            self.tail.startup.end_operator(node, self.tail.used_bytes)
            _check_outputs(node)

    def scratch_handles(self, count: int) -> None:
        """micro_allocator.cc:1214-1231."""
        if count:
            self.structure("ScratchBufferHandle", count)

    def variables(self) -> None:
        """micro_allocator.cc:1071-1096."""
        for tensors in self.tail.tensors:
            for tensor in tensors:
                if tensor.is_variable and not self.plan.keeps_out_of_tail(tensor.index):
                    self.persistent(tensor_bytes(tensor))

    def endpoints(self, indices: tuple[int, ...]) -> None:
        """Persistent TfLiteTensors of the model's inputs or outputs (micro_interpreter.cc:233-264)."""
        self.persistent(self.profile.pointer_bytes * len(indices))
        for index in indices:
            self.structure("TfLiteTensor")
            quantization = self.tail.tensors[0][index].quantization
            if quantization and quantization.scale and quantization.zero_point:
                self.structure("TfLiteAffineQuantization")
                self.allocate(4 + 4 * len(quantization.scale), 4)


class _Requests:
    """Books a kernel's requests."""

    def __init__(self, simulation: Simulation, subgraph: int, operator: int) -> None:
        self.simulation = simulation
        self.subgraph = subgraph
        self.operator = operator

    def persistent(self, count: int, /) -> None:
        self.check(count)
        self.simulation.persistent(count)

    def check(self, count: int) -> None:
        if not 0 <= count < _ADDRESSES:
            raise ModelError(f"subgraph {self.subgraph}, operator {self.operator}: needs a buffer of {count} bytes")

    def scratch(self, count: int, /) -> None:
        self.check(count)
        self.simulation.tail.scratch.append(Scratch(self.subgraph, self.operator, count))


def _is(operator: Operator, op: str) -> bool:
    return operator.op == op and not operator.is_custom


def _check_shapes(model: Model) -> None:
    """Only a RESHAPE can find out a size by itself."""
    for subgraph in model.subgraphs:
        open_tensors = {tensor.index for tensor in subgraph.tensors if -1 in tensor.shape}
        for operator in subgraph.operators if open_tensors else ():
            if _is(operator, "RESHAPE"):
                open_tensors.difference_update(operator.outputs)
        for index in open_tensors:
            raise _open_shape(subgraph.tensors[index])


def _check_outputs(node: Node) -> None:
    """Shapes must be known after Prepare (micro_interpreter_graph.cc:49-78, 165-174); [0] stands for a scalar."""
    for index in node.operator.outputs:
        tensor = node.tensors[index]
        if tensor.shape != (0,) and any(size < 1 for size in tensor.shape):
            raise _open_shape(tensor)


def _open_shape(tensor: Tensor) -> ModelError:
    return ModelError(
        f"tensor {tensor.name!r} has the shape {list(tensor.shape)}: sizes that are not known before the model runs",
        hint="TensorFlow Lite Micro needs fixed shapes; export the model with fixed sizes.",
    )
