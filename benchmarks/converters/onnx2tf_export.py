"""ONNX file to int8 by onnx2tf: ONNX IMAGES OUTPUT.

Runs in an environment that has onnx2tf and need not have sapool.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import onnx
import onnx2tf
from report import conversion

# onnx2tf tests itself on these, and downloads them where it does not find them in the current folder.
OWN_TEST = ("calibration_image_sample_data_20x128x128x3_float32.npy", (20, 128, 128, 3))


def main() -> int:
    source, images, output = (Path(name).resolve() for name in sys.argv[1:])
    folder = output.with_suffix("")
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    name, shape = OWN_TEST
    np.save(name, np.random.default_rng(0).random(shape, np.float32))
    entry = onnx.load(source).graph.input[0].name
    with conversion("onnx2tf", "tensorflow"):
        onnx2tf.convert(
            input_onnx_file_path=str(source),
            output_folder_path=str(folder),
            output_integer_quantized_tflite=True,
            # The images are scaled already.
            custom_input_op_name_np_data_path=[[entry, str(images), np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1))]],
            non_verbose=True,
        )
    (found,) = folder.glob("*_full_integer_quant.tflite")
    output.write_bytes(found.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
