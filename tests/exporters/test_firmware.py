"""The folder of a firmware: its sources compile, its array is the file, its figures are those of the model."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from support.foreign_nets import NETS, TwoHeads
from support.nets import randomise

from exporters import firmware, tflite
from exporters.firmware.sources import _METHODS
from exporters.folders import write_folder
from exporters.operators import KINDS
from firmware_sim import memreport
from firmware_sim.errors import UsageError
from firmware_sim.model import read

STUBS = Path(__file__).parents[1] / "support" / "tflm"
WARNINGS = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fno-exceptions", "-fno-rtti", "-O1"]
LABELS = ("cat", 'quote " and \\', "Käse 7", "what??/")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    net = {net.__name__: net for net in NETS}["GhostNet"]
    return tflite.export(randomise(net()), (1, 3, 32, 32), [x])


@pytest.fixture(scope="module")
def files(model):
    interface = firmware.Interface("a net\nof two lines \\", LABELS, "pixel - 128")
    return firmware.sources(model.content, model.graph, firmware.budget(model.content), interface)


@pytest.fixture
def folder(files, tmp_path):
    return write_folder(tmp_path / "net", files)


def compiler(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_array_is_the_file_byte_for_byte(model, files):
    body = files["model_data.cc"].decode().partition("kData[kDataSize] = {")[2]
    assert bytes(int(value, 16) for value in re.findall(r"0x([0-9a-f]{2}),", body)) == model.content
    assert files["model.tflite"] == model.content
    assert "alignas(16)" in files["model_data.cc"].decode()


@pytest.mark.oracle
@pytest.mark.parametrize(
    "flags", [["-mcpu=cortex-m0plus"], ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]]
)
def test_the_sources_compile_for_a_cortex_m(folder, flags):
    gcc = compiler("arm-none-eabi-g++")
    for source in folder.glob("*.cc"):
        run(gcc, *WARNINGS, *flags, "-mthumb", "-I", STUBS, "-I", folder, "-c", source, "-o", folder / "x.o")
    assert run("arm-none-eabi-size", folder / "x.o")


@pytest.mark.oracle
def test_the_arena_and_the_data_have_the_size_and_alignment_that_is_promised(model, folder):
    gcc = compiler("arm-none-eabi-g++")
    arena = firmware.budget(model.content).total_bytes
    sizes = {}
    for name in ("main", "model_data"):
        flags = [*WARNINGS, "-mcpu=cortex-m4", "-mthumb", "-I", STUBS, "-I", folder]
        run(gcc, *flags, "-c", folder / f"{name}.cc", "-o", folder / "x.o")
        table = run("arm-none-eabi-nm", "-S", "-C", folder / "x.o")
        for place, size, symbol in re.findall(r"^(\w+) (\w+) \w .*::(\w+)$", table, re.MULTILINE):
            sizes[symbol] = (int(place, 16), int(size, 16))
    assert sizes["arena"][1] == arena
    assert sizes["kData"][1] == len(model.content)
    assert sizes["arena"][0] % 16 == sizes["kData"][0] % 16 == 0


@pytest.mark.oracle
def test_the_host_compiler_takes_them_and_the_constants_are_the_models(model, folder):
    gcc = compiler("g++")
    for source in folder.glob("*.cc"):
        run(gcc, *WARNINGS, "-fsyntax-only", "-I", STUBS, "-I", folder, source)
    probe = folder / "probe.cpp"
    probe.write_text(
        '#include <cstdio>\n#include "model_data.h"\n#include "model_settings.h"\nint main() {\n'
        "  std::fwrite(model::kData, 1, model::kDataSize, stdout);\n"
        '  std::fprintf(stderr, "%zu %.9g %d %d\\n", model::kArenaSize, model::kInputs[0].scale, '
        "model::kInputs[0].zero_point, model::kOutputs[0].shape[3]);\n"
        '  for (const char* label : model::kLabels) std::fprintf(stderr, "%s\\n", label);\n}\n'
    )
    run(gcc, *WARNINGS, "-I", folder, probe, folder / "model_data.cc", "-o", folder / "probe")
    done = subprocess.run([folder / "probe"], capture_output=True, check=True)
    assert done.stdout == model.content
    first, *labels = done.stderr.decode().splitlines()
    q = model.graph.tensors[model.graph.inputs[0]].quantization
    size, scale, zero_point, classes = first.split()
    assert int(size) == firmware.budget(model.content).total_bytes
    assert (np.float32(scale), int(zero_point), int(classes)) == (np.float32(q.scale[0]), q.zero_point[0], 10)
    assert tuple(labels) == LABELS


@pytest.mark.oracle
def test_cmake_takes_the_users_tflm(folder, tmp_path):
    cmake = compiler("cmake")
    compiler("g++")
    build = tmp_path / "build"
    run(cmake, "-S", folder, "-B", build, f"-DTFLM_DIR={STUBS}")
    run(cmake, "--build", build)
    without = subprocess.run(
        [cmake, "-S", folder, "-B", tmp_path / "other"], capture_output=True, text=True, check=False
    )
    assert without.returncode != 0
    assert "is not a checkout of tflite-micro" in without.stderr


def test_the_resolver_has_exactly_the_operators_of_the_model(model, files):
    text = files["model_resolver.h"].decode()
    operators = {op.op for op in model.graph.operators}
    assert set(re.findall(r"resolver\.(\w+)\(\)", text)) == {_METHODS[op] for op in operators}
    assert f"MicroMutableOpResolver<{len(operators)}>" in text
    assert set(_METHODS) >= set(KINDS)


def test_the_arena_is_what_the_greediest_cortex_m_needs_and_a_margin(model):
    arena = firmware.budget(model.content)
    assert set(arena.needed_bytes) == {
        "cortex-m-reference", "cortex-m-cmsis-nn", "cortex-m-cmsis-nn-dsp", "cortex-m-cmsis-nn-mve",
    }  # fmt: skip
    for profile, needed in arena.needed_bytes.items():
        assert needed == memreport(read(model.content), profile=profile).arena.minimum_bytes
    assert arena.margin_bytes == 16 * len(model.graph.operators)
    assert arena.total_bytes == max(arena.needed_bytes.values()) + arena.margin_bytes
    one = firmware.budget(model.content, ["cortex-m-reference"])
    assert list(one.needed_bytes) == ["cortex-m-reference"]


@pytest.mark.oracle
def test_tflm_starts_in_the_arena_that_is_needed():
    tflm = pytest.importorskip("firmware_sim.run.tflm")
    pytest.importorskip("tflite_micro")
    x = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    model = tflite.export(randomise(TwoHeads()), [(1, 3, 16, 16)] * 2, [(x, x)])
    needed = firmware.budget(model.content, ["host64"]).needed_bytes["host64"]
    assert tflm.Tflm(model.content, needed).arena.total_bytes <= needed
    with pytest.raises(UsageError, match="too small"):
        tflm.Tflm(model.content, needed - 16)


def test_a_folder_is_replaced_whole_or_not_at_all(files, tmp_path, monkeypatch):
    target = write_folder(tmp_path / "net", files)
    before = {path.name: path.read_bytes() for path in target.iterdir()}
    assert before == files
    write_folder(target, {**files, "main.cc": b"// other"})
    assert (target / "main.cc").read_bytes() == b"// other"

    def fail(source, destination):
        raise OSError("no space left")

    monkeypatch.setattr("exporters.folders.os.replace", fail)
    with pytest.raises(UsageError, match="cannot write"):
        write_folder(target, files)
    monkeypatch.undo()
    assert (target / "main.cc").read_bytes() == b"// other"
    (target / "mine.txt").write_text("notes")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        write_folder(target, files)
    with pytest.raises(UsageError, match="not a folder"):
        write_folder(target / "mine.txt", files)
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
