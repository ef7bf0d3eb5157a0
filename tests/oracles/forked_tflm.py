"""What TFLM does with models, those that end its process included."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from firmware_sim.errors import SapoolError

STAGES = {"taken", "allocate", "invoke", "ended"}


def ask(models: Sequence[bytes]) -> list[tuple[str, str]]:
    """What the wheel does with each model: one of STAGES, and its words."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, __file__],
        input=b"".join(struct.pack("<I", len(model)) + model for model in models),
        capture_output=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])},
    )
    answers = [tuple(json.loads(line)) for line in done.stdout.decode("utf-8").splitlines()]
    assert len(answers) == len(models)
    assert {stage for stage, _ in answers} <= STAGES
    return answers


def _serve() -> None:
    """The other process of `ask`: children take the models in turn, a new one wherever a model ended the last."""
    models = list(_models(sys.stdin.buffer.read()))
    done = 0
    while done < len(models):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                for model in models[done:]:
                    signal.alarm(20)
                    print(json.dumps(_answer(model)), file=pipe, flush=True)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as pipe:
            lines = pipe.read().splitlines()
        os.wait()
        if done + len(lines) < len(models):
            lines.append(json.dumps(["ended", ""]))
        done += len(lines)
        print("\n".join(lines), flush=True)


def _models(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        (count,) = struct.unpack_from("<I", content, start)
        yield content[start + 4 : start + 4 + count]
        start += 4 + count


def _answer(model: bytes) -> tuple[str, str]:
    from firmware_sim.run.tflm import Tflm

    stage = "allocate"
    try:
        loaded = Tflm(model, arena_bytes=1 << 18)
        stage = "invoke"
        loaded.invoke(*(spec.zeros() for spec in loaded.inputs))
    except SapoolError as error:
        return stage, error.message
    return "taken", ""


if __name__ == "__main__":
    _serve()
