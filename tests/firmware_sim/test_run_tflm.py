"""Real TFLM through its wheel, against figures that TFLM printed elsewhere."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware_sim.errors import ModelError, UsageError
from firmware_sim.run import capture
from firmware_sim.run.litert import LiteRt
from firmware_sim.run.tflm import ArenaUse, Tflm, parse_allocations, refused

MODELS = Path(__file__).parents[3] / "shared" / "tflite"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="no folder ../shared/tflite with measured models")


@pytest.fixture(scope="module", autouse=True)
def _wheels():
    pytest.importorskip("tflite_micro")
    pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def sine() -> bytes:
    """The model that the TFLM wheel carries for its own installation check: y = sin(x) in float."""
    import tflite_micro

    folder = Path(tflite_micro.__file__).parent / "python" / "tflite_micro"
    return (folder / "sine_float.tflite").read_bytes()


@pytest.mark.oracle
def test_the_model_in_the_wheel_computes_a_sine(sine):
    model = Tflm(sine)
    (output,) = model.invoke(np.array([[1.0]], np.float32))
    assert output.shape == (1, 1)
    assert abs(output[0, 0] - np.sin(1.0)) < 0.05
    assert model.arena.total_bytes == model.arena.head_bytes + model.arena.tail_bytes


def test_outputs_are_copies(sine):
    model = Tflm(sine)
    (first,) = model.invoke(np.array([[0.0]], np.float32))
    before = first.copy()
    model.invoke(np.array([[1.5]], np.float32))
    assert np.array_equal(first, before)


@needs_models
@pytest.mark.oracle
def test_the_arena_used_is_the_arena_that_suffices():
    # Holds for models whose plan is larger than what planning needs; small ones need more than they keep.
    content = (MODELS / "mlperf-tiny" / "vww_96_int8.tflite").read_bytes()
    used = Tflm(content).arena
    assert Tflm(content, used.total_bytes).arena == used
    with pytest.raises(UsageError, match="too small") as error:
        Tflm(content, used.total_bytes - 16)
    assert error.value.exit_code == 2


def test_a_small_arena_is_a_usage_error_and_not_a_crash(sine):
    with pytest.raises(UsageError, match="1024 bytes is too small"):
        Tflm(sine, 1024)


@pytest.mark.parametrize("arena_bytes", [0, 16, 448, 1023])
def test_arenas_on_which_tflm_would_crash_are_refused_before(sine, arena_bytes):
    with pytest.raises(UsageError, match="too small for any model"):
        Tflm(sine, arena_bytes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((), "1 inputs, 0 arrays"),
        ((np.zeros((1, 1), np.float64),), "takes float32"),
        ((np.zeros((1,), np.float32),), r"shape \[1, 1\]"),
    ],
)
@pytest.mark.parametrize("runtime", [Tflm, LiteRt])
def test_arrays_that_do_not_fit_are_named(sine, runtime, arrays, message):
    with pytest.raises(UsageError, match=message):
        runtime(sine).invoke(*arrays)


def test_both_runtimes_describe_the_model_alike(sine):
    tflm, litert = Tflm(sine), LiteRt(sine)
    assert (tflm.inputs, tflm.outputs) == (litert.inputs, litert.outputs)


def test_a_damaged_model_is_a_model_error(sine):
    with pytest.raises(ModelError):
        Tflm(sine[:200], name="half.tflite")
    with pytest.raises(ModelError, match=r"half\.tflite"):
        LiteRt(sine[:200], name="half.tflite")
    assert refused(sine[:200])


def test_refused_accepts_a_good_model(sine):
    assert refused(sine) is None


def test_a_runtime_that_is_not_installed_names_the_extra(sine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(UsageError, match=r"sapool\[tflm\]"):
        Tflm(sine)
    with pytest.raises(UsageError, match=r"sapool\[tflm\]"):
        refused(sine)
    with pytest.raises(UsageError, match=r"sapool\[export\]"):
        LiteRt(sine)


@needs_models
@pytest.mark.oracle
def test_every_measured_model_uses_the_arena_that_was_measured():
    different = []
    for entry in json.loads((MODELS / "truth.json").read_text()):
        content = (MODELS / entry["file"]).read_bytes()
        if not entry["runs"]:
            with pytest.raises(ModelError) as error:
                Tflm(content)
            assert entry["error"] in str(error.value)
            continue
        host = entry["host64"]
        if Tflm(content).arena != ArenaUse(host["total"], host["head"], host["tail"]):
            different.append(entry["file"])
    assert not different


@needs_models
@pytest.mark.oracle
@pytest.mark.parametrize("file", ["mlperf-tiny/vww_96_int8.tflite", "mltk/keyword_spotting_mobilenetv2.tflite"])
def test_tflm_and_litert_give_the_same_bytes(file):
    content = (MODELS / file).read_bytes()
    tflm, litert = Tflm(content), LiteRt(content)
    random = np.random.default_rng(7)
    for _ in range(5):
        image = random.integers(-128, 128, tflm.inputs[0].shape).astype(np.int8)
        assert [a.tobytes() for a in tflm.invoke(image)] == [a.tobytes() for a in litert.invoke(image)]


@needs_models
def test_refused_repeats_the_words_of_tflm():
    words = refused((MODELS / "mlperf-tiny" / "kws_ref_model_float32.tflite").read_bytes())
    assert words is not None
    assert "Hybrid models are not supported" in words


def test_the_print_of_the_recording_allocator_is_read():
    text = (
        "[RecordingMicroAllocator] Arena allocation total 1536 bytes\n"
        "[RecordingMicroAllocator] Arena allocation head 128 bytes\n"
        "[RecordingMicroAllocator] Arena allocation tail 1408 bytes\n"
    )
    assert parse_allocations(text) == ArenaUse(1536, 128, 1408)
    with pytest.raises(ModelError, match="no arena allocations"):
        parse_allocations("")


def test_descriptors_are_caught_and_given_back(capfd):
    print("before")
    with capture.descriptors() as caught:
        os.write(1, b"from C on 1\n")
        os.write(2, b"from C on 2\n")
    print("after")
    assert caught.text == "from C on 1\nfrom C on 2\n"
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_descriptors_come_back_after_an_exception(capfd):
    def fail() -> None:
        with capture.descriptors():
            os.write(2, b"lost\n")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        fail()
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_words_are_one_line_and_not_endless():
    assert capture.words("a\n\n b \n", ValueError("c")) == "a; b; c"
    assert len(capture.words("x" * 10_000, ValueError(""))) < 600
