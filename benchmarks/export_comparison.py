"""Our export beside what a user would pick instead: TensorFlow's converter, litert-torch and onnx2tf.

    python benchmarks/int8_accuracy.py ../shared/data/cifar10-jpeg.tar.xz
    python benchmarks/export_comparison.py build/int8-accuracy/*/model.safetensors \\
        --data ../shared/data/cifar10-jpeg.tar.xz \\
        --tensorflow /tmp/tensorflow/bin/python --litert-torch /tmp/litert/bin/python --onnx2tf /tmp/onnx2tf/bin/python

Each converter runs in a Python environment of its own, because they want versions of packages that exclude each other;
without its option a converter is left out, and the page says how to install it. All get the same trained weights and the
same calibration images, those beside the checkpoint. Trainings of the same network with several seeds are shown together, by
their mean. What was measured is kept (--folder) and not measured again.

The better int8 is, the more images it takes to tell two converters apart. Where trainings used a part of the data only, as
those of int8_accuracy.py do, --trained-on adds the images that none of them saw to the test images.

Writes docs/export-comparison.md (--output) and benchmarks/results/export-comparison.csv (--csv).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from converters import graph_file, page
from experiment import ROOT, array_once, chance, left_out, limited, once, open_images, points, share, write_csv
from machine import machine
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 3600
RUNS, SLOW_S = 7, 5  # a conversion that takes less is repeated
REBUILT_TOLERANCE = 1e-3
"""Of logits, in float, between a graph and the same graph in TensorFlow."""


@dataclass(frozen=True, slots=True)
class Converter:
    """A way to an int8 file: `takes` says which form of the network its script in converters/ wants."""

    name: str
    script: str
    takes: str
    install: str = ""


OURS = Converter("sapool", "sapool_export.py", "checkpoint")
OTHERS = (
    Converter("tensorflow", "tensorflow_export.py", "graph", "tensorflow"),
    Converter("litert-torch", "litert_torch_export.py", "checkpoint", "litert-torch click"),
    Converter("onnx2tf", "onnx2tf_export.py", "onnx", "onnx2tf"),
)


class Subject:
    """One checkpoint, in the forms that the converters take, and the images to test on."""

    def __init__(self, path: Path, images: Any, classes: tuple[str, ...], folder: Path) -> None:
        from sapool import calibration, checkpoint

        self.path, self.tested, self.classes = path, images, classes
        self.loaded = checkpoint.load(path)
        self.images = calibration.load(calibration.beside(path))
        self.name = str(self.loaded.spec)
        self.seed = self.loaded.header.get("recipe", {}).get("seed")
        self.folder = folder / f"{self.loaded.spec.pooling}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def inputs(self, takes: str) -> tuple[Path, Path]:
        """The network and the calibration images, as files."""
        from exporters.execute import run
        from sapool import calibration, export
        from sapool.data.preprocessing import to_float

        if takes == "checkpoint":
            return self.path, calibration.beside(self.path)
        examples = self.folder / "images.npy"
        np.save(examples, to_float(self.images))
        if takes == "graph":
            graph = export.to_tflite(self.loaded, self.images).float_graph
            graph_file.write(graph, self.folder)
            np.save(self.folder / "expected.npy", run(graph, to_float(self.images[:1]))[0])
            return self.folder, examples
        network = self.folder / "network.onnx"
        network.write_bytes(export.to_onnx(self.loaded, self.images[:2], dynamic_batch=False).content)
        return network, examples

    def classify(self, content: bytes | None) -> Any:
        """The classes that a .tflite tells, or the checkpoint in float: int64 [N]."""
        from sapool.training import evaluate
        from sapool.training.predictors import network
        from sapool.training.predictors.tflite import TflitePredictor
        from sapool.training.progress import share_bar

        predictor: Any = network.load(self.path) if content is None else TflitePredictor(content)
        with share_bar(f"{self.name} seed {self.seed}: answers") as progress:
            return evaluate(predictor, self.tested, self.classes, progress=progress).predicted


def conversions(subject: Subject, pythons: dict[Converter, str]) -> dict[Converter, dict[str, Any]]:
    """Run converters in their environments, quick ones several times, and look at what they wrote.

    They take turns, so that a machine that is slow for a while is slow for all of them. Each gives `problem`, in words,
    where there is no file; otherwise what is said of it, with the seconds of the processor: those of the median run.
    """
    rows: dict[Converter, list[dict[str, Any]]] = {converter: [] for converter in pythons}
    for _ in range(RUNS):
        for converter, python in pythons.items():
            if not rows[converter] or _seconds(rows[converter][0]) < SLOW_S:
                print(f"{subject.name} seed {subject.seed}: {converter.name}", file=sys.stderr, flush=True)
                rows[converter].append(_converted(subject, converter, python))
    return {converter: sorted(each, key=_seconds)[len(each) // 2] for converter, each in rows.items()}


def _seconds(row: dict[str, Any]) -> float:
    return float(row.get("conversion_cpu_s", SLOW_S))


def _converted(subject: Subject, converter: Converter, python: str) -> dict[str, Any]:
    output = subject.folder / f"{converter.name}.tflite"
    output.unlink(missing_ok=True)
    paths = map(str, (*subject.inputs(converter.takes), output))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    before = _children_s()
    try:
        ended = subprocess.run(
            [python, str(HERE / "converters" / converter.script), *paths],
            env=environment, capture_output=True, text=True, timeout=TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"problem": str(error)}
    seconds = _children_s() - before
    if ended.returncode or not output.exists():
        lines = (ended.stderr or ended.stdout).strip().splitlines() or [f"exit code {ended.returncode}"]
        return {"problem": lines[-1][:300]}
    if converter.takes == "graph":
        rebuilt, expected = (np.load(subject.folder / f"{name}.npy") for name in ("rebuilt", "expected"))
        off = float(np.abs(rebuilt - expected).max())
        if not off <= REBUILT_TOLERANCE:
            return {"problem": f"the graph rebuilt for {converter.name} computes something else, by {off:g}"}
    told = json.loads(ended.stdout.strip().splitlines()[-1])
    return {**told, "process_cpu_s": round(seconds, 2), **_looked_at(output.read_bytes())}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _looked_at(content: bytes) -> dict[str, Any]:
    """Operators, bytes and the arena in TFLM, or why TFLM refuses."""
    from firmware_sim import model
    from firmware_sim.run import tflm

    graph = model.read(content).subgraphs[0]
    words = tflm.refused(content)
    return {
        "operators": len(graph.operators),
        "input": graph.tensors[graph.inputs[0]].type.lower(),
        "file_bytes": len(content),
        "refused": words,
        "arena_bytes": tflm.Tflm(content).arena.total_bytes if words is None else None,
    }


def rows_of(subject: Subject, pythons: dict[str, str | None]) -> list[dict[str, Any]]:
    """A row for each converter, ours first."""
    labels = subject.tested.labels
    exact = array_once(subject.folder / "float.npy", partial(subject.classify, None))
    rows: list[dict[str, Any]] = []
    own: NDArray[np.int64] | None = None
    used = {OURS: sys.executable} | {other: python for other in OTHERS if (python := pythons[other.name])}
    kept = {converter: subject.folder / f"{converter.name}.json" for converter in used}
    new = conversions(subject, {converter: used[converter] for converter in used if not kept[converter].exists()})
    for converter in used:
        result = once(kept[converter], partial(new.__getitem__, converter))
        row = {"network": subject.name, "seed": subject.seed, "converter": converter.name}
        row |= {"float_accuracy": share(exact == labels), **result}
        if "problem" not in result:
            content = (subject.folder / f"{converter.name}.tflite").read_bytes()
            answers = array_once(subject.folder / f"{converter.name}.npy", partial(subject.classify, content))
            own = answers if own is None else own
            row |= {"int8_accuracy": share(answers == labels), "agreement": share(answers == exact)}
            for name, truth in (("accuracy", labels), ("agreement", exact)):
                row[f"{name}_ahead"] = points(own == truth, answers == truth)
                row[f"{name}_chance"] = chance(own == truth, answers == truth)
            row["test_images"] = len(labels)
        rows.append(row)
    return rows


def images_to_test(arguments: argparse.Namespace, paths: Sequence[Path]) -> tuple[Any, tuple[str, ...]]:
    """Labelled images that no training has seen, and the names of their classes.

    Raises:
        SystemExit: a network was trained on other images than --trained-on says.
    """
    from sapool import checkpoint
    from sapool.data.fingerprint import fingerprint

    data = open_images(arguments.data, test=arguments.test_images)
    if arguments.trained_on is None:
        return data.test, data.classes
    parts = tuple(zip((data.train, data.val), arguments.trained_on, strict=True))
    train, val = (limited(part, count) for part, count in parts)
    used = fingerprint(replace(data, train=train, val=val))
    for path in paths:
        if checkpoint.load(path).header["data"]["fingerprint"] != used:
            raise SystemExit(f"{path} was trained on other images than --trained-on says")
    unseen = limited(_joined([left_out(part, count) for part, count in parts]), arguments.unseen_images)
    origin = f"{data.test.origin}, and {len(unseen):,} images of its other parts that no training has seen"
    return replace(_joined([data.test, unseen]), origin=origin), data.classes


def _joined(parts: Sequence[Any]) -> Any:
    from sapool.data import Split

    return Split(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels")))


# `*_ahead`: what sapool is ahead by, in points, and `*_chance` half the 95% interval of that, on the same images.
COLUMNS = (
    "network", "seed", "converter", "versions", "float_accuracy", "int8_accuracy", "accuracy_ahead", "accuracy_chance",
    "agreement", "agreement_ahead", "agreement_chance", "test_images", "operators", "input", "file_bytes", "arena_bytes",
    "refused", "conversion_cpu_s", "process_cpu_s", "problem",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, help="with their calibration images beside them")
    parser.add_argument("--data", type=Path, required=True, help="what the networks were trained on")
    for converter in OTHERS:
        parser.add_argument(f"--{converter.name}", metavar="PYTHON", help=f"interpreter with {converter.install}")
    parser.add_argument("--test-images", type=int, default=10_000, help="at most so many images of the test part")
    parser.add_argument(
        "--trained-on",
        type=int,
        nargs=2,
        metavar=("TRAIN", "VAL"),
        help="how many images of these parts the trainings used (20000 2000 in int8_accuracy.py): the rest is tested on too",
    )
    parser.add_argument("--unseen-images", type=int, default=10_000, help="at most so many images of that rest")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "export-comparison")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "export-comparison.md")
    parser.add_argument("--csv", type=Path, default=ROOT / "benchmarks" / "results" / "export-comparison.csv")
    arguments = parser.parse_args()
    pythons = {converter.name: getattr(arguments, converter.name.replace("-", "_")) for converter in OTHERS}

    images, classes = images_to_test(arguments, arguments.checkpoints)
    rows = []
    for path in arguments.checkpoints:
        rows += rows_of(Subject(path, images, classes, arguments.folder), pythons)
        write_csv(arguments.csv, [{name: row.get(name) for name in COLUMNS} for row in rows])
        missing = [(converter.name, converter.install) for converter in OTHERS if pythons[converter.name] is None]
        page.write(arguments.output, rows, missing, images.origin, machine())
    print(f"wrote {arguments.output} and {arguments.csv}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
