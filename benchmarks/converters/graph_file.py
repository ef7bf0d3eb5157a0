"""A float graph as files that an environment without sapool can read: graph.json and constants.npz."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from exporters.graph import Graph


def write(graph: Graph, folder: Path) -> None:
    """Put both files into `folder`."""
    constants = {name: tensor.data for name, tensor in graph.tensors.items() if tensor.data is not None}
    np.savez(folder / "constants.npz", allow_pickle=False, **constants)
    described = {
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "input_shape": graph.tensors[graph.inputs[0]].shape,
        "operators": [
            {"op": op.op, "inputs": op.inputs, "output": op.outputs[0], "options": dict(op.options)}
            for op in graph.operators
        ],
    }
    (folder / "graph.json").write_text(json.dumps(described), "utf-8")
