"""Checkpoint to int8 by litert-torch and ai-edge-quantizer, as their documentation does: CHECKPOINT IMAGES OUTPUT.

Runs in an environment that has litert-torch, safetensors and click, with sapool's source on the path, for the network is
sapool's torch module.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from report import conversion

from sapool import checkpoint
from sapool.data.preprocessing import to_float


def main() -> int:
    source, images, output = map(Path, sys.argv[1:])
    network = checkpoint.load(source).model.eval()
    examples = to_float(np.load(images))
    # Channels last, as a microcontroller's camera gives them and as all others here take them.
    wrapped = litert_torch.to_channel_last_io(network, args=[0])
    with conversion("litert-torch", "ai-edge-quantizer", "torch"):
        model = litert_torch.convert(wrapped, (torch.from_numpy(examples[:1]),))
        plain = output.with_suffix(".float.tflite")
        model.export(str(plain))
        tool = quantizer.Quantizer(str(plain))
        tool.load_quantization_recipe(recipe.static_wi8_ai8())
        (signature, details), *_ = _inputs(str(plain)).items()
        data = {signature: [{details[0]: example[None]} for example in examples]}
        content = tool.quantize(tool.calibrate(data)).quantized_model
    output.with_suffix(".written.tflite").write_bytes(bytes(content))
    output.write_bytes(_inside(bytes(content)))
    return 0


def _inside(content: bytes) -> bytes:
    """The same model with all constants inside the flatbuffer.

    From 256 KiB on, ai-edge-quantizer puts them behind it, where TensorFlow Lite Micro does not look.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    for buffer in model.buffers:
        if buffer.size:
            start = buffer.offset
            buffer.data = np.frombuffer(content[start : start + buffer.size], np.uint8)
            buffer.offset = buffer.size = 0
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _inputs(path: str) -> dict[str, list[str]]:
    """The names of the inputs of each signature of a .tflite."""
    from ai_edge_litert.interpreter import Interpreter

    return {key: list(value["inputs"]) for key, value in Interpreter(path).get_signature_list().items()}


if __name__ == "__main__":
    sys.exit(main())
