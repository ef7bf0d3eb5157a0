"""Shrinking networks that keep state in variables or call subgraphs, judged by TFLM."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

import pytest
from support.tflite_files import Graph, Op, T, tflite

from firmware_sim import memreport, read
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Model
from firmware_sim.overlap import stored
from firmware_sim.overlap.calls import replay_calls
from firmware_sim.rewrite.draft import open_draft
from firmware_sim.rewrite.effects import effects_in_order
from firmware_sim.rewrite.proof import prove
from firmware_sim.rewrite.shrink import shrink

ADD = ("AddOptions", {})
INIT = ("CallOnceOptions", {"init_subgraph_index": 1})


def row(size: int, data: bytes | None = None) -> T:
    return T([size], "FLOAT32", data=data, scale=())


def integers(*values: int) -> T:
    return T([len(values)], "INT32", data=struct.pack(f"<{len(values)}i", *values), scale=())


def number(value: int | None = None) -> T:
    return T([1], "INT32", data=None if value is None else struct.pack("<i", value), scale=())


class Parts:
    """Tensors and operators, as they come."""

    def __init__(self) -> None:
        self.tensors: list[T] = []
        self.operators: list[Op] = []

    def tensor(self, tensor: T) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def op(self, op: str, inputs: Sequence[int], result: T | None, options: object = None) -> int:
        outputs = [] if result is None else [self.tensor(result)]
        self.operators.append(Op(op, inputs, outputs, options))  # type: ignore[arg-type]
        return outputs[0] if outputs else -1

    def widely(self, x: int) -> int:
        """A row of the same size, by way of larger ones."""
        size = self.tensors[x].shape[0]
        wide = self.op("CONCATENATION", [x] * 4, row(4 * size), ("ConcatenationOptions", {}))
        wide = self.op("ABS", [self.op("ADD", [wide, wide], row(4 * size), ADD)], row(4 * size))
        return self.last(wide, size)

    def last(self, x: int, size: int) -> int:
        """The last elements of a row."""
        begin = len(range(self.tensors[x].shape[0])) - size
        return self.op("SLICE", [x, self.tensor(integers(begin)), self.tensor(integers(size))], row(size))

    def handle(self, name: str) -> int:
        return self.op("VAR_HANDLE", [], T([], "RESOURCE", scale=()), ("VarHandleOptions", {"shared_name": name}))


def streaming(sizes: Sequence[int], random: Random, often: float = 0.3) -> bytes:
    """Layers that join their input with what they kept of the last one; everything is read before the first layer."""
    main, once = Parts(), Parts()
    x = main.tensor(row(8))
    main.op("CALL_ONCE", [], None, INIT)
    handles = [main.handle(f"state_{number}") for number in range(len(sizes))]
    kept = [main.op("READ_VARIABLE", [handle], row(size)) for handle, size in zip(handles, sizes, strict=True)]
    for number, size in enumerate(sizes):
        joined = main.op(
            "CONCATENATION", [kept[number], x], row(size + main.tensors[x].shape[0]), ("ConcatenationOptions", {})
        )
        main.op("ASSIGN_VARIABLE", [handles[number], main.last(joined, size)], None)
        if random.random() < often:  # what was just assigned is read again
            again = main.op("READ_VARIABLE", [handles[number]], row(size))
            doubled = main.op("ADD", [again, kept[number]], row(size), ADD)
            main.op("ASSIGN_VARIABLE", [handles[number], doubled], None)
        x = main.op("ADD", [joined, joined], row(main.tensors[joined].shape[0]), ADD)
        x = main.last(x, random.randrange(4, 12))
        start = struct.pack(f"<{size}f", *(random.uniform(-1, 1) for _ in range(size)))
        once.op("ASSIGN_VARIABLE", [once.handle(f"state_{number}"), once.tensor(row(size, start))], None)
    return tflite(Graph(main.tensors, main.operators, [0], [x]), Graph(once.tensors, once.operators, [], []))


def branch(op: str, size: int) -> Graph:
    """Twice the operator, over a detour by a larger row."""
    parts = Parts()
    x = parts.tensor(row(size))
    y = parts.op(op, [x], row(size))
    wide = parts.op("CONCATENATION", [x, y, x], row(3 * size), ("ConcatenationOptions", {}))
    y = parts.op("ADD", [parts.last(wide, size), parts.op(op, [y], row(size))], row(size), ADD)
    return Graph(parts.tensors, parts.operators, [0], [y])


def choosing(size: int) -> bytes:
    """A branch in the middle of a residual block; the sign of the first element decides."""
    parts = Parts()
    x = parts.tensor(row(size))
    first = parts.op("SLICE", [x, parts.tensor(integers(0)), parts.tensor(integers(1))], row(1))
    condition = parts.op("LESS", [first, parts.tensor(row(1, struct.pack("<f", 0.0)))], T([1], "BOOL", scale=()))
    y = parts.widely(x)
    choice = ("IfOptions", {"then_subgraph_index": 1, "else_subgraph_index": 2})
    z = parts.op("NEG", [parts.op("IF", [condition, y], row(size), choice)], row(size))
    out = parts.op("ADD", [parts.op("ADD", [z, x], row(size), ADD), y], row(size), ADD)
    return tflite(Graph(parts.tensors, parts.operators, [0], [out]), branch("ABS", size), branch("NEG", size))


def repeating(size: int) -> bytes:
    """A loop of five turns in the middle of a residual block."""
    parts = Parts()
    x = parts.tensor(row(size))
    y = parts.widely(x)
    counter, after = parts.tensor(number(0)), parts.tensor(number())
    z = parts.tensor(row(size))
    loop = ("WhileOptions", {"cond_subgraph_index": 1, "body_subgraph_index": 2})
    parts.operators.append(Op("WHILE", [counter, y], [after, z], loop))
    out = parts.op("ADD", [parts.op("ABS", [z], row(size)), x], row(size), ADD)
    condition = Graph(
        [number(), row(size), number(5), T([1], "BOOL", scale=())], [Op("LESS", [0, 2], [3])], [0, 1], [3]
    )
    turn = Parts()
    counted, held = turn.tensor(number()), turn.tensor(row(size))
    more = turn.op("ADD", [counted, turn.tensor(number(1))], number(), ADD)
    detour = turn.op("ABS", [turn.op("ADD", [held, held], row(size), ADD)], row(size))
    result = turn.op("ADD", [detour, held], row(size), ADD)
    body = Graph(turn.tensors, turn.operators, [counted, held], [more, result])
    return tflite(Graph(parts.tensors, parts.operators, [0], [out]), condition, body)


FILES = {
    **{
        f"streaming-{seed}": streaming(Random(seed).choices(range(4, 60, 4), k=2 + seed), Random(seed))
        for seed in range(4)
    },
    "choosing": choosing(100),
    "repeating": repeating(100),
}


@pytest.mark.parametrize("kernels", ["reference", "any"])
@pytest.mark.parametrize("name", FILES)
def test_tflm_computes_the_same_in_less(name: str, kernels: str):
    shrunk = shrink(FILES[name], kernels=kernels, name=name)
    assert shrunk.after.arena.head_bytes < shrunk.before.arena.head_bytes
    proof = prove(FILES[name], shrunk.content, name=name)
    assert (proof.head_bytes, proof.total_bytes) == (shrunk.after.arena.head_bytes, shrunk.after.arena.total_bytes)


@pytest.mark.parametrize("name", FILES)
def test_the_floor_is_between_the_largest_tensor_that_is_computed_and_the_head(name: str):
    shrunk = shrink(FILES[name], kernels="reference", name=name)
    subgraphs = read(FILES[name]).subgraphs
    computed = [one.tensors[index] for one in subgraphs for operator in one.operators for index in operator.outputs]
    largest = max(tensor_bytes(tensor) for tensor in computed if not tensor.is_variable)
    assert shrunk.floor_bytes is not None
    assert largest <= shrunk.floor_bytes <= shrunk.after.arena.head_bytes


def test_a_variable_is_read_next_to_where_it_is_needed():
    content = streaming([200, 200, 200], Random(1), often=0)
    shrunk = shrink(content, kernels="reference", without=("overlap",))
    # One state, its join with the input and a part of that, instead of all three states.
    assert "reorder" in [use.name for use in shrunk.passes]
    assert shrunk.before.arena.head_bytes > 3 * 800
    assert shrunk.after.arena.head_bytes < 3 * 800


def test_reading_and_assigning_stay_in_order_per_variable():
    parts = Parts()
    x = parts.tensor(row(4))
    one, other = parts.handle("one"), parts.handle("other")  # 0, 1
    parts.op("READ_VARIABLE", [one], row(4))  # 2
    parts.op("READ_VARIABLE", [one], row(4))  # 3
    parts.op("ASSIGN_VARIABLE", [other, x], None)  # 4
    parts.op("ASSIGN_VARIABLE", [one, x], None)  # 5
    parts.op("CALL_ONCE", [], None, INIT)  # 6
    parts.op("READ_VARIABLE", [one], row(4))  # 7
    parts.op("ABS", [x], row(4))  # 8
    parts.op("READ_VARIABLE", [parts.tensor(T([], "RESOURCE", scale=()))], row(4))  # 9, of who knows which
    content = tflite(Graph(parts.tensors, parts.operators, [0], [x]), Graph([], [], [], []))
    pairs = set(effects_in_order(open_draft(content).graphs[0]))
    assert pairs == {(5, 2), (5, 3), (6, 2), (6, 3), (6, 4), (6, 5), (7, 6), (9, 6), (9, 7)}


def planned(name: str) -> tuple[Model, list[dict[int, int]]]:
    model = read(shrink(FILES[name], kernels="reference").content)
    return model, [dict(places) for places in stored.all_places(model)]


@pytest.mark.parametrize("name", ["choosing", "repeating"])
def test_what_a_called_subgraph_overwrites_is_found(name: str):
    model, places = planned(name)
    assert replay_calls(model, places, "reference") == ()
    assert stored.damages(model, "reference") == ()
    caller = next(o for o in model.subgraphs[0].operators if o.op in ("IF", "WHILE"))
    waiting = model.subgraphs[0].inputs[0]  # the residual
    inner = max(places[2], key=lambda index: model.subgraphs[2].tensors[index].elements)
    # On the residual, on the caller's input and on its output.
    for victim in (waiting, caller.inputs[-1], caller.outputs[-1]):
        broken = [dict(each) for each in places]
        broken[2][inner] = broken[0][victim]
        assert replay_calls(model, broken, "reference") != ()


def test_memory_reports_of_the_result_are_exact():
    for name in ("streaming-3", "choosing"):
        shrunk = shrink(FILES[name], kernels="any", name=name)
        arena = memreport(read(shrunk.content)).arena
        assert arena.exact
        assert arena == shrunk.after.arena
