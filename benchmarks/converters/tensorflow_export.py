"""A graph of `graph_file`, rebuilt in TensorFlow's operations, to int8 by TensorFlow's converter: GRAPH IMAGES OUTPUT.

Runs in an environment that has TensorFlow and need not have sapool.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from report import conversion

ACTIVATIONS = {"NONE": lambda x: x, "RELU": tf.nn.relu, "RELU6": tf.nn.relu6}


def _pair(options: dict[str, Any], stem: str, tail: str = "") -> list[int]:
    return [options[f"{stem}_h{tail}"], options[f"{stem}_w{tail}"]]


def _conv(o: dict[str, Any], x: Any, w: Any, b: Any) -> Any:
    # OHWI there, HWIO here.
    kernel = np.transpose(w, (1, 2, 3, 0))
    dilations = _pair(o, "dilation", "_factor")
    return tf.nn.conv2d(x, kernel, _pair(o, "stride"), o["padding"], dilations=dilations) + b


def _depthwise(o: dict[str, Any], x: Any, w: Any, b: Any) -> Any:
    kernel = w[0].reshape(*w.shape[1:3], x.shape[3], -1)
    strides = [1, *_pair(o, "stride"), 1]
    return tf.nn.depthwise_conv2d(x, kernel, strides, o["padding"], dilations=_pair(o, "dilation", "_factor")) + b


def _pool(function: Any) -> Any:
    return lambda o, x: function(x, [o["filter_height"], o["filter_width"]], _pair(o, "stride"), o["padding"])


OPERATIONS: dict[str, Any] = {
    "ADD": lambda o, a, b: a + b,
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "BATCH_MATMUL": lambda o, a, b: tf.matmul(a, b, transpose_b=o["adj_y"]),
    "CONCATENATION": lambda o, *values: tf.concat(values, o["axis"]),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DIV": lambda o, a, b: a / b,
    "LOGISTIC": lambda o, x: tf.sigmoid(x),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MUL": lambda o, a, b: a * b,
    "RELU": lambda o, x: tf.nn.relu(x),
    "RELU6": lambda o, x: tf.nn.relu6(x),
    "RESHAPE": lambda o, x, shape: tf.reshape(x, shape),
    "RESIZE_NEAREST_NEIGHBOR": lambda o, x, size: tf.compat.v1.image.resize_nearest_neighbor(x, size),
    "SLICE": lambda o, x, begin, size: tf.slice(x, begin, size),
    "SOFTMAX": lambda o, x: tf.nn.softmax(x),
    "SUB": lambda o, a, b: a - b,
}


def rebuilt(folder: Path) -> Any:
    """The graph as a function of its input [1, H, W, C]."""
    graph = json.loads((folder / "graph.json").read_text("utf-8"))
    constants = dict(np.load(folder / "constants.npz"))

    def call(image: Any) -> Any:
        values = {**constants, graph["inputs"][0]: image}
        for op in graph["operators"]:
            inputs = [values[name] for name in op["inputs"]]
            result = OPERATIONS[op["op"]](op["options"], *inputs)
            values[op["output"]] = ACTIVATIONS[op["options"].get("fused_activation_function", "NONE")](result)
        return values[graph["outputs"][0]]

    return tf.function(call, input_signature=[tf.TensorSpec(graph["input_shape"], tf.float32)], autograph=False)


def main() -> int:
    folder, images, output = map(Path, sys.argv[1:])
    examples = np.load(images)
    with conversion("tensorflow" if "tensorflow" in _installed() else "tensorflow-cpu"):
        function = rebuilt(folder).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([example[None]] for example in examples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        content = converter.convert()
    output.write_bytes(content)
    # So that the benchmark can see whether the graph was rebuilt as it is.
    np.save(folder / "rebuilt.npy", function(examples[:1]).numpy())
    return 0


def _installed() -> set[str]:
    from importlib import metadata

    return {distribution.metadata["Name"] for distribution in metadata.distributions()}


if __name__ == "__main__":
    sys.exit(main())
