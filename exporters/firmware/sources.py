"""The files of a folder that compiles against TensorFlow Lite Micro, from an exported model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from exporters.firmware.arena import ArenaBudget
from exporters.graph import Graph, Tensor
from firmware_sim.model import read

_TEMPLATES: Final = Path(__file__).with_name("templates")
_METHODS: Final[dict[str, str]] = json.loads(Path(__file__).with_name("resolver.json").read_text("utf-8"))["methods"]
_BYTES_A_LINE: Final = 16


@dataclass(frozen=True, slots=True)
class Interface:
    """What the firmware's author has to know beside the file.

    Attributes:
        title: one line about the network.
        labels: names of the classes, in the order of the first output; may be empty.
        input_meaning: what the integers of the input are, in words.
    """

    title: str
    labels: tuple[str, ...] = ()
    input_meaning: str = "real value = scale * (integer - zero point)"


def sources(content: bytes, graph: Graph, arena: ArenaBudget, interface: Interface) -> dict[str, bytes]:
    """Content of every file, by name.

    Args:
        content: the .tflite file.
        graph: the int8 graph that it came from, for its inputs and outputs.
        arena: from `exporters.firmware.budget`.
        interface: labels and words.
    """
    # Those of the file: shrinking drops some, and bands bring others.
    operators = sorted({operator.op for subgraph in read(content).subgraphs for operator in subgraph.operators})
    fields = {
        "title": _comment(interface.title),
        "input_meaning": _comment(interface.input_meaning),
        "model_bytes": str(len(content)),
        "data": _array(content),
        "operator_count": str(len(operators)),
        "registrations": "\n".join(
            f"  if (resolver.{_METHODS[op]}() != kTfLiteOk) return kTfLiteError;" for op in operators
        ),
        "arena_needed": str(max(arena.needed_bytes.values())),
        "arena_margin": str(arena.margin_bytes),
        "arena_table": "\n".join(f"//   {name:<24} {count:>9,}" for name, count in arena.needed_bytes.items()),
        "inputs": _interfaces("Input", graph, graph.inputs),
        "outputs": _interfaces("Output", graph, graph.outputs),
        "label_count": str(len(interface.labels)),
        "labels": _labels(interface.labels),
    }
    files = {
        path.name.removesuffix(".in"): Template(path.read_text("utf-8")).substitute(fields).encode("utf-8")
        for path in sorted(_TEMPLATES.glob("*.in"))
    }
    return {**files, "model.tflite": content}


def _array(content: bytes) -> str:
    lines = (content[start : start + _BYTES_A_LINE] for start in range(0, len(content), _BYTES_A_LINE))
    return "\n".join("  " + " ".join(f"0x{byte:02x}," for byte in line) for line in lines)


def _interfaces(kind: str, graph: Graph, names: Sequence[str]) -> str:
    """Declarations of the inputs or outputs."""
    rows = ",\n".join(f"    {_tensor(graph.tensors[name])}" for name in names)
    return f"constexpr int k{kind}Count = {len(names)};\nconstexpr Tensor k{kind}s[] = {{\n{rows},\n}};"


def _tensor(tensor: Tensor) -> str:
    assert tensor.quantization is not None
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    shape = ", ".join(str(extent) for extent in (*tensor.shape, *(1,) * (4 - len(tensor.shape))))
    return f"{{{_float(scale)}, {zero_point}, {len(tensor.shape)}, {{{shape}}}}}"


def _float(value: float) -> str:
    """A literal that gives the same single-precision number."""
    return f"{value:.9g}f" if any(mark in f"{value:.9g}" for mark in ".e") else f"{value:.9g}.0f"


def _labels(labels: Sequence[str]) -> str:
    if not labels:
        return "// The checkpoint names no classes."
    rows = "\n".join(f'    "{_escaped(label)}",' for label in labels)
    return f"constexpr const char* kLabels[] = {{\n{rows}\n}};"


def _escaped(text: str) -> str:
    """UTF-8 as the inside of a C string; three octal digits, so that no following digit is swallowed."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode("utf-8"))
    return "".join(plain)


def _comment(text: str) -> str:
    """One line that can stand in a comment."""
    return " ".join(text.split()).rstrip("\\")
