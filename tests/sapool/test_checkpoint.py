"""Checkpoints: what is saved comes back, and what is not a checkpoint says so."""

from __future__ import annotations

import json

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
