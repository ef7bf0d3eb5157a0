"""A model that is being rewritten. Passes are plain functions from draft to draft.

While it is a draft, tensors and operators keep the numbers that they have in the file (`Tensor.index`, `Operator.index`);
`finish` numbers them anew. So a pass can drop and reorder without renumbering, and everything about a tensor or an
operator that it does not touch is written as it was.

A pass can also make tensors and operators. An operator that is there twice is two operators of the same number, a tensor
that continues another's record is named in `DraftGraph.copies`; what is wholly new is in no record of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware_sim.errors import ModelError
from firmware_sim.memory.offline import METADATA, encode
from firmware_sim.model import Model, Operator, Subgraph, Tensor, read
from firmware_sim.rewrite.creation import code_record, operator_record, tensor_record
from firmware_sim.rewrite.records import Record, read_records, write_records
from firmware_sim.rewrite.trailing import moved

NEW_BUFFER: Final = -1
"""`Tensor.buffer` of a constant whose data a pass has made."""

NEW_OPERATOR: Final = -1
"""`Operator.index` of an operator that a pass has made."""


@dataclass(frozen=True, slots=True)
class DraftGraph:
    """A subgraph; `tensors` by their numbers, `operators` in the order of execution.

    Numbers that the file does not have are those of new tensors. `copies` names for some of them the tensor of the file
    whose record they continue, but for their name and shape: all that the quantisation of a part says is that of the whole.
    """

    tensors: Mapping[int, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    copies: Mapping[int, int] = field(default_factory=dict)

    def readers(self) -> Counter[int]:
        """How often each tensor is read, by operators and as an output of the graph."""
        counts = Counter(index for operator in self.operators for index in operator.inputs if index >= 0)
        counts.update(self.outputs)
        return counts

    def used(self) -> set[int]:
        """Tensors that anything refers to."""
        named = (*self.inputs, *self.outputs)
        return {
            index
            for operator in self.operators
            for index in (*operator.inputs, *operator.outputs, *operator.intermediates)
            if index >= 0
        }.union(named)


@dataclass(frozen=True, slots=True)
class Draft:
    """A model and the file that it came from.

    Attributes:
        model: as it was read.
        graphs: its subgraphs, edited.
        metadata: entries to add or to replace.
        offsets: per subgraph, tensor to its place in the arena; None leaves the plan to TFLM.
        added: further subgraphs, whose tensors and operators have the numbers of the first one.
    """

    model: Model
    content: bytes
    root: Record
    end_bytes: int
    graphs: tuple[DraftGraph, ...]
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    offsets: tuple[Mapping[int, int], ...] | None = None
    added: tuple[DraftGraph, ...] = ()

    @property
    def all_graphs(self) -> tuple[DraftGraph, ...]:
        """Its subgraphs, the added ones included."""
        return (*self.graphs, *self.added)

    def plan(self, places: Sequence[Mapping[int, int]]) -> bytes:
        """The metadata entry of a memory plan; `places` are offsets of tensors, per subgraph."""
        pairs = zip(self.all_graphs, places, strict=True)
        return encode([offsets.get(index) for graph, offsets in pairs for index in sorted(graph.tensors)])

    def sources(self) -> list[tuple[Subgraph, DraftGraph]]:
        """Every subgraph, the added ones included, with what it came from."""
        return [
            *zip(self.model.subgraphs, self.graphs, strict=True),
            *((self.model.subgraphs[0], graph) for graph in self.added),
        ]

    def subgraphs(self) -> list[tuple[Record, Subgraph, DraftGraph]]:
        """The same with the records of a file."""
        records = self.root.records("subgraphs")
        more = [records[0].replaced(name=f"sapool/{n}".encode()) for n, _ in enumerate(self.added, len(records))]
        sources = zip((*records, *more), self.sources(), strict=True)
        return [(record, before, graph) for record, (before, graph) in sources]

    def with_graph(self, number: int, graph: DraftGraph) -> Draft:
        """The draft with another subgraph of that number."""
        return replace(self, graphs=(*self.graphs[:number], graph, *self.graphs[number + 1 :]))


def open_draft(content: bytes, *, name: str | None = None) -> Draft:
    """A draft that changes nothing yet.

    Raises:
        ModelError: the file cannot be read, or not without losing something.
    """
    model = read(content, name=name)
    try:
        root, end_bytes = read_records(content)
    except ModelError as error:
        raise ModelError(error.message, where=model.path, hint=error.hint) from error
    return Draft(model, content, root, end_bytes, graphs_of(model))


def graphs_of(model: Model) -> tuple[DraftGraph, ...]:
    """The subgraphs of a model, unedited."""
    return tuple(_graph(subgraph) for subgraph in model.subgraphs)


def _graph(subgraph: Subgraph) -> DraftGraph:
    tensors = {tensor.index: tensor for tensor in subgraph.tensors}
    return DraftGraph(tensors, subgraph.operators, subgraph.inputs, subgraph.outputs)


def model_of(draft: Draft) -> Model:
    """What reading the file of a draft would give, without writing it: for passes that price what they do.

    Buffers, metadata and everything else that memory does not depend on are those of the file that the draft began with; a
    memory plan that it brings along is left out.
    """
    return draft.model.replaced(
        subgraphs=tuple(_numbered(graph, before) for before, graph in draft.sources()),
        metadata={name: data for name, data in draft.model.metadata.items() if name != METADATA},
    )


def _numbered(graph: DraftGraph, before: Subgraph) -> Subgraph:
    numbers = {index: number for number, index in enumerate(sorted(graph.tensors))}
    tensors = [(number, graph.tensors[index]) for index, number in numbers.items()]
    return before.replaced(
        tensors=tuple([one if one.index == number else one.replaced(index=number) for number, one in tensors]),
        operators=tuple(
            [
                operator.replaced(
                    index=position,
                    inputs=_renumbered(operator.inputs, numbers),
                    outputs=_renumbered(operator.outputs, numbers),
                )
                for position, operator in enumerate(graph.operators)
            ]
        ),
        inputs=tuple(numbers[index] for index in graph.inputs),
        outputs=tuple(numbers[index] for index in graph.outputs),
    )


def finish(draft: Draft) -> bytes:
    """The file of a draft: the same draft gives the same bytes.

    Operator codes and buffers that nothing uses any more are left out. A plan that the file brought along gives way to
    `Draft.offsets`, since it counts tensors that may be gone.
    """
    buffers = _Buffers(draft.root.records("buffers"))
    metadata = [
        entry.replaced(buffer=buffers.kept(entry.integer("buffer"))) for entry in draft.root.records("metadata")
    ]
    codes = _Codes(draft)
    parts = draft.subgraphs()
    numbers = [{index: number for number, index in enumerate(sorted(graph.tensors))} for _, _, graph in parts]
    subgraphs = tuple(
        _subgraph(record, before, graph, numbers[number], buffers, codes)
        for number, (record, before, graph) in enumerate(parts)
    )
    legacy = tuple(buffers.kept(index) for index in draft.root.integers("metadata_buffer"))
    for name, data in _entries(draft).items():
        buffer = buffers.added(data)
        place = next((n for n, entry in enumerate(metadata) if entry.fields.get("name") == name.encode()), None)
        if place is None:
            metadata.append(Record("Metadata", {"name": name.encode(), "buffer": buffer}))
        else:
            metadata[place] = metadata[place].replaced(buffer=buffer)
    root = draft.root.replaced(
        operator_codes=codes.records(),  # after the subgraphs, which add to them
        subgraphs=subgraphs,
        metadata=tuple(metadata) or None,
        metadata_buffer=legacy or None,
        signature_defs=tuple(_signature(s, numbers) for s in draft.root.records("signature_defs")) or None,
        buffers=tuple(buffers.records),
    )
    flatbuffer = write_records(root)
    trailing = draft.content[draft.end_bytes :]
    return flatbuffer + moved(trailing, draft.end_bytes, len(flatbuffer)) if any(trailing) else flatbuffer


def _entries(draft: Draft) -> Mapping[str, bytes]:
    if draft.offsets is None and METADATA not in draft.model.metadata:
        return draft.metadata
    return {**draft.metadata, METADATA: draft.plan(draft.offsets or tuple({} for _ in draft.all_graphs))}


class _Buffers:
    """The buffers of the new file. Number 0 is the empty one that every tensor without data refers to."""

    def __init__(self, old: tuple[Record, ...]) -> None:
        self.old = old
        self.records: list[Record] = [Record("Buffer", {})]
        self.numbers: dict[int, int] = {}

    def kept(self, index: int) -> int:
        """Number of a buffer of the old file."""
        if "data" not in self.old[index].fields or not len(self.old[index].fields["data"]):  # type: ignore[arg-type]
            return 0
        if index not in self.numbers:
            self.numbers[index] = len(self.records)
            self.records.append(self.old[index])
        return self.numbers[index]

    def added(self, data: bytes | memoryview) -> int:
        """Number of a buffer with new data."""
        self.records.append(Record("Buffer", {"data": memoryview(data)}))
        return len(self.records) - 1


class _Codes:
    """The operator codes that the operators left still use, in their old order, then those of new operators."""

    def __init__(self, draft: Draft) -> None:
        self.old = draft.root.records("operator_codes")
        used = {
            record.records("operators")[operator.index].integer("opcode_index")
            for record, _, graph in draft.subgraphs()
            for operator in graph.operators
            if operator.index != NEW_OPERATOR
        }
        self.numbers = {old: new for new, old in enumerate(sorted(used))}
        self.list = [self.old[index] for index in self.numbers]

    def records(self) -> tuple[Record, ...]:
        return tuple(self.list)

    def added(self, operator: Operator) -> int:
        """Number of the code of a new operator."""
        record = code_record(operator)
        if record not in self.list:
            self.list.append(record)
        return self.list.index(record)


def _subgraph(
    record: Record,
    before: Subgraph,
    graph: DraftGraph,
    numbers: Mapping[int, int],
    buffers: _Buffers,
    codes: _Codes,
) -> Record:
    tensors, operators = record.records("tensors"), record.records("operators")
    return record.replaced(
        tensors=tuple(
            _tensor(tensors[index], before.tensors[index], graph.tensors[index], buffers)
            if index < len(tensors)
            else _new_tensor(graph, index, tensors, buffers)
            for index in numbers
        ),
        operators=tuple(
            _new_operator(operator, numbers, codes)
            if operator.index == NEW_OPERATOR
            else _operator(operators[operator.index], before.operators[operator.index], operator, numbers, codes)
            for operator in graph.operators
        ),
        inputs=tuple(numbers[index] for index in graph.inputs),
        outputs=tuple(numbers[index] for index in graph.outputs),
    )


def _tensor(record: Record, before: Tensor, tensor: Tensor, buffers: _Buffers) -> Record:
    if tensor.buffer == NEW_BUFFER and tensor.data is not None:
        buffer = buffers.added(tensor.data)
    else:
        buffer = buffers.kept(tensor.buffer)
    if tensor.shape == before.shape:
        return record.replaced(buffer=buffer)
    return record.replaced(buffer=buffer, shape=tensor.shape, shape_signature=None)


def _new_tensor(graph: DraftGraph, index: int, records: tuple[Record, ...], buffers: _Buffers) -> Record:
    tensor = graph.tensors[index]
    buffer = 0 if tensor.data is None else buffers.added(tensor.data)
    original = graph.copies.get(index)
    if original is None:
        return tensor_record(tensor).replaced(buffer=buffer or None)
    return records[original].replaced(
        buffer=buffer or None, shape=tensor.shape, shape_signature=None, name=tensor.name.encode()
    )


def _operator(
    record: Record, before: Operator, operator: Operator, numbers: Mapping[int, int], codes: _Codes
) -> Record:
    record = record.replaced(
        opcode_index=codes.numbers[record.integer("opcode_index")],
        **{name: _renumbered(getattr(operator, name), numbers) for name in ("inputs", "outputs")},
    )
    if operator.intermediates:
        record = record.replaced(intermediates=_renumbered(operator.intermediates, numbers))
    changed = {name: value for name, value in operator.options.items() if before.options.get(name) != value}
    options = record.fields.get("builtin_options")
    if changed and isinstance(options, Record):
        record = record.replaced(builtin_options=options.replaced(**changed))  # type: ignore[arg-type]  # integers
    return record


def _new_operator(operator: Operator, numbers: Mapping[int, int], codes: _Codes) -> Record:
    return operator_record(operator).replaced(
        opcode_index=codes.added(operator),
        inputs=_renumbered(operator.inputs, numbers),
        outputs=_renumbered(operator.outputs, numbers),
    )


def _renumbered(indices: tuple[int, ...], numbers: Mapping[int, int]) -> tuple[int, ...]:
    return tuple([numbers[index] if index >= 0 else index for index in indices])


def _signature(record: Record, numbers: list[dict[int, int]]) -> Record:
    """A signature names tensors of its subgraph; those that are gone were neither input nor output of it."""
    graph = numbers[record.integer("subgraph_index")]
    fields = {
        name: tuple(
            entry.replaced(tensor_index=graph[entry.integer("tensor_index")])
            for entry in record.records(name)
            if entry.integer("tensor_index") in graph
        )
        for name in ("inputs", "outputs")
        if name in record.fields
    }
    return record.replaced(**fields)
