"""Checkpoint to int8 by `sapool export`'s own function: CHECKPOINT IMAGES OUTPUT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from report import conversion

from sapool import checkpoint
from sapool.export import to_tflite


def main() -> int:
    source, images, output = map(Path, sys.argv[1:])
    loaded, pixels = checkpoint.load(source), np.load(images)
    with conversion("torch"):
        content = to_tflite(loaded, pixels).content
    output.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
