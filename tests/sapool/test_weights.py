"""Weights of other libraries: what is loaded computes what it did there, and whatever does not fit is named."""

from __future__ import annotations

import os
import pickle

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from safetensors.torch import save_file  # noqa: E402
from support import state_dicts  # noqa: E402

from sapool import checkpoint, load_weights, models, parse  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.errors import FileError, UsageError  # noqa: E402
from sapool.weights.inputs import DEVIATION, MEAN  # noqa: E402

POOLED = {
    "mobilenet_v2": "mobilenet_v2-average-1222121:resolution=64,classes=1000",
    "resnet18": "resnet18-max-1222:resolution=64,classes=1000",
    "resnet50": "resnet50-average-1222:resolution=64,classes=1000",
}


@pytest.fixture(scope="module", params=sorted(state_dicts.BACKBONES))
def saved(request, tmp_path_factory):
    """(name of the key list, state dict, file)."""
    state = state_dicts.random(request.param)
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    save_file(state, path)
    return request.param, state, path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """torchvision's MobileNetV2, as a .pth."""
    state = state_dicts.random("torchvision-mobilenet_v2")
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pth"
    torch.save(state, path)
    return state, path


@pytest.mark.oracle
def test_a_stock_network_computes_what_the_library_does(saved):
    name, state, path = saved
    spec = parse(f"{state_dicts.BACKBONES[name]}:padding=symmetric,resolution=64,classes=1000")
    loaded = load_weights(spec, path, inputs="normalised")
    assert (loaded.new, loaded.dropped) == ((), ())
    assert len(loaded.loaded) == len(state)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = state_dicts.FORWARDS[name](state, x)
        torch.testing.assert_close(loaded.model.eval()(x), expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_pools_are_new_and_the_rest_is_loaded(saved):
    name, state, path = saved
    spec = parse(POOLED[state_dicts.BACKBONES[name]])
    assert load_weights(spec, path).new == ()  # these methods have no weights
    loaded = load_weights(spec.with_settings(pooling="self_attentive"), path, inputs="normalised")
    assert loaded.dropped == ()
    assert len(loaded.loaded) == len(state)
    assert loaded.new
    assert all(".pool." in part for part in loaded.new)
    ours = loaded.model.state_dict()
    total = sum(ours[part].double().sum() for part in loaded.loaded)
    torch.testing.assert_close(total, sum(tensor.double().sum() for tensor in state.values()))


def test_pixels_are_fed_in_place_of_what_the_library_takes(small):
    _, path = small
    spec = parse("mobilenet_v2:padding=symmetric,resolution=96,classes=1000")
    theirs = load_weights(spec, path, inputs="normalised").model.eval()
    ours = load_weights(spec, path).model.eval()
    pixels = torch.randint(0, 256, (2, 3, 96, 96), generator=torch.Generator().manual_seed(2)).float()
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    with torch.inference_mode():
        expected = theirs.stem((pixels / 255 - mean) / deviation)
        # The border differs: zeros mean the mean colour there and a grey of 128 here.
        torch.testing.assert_close(ours.stem(pixels / 128 - 1)[..., 1:, 1:], expected[..., 1:, 1:], rtol=0, atol=1e-4)


def test_a_replaced_block_is_dropped_and_its_module_is_new(small):
    state, path = small
    loaded = load_weights(parse("mobilenet_v2:resolution=64,classes=1000,replace=9+12:ulsam"), path)
    assert {".".join(name.split(".")[:4]) for name in loaded.new} == {"stages.3.blocks.2", "stages.4.blocks.1"}
    assert len(loaded.dropped) == 2 * 18
    assert len(loaded.loaded) == len(state) - 2 * 18


def test_a_resnet_that_shrinks_earlier_has_a_new_projection(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    save_file(state_dicts.random("resnet18"), path)
    loaded = load_weights(parse("resnet18-strided-2221:resolution=64,classes=1000"), path)
    assert {name.rsplit(".", 2)[0] for name in loaded.new} == {"stages.0.blocks.0.downsample"}
    assert loaded.dropped == ()


def test_the_classifier_of_other_classes_is_a_choice(small):
    _, path = small
    spec = parse("mobilenet_v2:classes=7")
    with pytest.raises(UsageError, match=r"1000 classes, the network 7(?s:.*)new-classifier"):
        load_weights(spec, path)
    loaded = load_weights(spec, path, classifier="new")
    assert loaded.new == ("classifier.weight", "classifier.bias")
    assert loaded.dropped == ("classifier.weight", "classifier.bias")
    with pytest.raises(UsageError, match="no choice for the classifier is called 'nw'"):
        load_weights(spec, path, classifier="nw")


def test_a_checkpoint_of_sapool_is_a_start_too(tmp_path):
    spec = parse("mobilenet_v2-max-1221121:width=0.1,classes=2")
    net = models.build(spec)
    path = checkpoint.save(tmp_path / "model.safetensors", net, spec, labels=("a", "b"))
    wanted = parse("mobilenet_v2-self_attentive-1221121:width=0.1,classes=2,placement=after")
    loaded = load_weights(wanted, path)
    assert all(".pool." in name for name in loaded.new)
    assert loaded.dropped == ()
    ours = loaded.model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in net.state_dict().items())
    with pytest.raises(FileError, match=r"stem\.0\.weight is float32 \[8, 3, 3, 3\], the network takes float32 \[16, "):
        load_weights(wanted.with_settings(width=0.5), path)


def change(state, name, value):
    return {**state, name: value}


WRONG = [
    (lambda state: {k: v for k, v in state.items() if k != "features.3.conv.1.0.weight"},
     r"missing: features\.3\.conv\.1\.0\.weight$"),
    (lambda state: {k: v for k, v in state.items() if not k.startswith("features.18.")},
     r"missing: features\.18\.0\.weight \(the first of 5\)"),
    (lambda state: change(state, "features.19.0.weight", torch.zeros(1)), r"unexpected in .*: features\.19\.0\.weight$"),
    (lambda state: change(state, "features.1.conv.1.bias", torch.zeros(16)), r"unexpected: features\.1\.conv\.1\.bias$"),
    (lambda state: change(state, "features.2.conv.2.weight", torch.zeros(24, 96)),
     r"features\.2\.conv\.2\.weight is float32 \[24, 96\], the network takes float32 \[24, 96, 1, 1\]"),
    (lambda state: change(state, "features.0.0.weight", torch.zeros(32, 3, 3, 3, dtype=torch.int8)),
     r"features\.0\.0\.weight is int8"),
    (lambda state: change(state, "features.4.conv.3.bias", torch.full((32,), torch.nan)),
     r"features\.4\.conv\.3\.bias holds values that are not finite"),
    (lambda state: change(state, "features.4.conv.3.bias", torch.full((32,), 1e300, dtype=torch.float64)),
     r"features\.4\.conv\.3\.bias holds values that are not finite"),
    (lambda state: change(state, "features.4.conv.3.bias", torch.zeros(32).to_sparse()), "is no plain tensor"),
    (lambda state: change(state, "features.4.conv.3.bias", torch.zeros(32, device="meta")), "is no plain tensor"),
    (lambda state: change(state, "features.4.conv.3.bias", torch.zeros(32, dtype=torch.complex64)), "is complex64"),
    (lambda state: change(state, "features.4.conv.3.bias", "text"), r"'features\.4\.conv\.3\.bias' is a str"),
    (lambda state: {}, "an empty state dict"),
    (lambda state: {"encoder.weight": torch.zeros(1)}, "names such as 'encoder.weight' belong to no network"),
    (lambda state: [1, 2], "not a state dict but a list"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "message"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_named_and_changes_nothing(small, tmp_path, spoil, message):
    path = tmp_path / "spoilt.pth"
    torch.save(spoil(small[0]), path)
    net = models.build(parse("mobilenet_v2:classes=1000"))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(FileError, match=message) as caught:
        load_weights(net, path)
    assert caught.value.where == str(path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_another_backbone_is_told(small):
    with pytest.raises(UsageError, match="holds mobilenet_v2 of torchvision, the network is a resnet18"):
        load_weights(parse("resnet18"), small[1])


def test_wrappers_and_old_files_are_understood(small, tmp_path):
    state, _ = small
    spec = parse("mobilenet_v2:classes=1000")
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    counted = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    for content in ({"state_dict": state, "epoch": 3}, {"model": parallel}, counted, halved):
        path = tmp_path / "wrapped.pth"
        torch.save(content, path)
        loaded = load_weights(spec, path)
        assert loaded.new == ()
        assert {tensor.dtype for tensor in loaded.model.parameters()} == {torch.float32}


class Bomb:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_with_code_is_refused_and_nothing_runs(tmp_path, zipped, capsys):
    path, trace = tmp_path / "bomb.pth", tmp_path / "ran"
    torch.save({"weight": Bomb(f"touch {trace}")}, path, _use_new_zipfile_serialization=zipped)
    arguments = [
        "train",
        "--data",
        "digits",
        "--model",
        "mobilenet_v2",
        "--weights",
        str(path),
        "-o",
        str(tmp_path / "run"),
    ]
    assert main(arguments) == 3
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: holds posix.system, which is no tensor")
    assert "Traceback" not in error
    assert not trace.exists()
    assert not (tmp_path / "run").exists()


def test_a_bare_pickle_is_refused_and_nothing_runs(tmp_path):
    path, trace = tmp_path / "bomb.pth", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Bomb(f"touch {trace}")))
    with pytest.raises(FileError, match=r"bomb\.pth"):
        load_weights(parse("mobilenet_v2"), path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_one_error(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = {"features.0.0.weight": torch.zeros(32, 3, 3, 3)}
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    content = path.read_bytes()
    for cut in (0, 1, 7, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(FileError, match="not a readable"):
            load_weights(parse("mobilenet_v2"), path)
    with pytest.raises(FileError, match="No such file"):
        load_weights(parse("mobilenet_v2"), tmp_path / f"none{suffix}")


def test_training_starts_from_weights(small, tmp_path, capsys):
    from support import pictures

    folder = pictures.write(tmp_path / "data")
    run = tmp_path / "run"
    quick = ["--epochs", "1", "--batch-size", "8", "--accelerator", "cpu", "--lr", "1e-9", "--resolution", "32"]
    arguments = ["train", "--data", str(folder), "--model", "mobilenet_v2-average-2221111", "-o", str(run), *quick]
    assert main([*arguments, "--weights", str(small[1])]) == 2
    assert "the file has 1000 classes, the network 3" in capsys.readouterr().err
    assert main([*arguments, "--weights", str(small[1]), "--new-classifier"]) == 0
    assert "weights of mobilenet_v2 of torchvision: 312 tensors" in capsys.readouterr().err
    trained = checkpoint.load(run / "model.safetensors")
    assert trained.header["start"] == {"file": "mobilenet_v2.pth", "classifier": "new"}
    weight = trained.model.state_dict()["stages.6.blocks.0.layers.2.weight"]
    torch.testing.assert_close(weight, small[0]["features.17.conv.2.weight"], rtol=0, atol=1e-5)
    assert main([*arguments, "--new-classifier"]) == 2
    assert "--new-classifier is about --weights" in capsys.readouterr().err
