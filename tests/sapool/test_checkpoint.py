"""Checkpoints: what is saved comes back, and what is not a checkpoint says so."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402

from sapool import checkpoint, models  # noqa: E402
from sapool.errors import FileError, UsageError  # noqa: E402
from sapool.spec import parse  # noqa: E402

SPEC = parse("mobilenet_v2-self_attentive-1221121:width=0.1,classes=2")
LABELS = ("Hund", "Käse")


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    net = models.build(SPEC)
    path = checkpoint.save(tmp_path / "model.safetensors", net, SPEC, labels=LABELS, extra={"epochs": 3})
    return path, net.eval()


def test_what_is_saved_comes_back(saved):
    path, net = saved
    loaded = checkpoint.load(path)
    assert loaded.spec == SPEC
    assert loaded.labels == LABELS
    assert loaded.header["epochs"] == 3
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded.model(x), net(x), rtol=0, atol=0)


@pytest.mark.parametrize("cut", [0, 4, 100, 5000])
def test_a_truncated_file_is_one_error(saved, cut):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(FileError, match="not a readable"):
        checkpoint.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")


def test_foreign_and_newer_files_are_told_apart(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(FileError, match="not a checkpoint of sapool"):
        checkpoint.load(path)
    save_file({"x": torch.ones(1)}, path, {"format": "sapool.checkpoint/99", "sapool": "9.0"})
    with pytest.raises(FileError, match="newer sapool"):
        checkpoint.load(path)


def test_tensors_that_do_not_fit_are_named(tmp_path, saved):
    path, net = saved
    state = net.state_dict()
    state["stem.0.weight"] = torch.zeros(1)
    metadata = {"format": "sapool.checkpoint/1", "spec": str(SPEC), "labels": json.dumps(LABELS), "extra": "{}"}
    save_file(state, path, metadata)
    with pytest.raises(FileError, match=r"stem\.0\.weight"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("classifier.bias"),
            r"classifier\.bias, absent in the file, float32 \[2\] in the network",
        ),
        (lambda state: state.update(extra=torch.ones(3)), r"extra, float32 \[3\] in the file, absent in the network"),
        (
            lambda state: state.update({"classifier.bias": torch.ones(2).half()}),
            r"1 tensors do not fit .*classifier\.bias, float16 \[2\] in the file, float32 \[2\] in the network",
        ),
    ],
    ids=["missing", "unexpected", "type"],
)
def test_a_tensor_out_of_place_is_told(tmp_path, saved, change, message):
    state = dict(saved[1].state_dict())
    change(state)
    metadata = {"format": "sapool.checkpoint/1", "spec": str(SPEC), "labels": json.dumps(LABELS)}
    save_file(state, tmp_path / "m.safetensors", metadata)
    with pytest.raises(FileError, match=message):
        checkpoint.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("width=8,heads=16", "tensors do not fit"),
        ("width=8,resolution=4096", "network cannot be built"),
    ],  # both gigabytes
)
def test_a_header_that_asks_for_a_giant_costs_no_memory(tmp_path, settings, message):
    path = tmp_path / "m.safetensors"
    labels = json.dumps(["x"] * 100_000)
    spec = f"mobilenet_v2-self_attentive-1221121:{settings},classes=100000"
    save_file({"x": torch.ones(1)}, path, {"format": "sapool.checkpoint/1", "spec": spec, "labels": labels})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=message):
        checkpoint.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # kilobytes


def test_a_header_with_a_damaged_specification_is_one_error(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({"x": torch.ones(1)}, path, {"format": "sapool.checkpoint/1", "spec": "resnet-max", "labels": "[]"})
    with pytest.raises(FileError, match="header is damaged"):
        checkpoint.load(path)


def test_what_is_loaded_can_be_trained_on(saved):
    net = checkpoint.load(saved[0]).model.train()
    net(torch.randn(4, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_labels_must_match_the_classes(tmp_path):
    with pytest.raises(UsageError, match="1 labels for 2 classes"):
        checkpoint.save(tmp_path / "m.safetensors", models.build(SPEC), SPEC, labels=["a"])
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    path, net = saved
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        checkpoint.save(path, net, SPEC, labels=LABELS)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_loading_does_not_wait_for_torchs_compiler(saved):
    load = "import sys; from sapool import checkpoint; checkpoint.load(sys.argv[1])"
    program = f"{load}; print('torch._dynamo' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program, str(saved[0])], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
