"""A file with bands in loops as one row of operators, which is what a replay follows.

The loops are those of `firmware_sim.rewrite.bands.loops`: what decides where rows are copied and when a loop ends are sums
of constants, so that each turn is known without running anything. An update of rows becomes a tensor of its own, which lies
in what is updated.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from firmware_sim.errors import ModelError
from firmware_sim.memory.elements import element_bytes, tensor_bytes
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.model import Model, Operator, Subgraph, Tensor
from firmware_sim.overlap.storage import Storage

_MOST_TURNS: Final = 10_000  # rows of an image


class Unrolled:
    """Operators in the order in which they run; tensors have their running numbers over all subgraphs.

    Args:
        model: the file.
        plan: its plan.
        storages: tensors that share memory, by their running numbers.

    Raises:
        ModelError: a loop is of another kind.
    """

    def __init__(self, model: Model, plan: OfflinePlan, storages: Sequence[Storage]) -> None:
        self._model = model
        self._bases = [0]
        self.tensors: list[Tensor] = []
        for subgraph in model.subgraphs:
            self.tensors += [t.replaced(index=number) for number, t in enumerate(subgraph.tensors, len(self.tensors))]
            self._bases.append(len(self.tensors))
        offsets = {number: plan.offset(number) for number, tensor in enumerate(self.tensors) if tensor.data is None}
        self.places = {number: offset for number, offset in offsets.items() if offset is not None}
        self.storages = [dict(storage) for storage in storages]
        self._operators: list[Operator] = []
        for operator in model.subgraphs[0].operators:
            self._operator(operator, 0, {})
        first = model.subgraphs[0]
        self.subgraph = Subgraph(tuple(self.tensors), tuple(self._operators), first.inputs, first.outputs)

    def _operator(self, operator: Operator, number: int, values: dict[int, int]) -> None:
        base = self._bases[number]
        inputs = tuple(index + base if index >= 0 else index for index in operator.inputs)
        moved = operator.replaced(inputs=inputs, outputs=tuple(index + base for index in operator.outputs))
        if operator.op == "WHILE":
            self._loop(operator, inputs)
        elif operator.op == "SLICE" and inputs[1] in values:
            self._emit(moved.replaced(inputs=(inputs[0], self._constant(values[inputs[1]]), inputs[2])))
        elif operator.op == "DYNAMIC_UPDATE_SLICE":
            self._emit(moved.replaced(inputs=inputs[1:], outputs=(self._updated(moved, values),)))
        else:
            if operator.op == "ADD" and any(index in values for index in inputs):
                values[moved.outputs[0]] = sum(self._integer(index, values) for index in inputs)
            self._emit(moved)

    def _loop(self, operator: Operator, given: Sequence[int]) -> None:
        condition, body = operator.option("cond_subgraph_index"), operator.option("body_subgraph_index")
        asked, turn = self._model.subgraphs[condition], self._model.subgraphs[body]
        inner = tuple(index + self._bases[body] for index in turn.inputs)
        fixed = {index for index, held in zip(inner, given, strict=True) if self.tensors[held].data is None}
        for index, held in zip(inner, given, strict=True):
            if index in fixed and self.places.get(index) != self.places.get(held):
                raise _other("it would copy rows to another place")
        counters = tuple(index for index in inner if index not in fixed)
        state = [0 if index in fixed else self._integer(held, {}) for index, held in zip(inner, given, strict=True)]
        self._emit(Operator(-1, "WHILE", 1, (), counters))
        for _ in range(_MOST_TURNS):
            left = self._is_left(asked, condition, state)
            self._emit(Operator(-1, "LESS", 1, counters, (asked.outputs[0] + self._bases[condition],)))
            if not left:
                return
            values = {index: value for index, value in zip(inner, state, strict=True) if index not in fixed}
            for one in turn.operators:
                self._operator(one, body, values)
            after = [index + self._bases[body] for index in turn.outputs]
            state = [0 if index in fixed else self._integer(index, values) for index in after]
        raise _other("it does not end")

    def _is_left(self, asked: Subgraph, number: int, state: Sequence[int]) -> bool:
        base = self._bases[number]
        if len(asked.operators) != 1 or asked.operators[0].op != "LESS" or len(asked.outputs) != 1:
            raise _other("its condition is not a single LESS")
        values = dict(zip((index + base for index in asked.inputs), state, strict=True))
        one, other = (self._integer(index + base, values) for index in asked.operators[0].inputs)
        return one < other

    def _updated(self, operator: Operator, values: Mapping[int, int]) -> int:
        """The tensor of the rows that an update writes, in what is updated."""
        before, part, begin = operator.inputs
        (after,) = operator.outputs
        start = self._integer(begin, values) * element_bytes(self.tensors[part])
        if self.places.get(before) != self.places.get(after) or before not in self.places:
            raise _other("it would copy what it updates")
        if not 0 <= start <= tensor_bytes(self.tensors[after]) - tensor_bytes(self.tensors[part]):
            raise _other("it updates rows that are not there")
        number = len(self.tensors)
        self.tensors.append(self.tensors[part].replaced(index=number))
        self.places[number] = self.places[after] + start
        home = next((storage for storage in self.storages if after in storage), None)
        if home is None:
            raise _other("it updates what nothing else reads")
        home[number] = home[after] + start
        return number

    def _constant(self, value: int) -> int:
        number = len(self.tensors)
        data = memoryview(struct.pack("<i", value))
        self.tensors.append(Tensor(number, f"counter {value}", (1,), "INT32", 0, data=data))
        return number

    def _integer(self, index: int, values: Mapping[int, int]) -> int:
        if index in values:
            return values[index]
        tensor = self.tensors[index]
        if tensor.type != "INT32" or tensor.data is None or len(tensor.data) != 4:
            raise _other("a counter is not a sum of constants")
        value: int = struct.unpack("<i", tensor.data)[0]
        return value

    def _emit(self, operator: Operator) -> None:
        self._operators.append(operator)


def _other(why: str) -> ModelError:
    return ModelError(f"a loop that is not one of bands: {why}")
