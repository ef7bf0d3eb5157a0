"""`sapool export`: a checkpoint becomes a file for a device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sapool.cli.export_options import Compare, calibration_options, compare_options
from sapool.cli.export_parity import parity, parity_line
from sapool.cli.export_shrink import Wanted, bands_lines, shrink_lines, shrink_options, shrinking
from sapool.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from exporters.quantize import Calibration
    from exporters.tflite import TfliteModel
    from sapool.checkpoint import Checkpoint

# What each target writes: a file with this suffix, or a folder.
_SUFFIX = {"tflite-int8": ".tflite", "tflm-c": "-tflm", "onnx": ".onnx", "onnx-int8": "-int8.onnx"}
_MOST_WARNINGS = 3


@click.command(name="export")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(list(_SUFFIX)), required=True, help="What to write.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path),
    help="The file to write, for tflm-c the folder; by default the checkpoint's name with a new suffix, in the current "
    "folder.",
)  # fmt: skip
@click.option(
    "--data", metavar="SOURCE",
    help="Calibrate on the training part of this data set (digits, a folder or an archive) instead of the images that "
    "training put beside the checkpoint.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(1), default=256, show_default=True, help="Calibration images.")
@click.option(
    "--verify", type=click.IntRange(0), default=100, show_default=True, metavar="N",
    help="Run N of them in TFLM and in LiteRT's reference kernels and compare every byte; 0 does not.",
)  # fmt: skip
@click.option(
    "--for", "destination", metavar="BOARD|PROFILE",
    help="The arena that is reported, and kept small where a layer has several integer forms, is the one there. By default "
    "host64, the build that runs on this machine; tflm-c then has an arena that is large enough on every Cortex-M.",
)  # fmt: skip
@click.option(
    "--dynamic-batch/--fixed-batch", "dynamic_batch", default=True, show_default=True,
    help="Whether an ONNX file takes any number of images at a time, or one; some tools want the number fixed.",
)  # fmt: skip
@shrink_options
@calibration_options
@compare_options
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    checkpoint: Path, target: str, output: Path | None, data: str | None, samples: int, verify: int, destination: str | None,
    dynamic_batch: bool, shrink: bool | None, bands: bool, max_extra_macs: float | None, form: str | None,
    calibration_method: str, bias_correction: bool, equalise: bool, compare: bool, compare_images: int,
    compare_outputs: tuple[Path, ...], format_: str,
) -> None:  # fmt: skip
    """Export CHECKPOINT (a .safetensors file of `sapool train`).

    \b
    sapool export run/model.safetensors --target tflite-int8
    sapool export run/model.safetensors --target tflm-c --for stm32f746
    sapool export run/model.safetensors --target tflite-int8 --bands --for stm32f746
    sapool export run/model.safetensors --target onnx -o build/net.onnx
    sapool export run/model.safetensors --target onnx-int8 --fixed-batch
    sapool export run/model.safetensors --target tflite-int8 --compare --compare-output errors.html

    tflite-int8 is integer only, int8 in and int8 out, and runs in stock TensorFlow Lite Micro. The network's input is the
    pixel minus 128: the firmware needs no preprocessing. tflm-c is a folder with the same model as C++ sources: the aligned
    array, a resolver with the operators that it uses, the size of the arena, a minimal main and a CMake file. onnx is the
    network in real numbers, onnx-int8 the integers of tflite-int8 between QuantizeLinear and DequantizeLinear, for tools
    that take ONNX. Both have opset 18. --shrink lets the .tflite need less arena for the same outputs, by a memory plan for
    the kernels of --for, or for all that are known; see sapool shrink. --bands computes early layers a few rows at a time
    besides, for a few more multiplications; the firmware registers SLICE and CONCATENATION then. With --form views or loop
    what is written is right in TFLM alone, and with the plan in it alone: there it is compared with the model without bands,
    which LiteRT runs as well. --compare shows layer by layer where int8 departs from float. What exists is replaced only
    when everything has worked.
    """
    output = output or Path(f"{checkpoint.stem}{_SUFFIX[target]}")
    if output.is_dir() and target != "tflm-c":
        raise UsageError("is a folder", where=output, hint="give a file name with --output")
    from firmware_sim.targets.resolving import resolve
    from sapool.checkpoint import load
    from sapool.cli.options import emit

    compared = Compare(compare_images, compare_outputs) if compare or compare_outputs else None
    if compared is not None and target == "onnx":
        raise UsageError("there are no integers to compare in an ONNX file of real numbers", hint="--target onnx-int8")
    wanted = Wanted(target, shrink, bands, max_extra_macs, form)
    profile = resolve(destination)[0].id if destination else None
    loaded = load(checkpoint)
    images = _calibration(checkpoint, data, loaded, samples)
    comparison = None
    if target == "onnx":
        written = _onnx(loaded, images, output, verify, dynamic_batch)
    else:
        from exporters.quantize import Calibration

        chosen = Calibration(calibration_method, bias_correction, equalise)
        model = _calibrated(loaded, images, profile, chosen)
        if compared is not None:
            comparison = compared.run(model, images)
        if target == "onnx-int8":
            written = _onnx_int8(model, images, output, verify, dynamic_batch)
        else:
            small = shrinking(loaded, model, wanted, profile, str(output))
            unbanded = model.content if small.is_for_tflm_alone else small.model.content
            verified = parity(unbanded, images[:verify], small.model.content)
            written = _tflite(loaded, small.model, images, output, verified, profile, folder=target == "tflm-c")
            written |= {"shrink": small.as_dict(), "bands": small.bands_dict()}
        written["calibration"] = asdict(model.calibration)
    summary = {"path": str(output), "target": target, "spec": str(loaded.spec), **written}
    if compared is not None and comparison is not None:
        compared.write(comparison, str(output))
        summary["compare"] = compared.as_dict(comparison, str(output))
    emit(json.dumps(summary, indent=2) if format_ == "json" else _text(summary), None)
    if compared is not None and comparison is not None and format_ == "text":
        emit(f"\n{compared.text(comparison, str(output))}", None)


def _calibration(checkpoint: Path, data: str | None, loaded: Checkpoint, samples: int) -> NDArray[np.uint8]:
    from sapool import calibration

    if data is not None:
        from sapool.data import open as open_data

        dataset = open_data(data, resolution=loaded.spec.resolution, channels=loaded.spec.channels)
        return calibration.choose(dataset.train.images, count=samples)
    path = calibration.beside(checkpoint)
    if not path.exists():
        raise UsageError(
            "no calibration images", where=path, hint="give the data set that the network was trained on with --data"
        )
    return calibration.choose(calibration.load(path), count=samples)


def _tflite(
    loaded: Checkpoint, model: TfliteModel, images: NDArray[np.uint8], output: Path, verified: dict[str, Any],
    profile: str | None, *, folder: bool,
) -> dict[str, Any]:  # fmt: skip
    """Write the model, as a file or as the folder of a firmware."""
    from exporters.folders import write_folder
    from firmware_sim import memreport
    from firmware_sim.files import write_atomic
    from firmware_sim.model import read
    from firmware_sim.profiles import DEFAULT
    from sapool.export import to_firmware

    account = memreport(read(model.content, name=str(output)), profile=profile or DEFAULT)
    arena = account.arena
    summary: dict[str, Any] = {
        "bytes": len(model.content),
        "operators": account.model.operators,
        "calibration_images": len(images),
        "lowering_error": model.lowering_error,
        "arena": {
            "profile": profile or DEFAULT,
            "total_bytes": arena.total_bytes,
            "head_bytes": arena.head_bytes,
            "tail_bytes": arena.tail_bytes,
            "exact": arena.exact,
        },
        "warnings": list(model.warnings),
        "forms": [asdict(choice) for choice in model.choices],
        "parity": verified,
    }
    if not folder:
        write_atomic(output, model.content)
        return summary
    files, budget = to_firmware(loaded, model, profile=profile)
    write_folder(output, files)
    needed = {"needed_bytes": dict(budget.needed_bytes), "margin_bytes": budget.margin_bytes}
    return {**summary, "files": sorted(files), "firmware_arena": {**needed, "total_bytes": budget.total_bytes}}


def _calibrated(
    loaded: Checkpoint, images: NDArray[np.uint8], profile: str | None, settings: Calibration
) -> TfliteModel:
    """The int8 model; warnings are shown."""
    from firmware_sim.profiles import DEFAULT
    from sapool.export import to_tflite
    from sapool.training.progress import share_bar

    with share_bar("calibrating") as show:
        model = to_tflite(
            loaded, images, profile=profile or DEFAULT, settings=settings,
            progress=lambda done: show(done, done / len(images)),
        )  # fmt: skip
    for line in _few(model.warnings):
        click.echo(f"warning: {line}", err=True)
    return model


def _few(warnings: Sequence[str]) -> list[str]:
    """The first of many; all are in the JSON report."""
    more = len(warnings) - _MOST_WARNINGS
    return [*warnings[:_MOST_WARNINGS], *([f"{more} more of this kind (--format json lists all)"] if more > 0 else [])]


def _onnx_int8(
    model: TfliteModel, images: NDArray[np.uint8], output: Path, verify: int, dynamic_batch: bool
) -> dict[str, Any]:
    from exporters.onnx import OPSET
    from firmware_sim.files import write_atomic
    from sapool.export import to_onnx_int8

    content, agreement = to_onnx_int8(model, images[: max(2, verify)], dynamic_batch=dynamic_batch)
    write_atomic(output, content)
    return {
        "bytes": len(content),
        "opset": OPSET,
        "dynamic_batch": dynamic_batch,
        "operators": len(model.graph.operators),
        "warnings": list(model.warnings),
        "agreement": asdict(agreement),
    }


def _onnx(
    loaded: Checkpoint, images: NDArray[np.uint8], output: Path, verify: int, dynamic_batch: bool
) -> dict[str, Any]:
    from firmware_sim.files import write_atomic
    from sapool.export import to_onnx

    click.echo("exporting with torch, simplifying, comparing in onnxruntime", err=True)
    model = to_onnx(loaded, images[: max(2, verify)], dynamic_batch=dynamic_batch)
    write_atomic(output, model.content)
    return {
        "bytes": len(model.content),
        "opset": model.opset,
        "dynamic_batch": dynamic_batch,
        "nodes": model.nodes,
        "compared_images": min(len(images), max(2, verify)),
        "max_abs_error": model.max_abs_error,
    }


def _text(summary: dict[str, Any]) -> str:
    lines = [f"{summary['path']}  {summary['bytes']:,} bytes", f"  network   {summary['spec']}"]
    if "opset" in summary:
        batch = "any batch size" if summary["dynamic_batch"] else "one image at a time"
    if summary["target"] == "onnx-int8":
        found = summary["agreement"]
        lines += [
            f"  graph     {summary['operators']} operators with the integers of the .tflite, opset {summary['opset']}, "
            f"{batch}",
            f"  compared  onnxruntime and the int8 TFLite: {found['equal']:.1%} of the outputs equal, "
            f"{found['rms_steps']:.2f} steps apart (rms), the same class on {found['same_class']:.1%} of "
            f"{found['examples']} images",
            _calibration_line(summary["calibration"]),
        ]
        return "\n".join(lines)
    if summary["target"] == "onnx":
        lines += [
            f"  graph     {summary['nodes']} nodes, opset {summary['opset']}, {batch}",
            f"  compared  onnxruntime and torch differ by at most {summary['max_abs_error']:.1e} "
            f"on {summary['compared_images']} images",
        ]
        return "\n".join(lines)
    arena = summary["arena"]
    lines += [
        f"  graph     {summary['operators']} operators, integers only; int8 input = pixel - 128",
        _calibration_line(summary["calibration"]),
        f"  lowering  {summary['lowering_error']:.1e} of the output's deviation away from torch, before quantisation",
        *(_form(choice) for choice in summary["forms"]),
        f"  arena     {arena['total_bytes']:,} bytes in TFLM, {arena['profile']} (head {arena['head_bytes']:,}, tail "
        f"{arena['tail_bytes']:,}; {'exact' if arena['exact'] else 'not exact'}); for a board: sapool memreport "
        f"{summary['path']} --target BOARD",
        *shrink_lines(summary["shrink"]),
        *bands_lines(summary["bands"]),
        parity_line(summary["parity"]),
    ]
    if "files" in summary:
        firmware = summary["firmware_arena"]
        lines += [
            f"  firmware  an arena of {firmware['total_bytes']:,} bytes: {max(firmware['needed_bytes'].values()):,} to "
            f"start, and a margin of {firmware['margin_bytes']:,} for other versions of TFLM",
            f"  files     {', '.join(summary['files'])}",
        ]
    return "\n".join(lines)


def _calibration_line(done: dict[str, Any]) -> str:
    """How the integers came about."""
    steps = [f"{done['method']} over {done['examples']:,} images"]
    if done["bias_correction"]:
        steps.append("biases corrected")
    if done["equalisation"]:
        stopped = f", {done['relu6_pairs']} left alone because of ReLU6" if done["relu6_pairs"] else ""
        steps.append(f"{done['equalised_pairs']} pairs of layers equalised{stopped}")
    return f"  ranges    {'; '.join(steps)}"


def _form(choice: dict[str, Any]) -> str:
    """Which form a layer has, and what the others would have cost."""
    prices = choice["arena_bytes"]
    others = ", ".join(f"{form} {prices[form]:,}" for form in prices if form != choice["form"])
    return (
        f"  form      {choice['layer']}: {choice['form']}, for an arena of {prices[choice['form']]:,} bytes ({others})"
    )
