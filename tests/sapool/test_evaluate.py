"""Evaluation: the statistics are those of scipy and scikit-learn, and each kind of file gives the same answers."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support import pictures
from torch import nn

import exporters.onnx
from sapool.data import Split
from sapool.data.preprocessing import to_device, to_input
from sapool.errors import FileError, ModelError, UsageError
from sapool.training import evaluate, load
from sapool.training.comparison import compare
from sapool.training.confusion_picture import confusion_png, layout
from sapool.training.drawing import BACKGROUND, BLUE
from sapool.training.evaluation import Evaluation, probabilities
from sapool.training.predictors.network import NetworkPredictor
from sapool.training.predictors.onnx import OnnxPredictor
from sapool.training.predictors.tflite import TflitePredictor
from sapool.training.report import render
from sapool.training.statistics import calibration_error, mcnemar, reliability, wilson_interval

RNG = np.random.default_rng(0)
SMALL = nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()


class Fixed:
    """Gives logits that were written down, in order."""

    name = "fixed"
    runtime = "none"
    resolution = 2
    channels = 3
    split_seed = None

    def __init__(self, logits, labels=None):
        self._logits = logits
        self._next = 0
        self.classes = logits.shape[1]
        self.labels = labels

    def __call__(self, images):
        start, self._next = self._next, self._next + len(images)
        return self._logits[start : self._next]


def blank(labels):
    return Split(np.zeros((len(labels), 2, 2, 3), np.uint8), np.asarray(labels, np.int64), "blank")


@pytest.mark.oracle
@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (1, 3), (519, 539), (7, 1000), (9712, 10000)])
def test_wilson_interval_is_scipys(successes, trials):
    from scipy.stats import binomtest

    expected = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_without_trials_nothing_is_known():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.oracle
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_confusion_and_accuracy_are_scikit_learns(batch_size):
    from sklearn import metrics

    labels, logits = RNG.integers(0, 4, 300), RNG.normal(size=(300, 4))
    result = evaluate(Fixed(logits), blank(labels), ("a", "b", "c", "d"), batch_size=batch_size)
    predicted = logits.argmax(1)
    assert np.array_equal(result.confusion, metrics.confusion_matrix(labels, predicted))
    assert result.accuracy == metrics.accuracy_score(labels, predicted)
    assert result.per_class == pytest.approx(metrics.recall_score(labels, predicted, average=None))
    assert (result.images, result.correct) == (300, int((labels == predicted).sum()))


def test_a_class_without_images_has_no_accuracy():
    result = evaluate(Fixed(np.eye(3)), blank([0, 1, 0]), ("a", "b", "c"))
    assert result.per_class == (0.5, 1.0, None)


def test_progress_ends_at_the_end():
    seen = []
    evaluate(Fixed(np.eye(3)), blank([0, 1, 2]), ("a", "b", "c"), batch_size=2, progress=lambda *now: seen.append(now))
    assert seen == [(2, 2 / 3), (3, 1.0)]


@pytest.mark.parametrize(
    ("predictor", "labels", "message"),
    [
        (Fixed(np.eye(3)), [], "no images"),
        (Fixed(np.eye(4)), [0], "tells 4 classes apart, the data has 3"),
        (Fixed(np.eye(3), ("a", "c", "b")), [0], "'c' where the data has 'b'"),
    ],
)
def test_data_that_the_network_was_not_made_for(predictor, labels, message):
    with pytest.raises(UsageError, match=message):
        evaluate(predictor, blank(labels), ("a", "b", "c"))


def test_images_of_another_size():
    with pytest.raises(UsageError, match=r"takes images \[2, 2, 3\], these are \[32, 32, 3\]"):
        evaluate(Fixed(np.eye(3)), pictures.split(1), pictures.CLASSES)


def test_logits_that_are_no_numbers():
    with pytest.raises(ModelError, match="not finite"):
        evaluate(Fixed(np.full((1, 3), np.nan)), blank([0]), ("a", "b", "c"))


EXAMPLE = Evaluation(
    name="net",
    classes=("cat", "dog"),
    labels=np.repeat([0, 1], 10),
    predicted=np.array([0] * 8 + [1] * 12),
    confidence=np.full(20, 0.8),
    origin="ten of each",
    runtime="by hand",
    seconds=1.5,
)


@pytest.mark.oracle
def test_the_calibration_error_is_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    labels, logits = RNG.integers(0, 4, 500), RNG.normal(size=(500, 4)) * 2
    result = evaluate(Fixed(logits), blank(labels), ("a", "b", "c", "d"))
    expected = multiclass_calibration_error(
        torch.softmax(torch.tensor(logits), 1), torch.tensor(labels), num_classes=4, n_bins=15, norm="l1"
    )
    assert result.calibration_error == pytest.approx(float(expected), abs=1e-6)
    assert sum(one.images for one in result.reliability) == 500


def test_a_classifier_that_is_as_sure_as_it_is_right_is_calibrated():
    confidence = np.repeat([0.5, 0.9], [10, 10])
    correct = np.array([True] * 5 + [False] * 5 + [True] * 9 + [False])
    assert calibration_error(reliability(confidence, correct)) == pytest.approx(0)
    assert calibration_error(reliability(confidence, ~correct)) == pytest.approx(0.4)
    assert calibration_error(reliability(confidence[:0], correct[:0])) == 0


@pytest.mark.oracle
def test_logits_become_scipys_softmax_and_probabilities_stay():
    from scipy.special import softmax

    logits = RNG.normal(size=(50, 6)) * 30
    shares = softmax(logits, axis=1)
    assert probabilities(logits) == pytest.approx(shares)
    int8 = np.rint(shares * 256).clip(0, 255) / 256
    assert np.array_equal(probabilities(int8), int8)


@pytest.mark.oracle
@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 3), (10, 25), (150, 190), (4000, 4200)])
def test_mcnemars_test_is_scipys_binomial_one(first, second):
    from scipy.stats import binomtest

    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemars_test_is_a_probability_and_takes_no_side(first, second):
    assert 0 < mcnemar(first, second) <= 1
    assert mcnemar(first, second) == mcnemar(second, first)
    assert mcnemar(first, first) == 1


def answers(name, right, labels):
    """An evaluation with exactly these images right."""
    predicted = np.where(right, labels, (labels + 1) % 3)
    return Evaluation(name, ("a", "b", "c"), labels, predicted, np.ones(len(labels)), "300 images", "by hand", 1.0)


def test_a_comparison_pairs_the_images():
    labels = RNG.integers(0, 3, 300)
    first, second = np.arange(300) < 200, np.arange(300) >= 120
    result = compare(answers("one", first, labels), answers("two", second, labels))
    assert (result.only_first, result.only_second) == (120, 100)
    assert result.difference == pytest.approx(-20 / 300)
    assert not result.significant
    report = json.loads(render(result, "json"))
    assert report["schema"] == "sapool.comparison/1"
    assert report["p_value"] == mcnemar(120, 100)
    assert report["second"]["model"] == "two"
    text = render(result)
    assert "-6.67 points; only A is right on 120 images, only B on 100" in text
    assert "not significant at 5%" in text


def test_a_clear_difference_is_significant():
    labels = RNG.integers(0, 3, 100)
    result = compare(answers("one", np.arange(100) < 60, labels), answers("two", np.arange(100) < 80, labels))
    assert result.significant
    assert "p = 1.9e-06: significant" in render(result)


def test_other_images_cannot_be_compared():
    with pytest.raises(UsageError, match="not evaluated on the same images"):
        compare(
            answers("one", np.ones(3, bool), np.array([0, 1, 2])), answers("two", np.ones(3, bool), np.array([0, 1, 1]))
        )


@pytest.mark.parametrize("classes", [2, 10, 40, 41, 200])
def test_the_picture_shades_a_cell_by_its_share(classes):
    labels = np.repeat(np.arange(classes), 4)
    predicted = labels.copy()
    # Half of the first class is taken for the second one.
    predicted[:2] = 1
    names = tuple(f"class {number}" for number in range(classes))
    ones = np.ones(len(labels))
    picture = confusion_png(Evaluation("net", names, labels, predicted, ones, "pictures", "by hand", 1.0))
    pixels = np.asarray(Image.open(io.BytesIO(picture)))
    place = layout(names)

    def corner(row, column):
        left, top, _, _ = place.box(row, column)
        return tuple(int(value) for value in pixels[top, left])

    assert corner(1, 1) == corner(classes - 1, classes - 1) == BLUE
    assert corner(1, 0) == BACKGROUND
    assert corner(0, 0) == corner(0, 1)
    assert BLUE < corner(0, 0) < BACKGROUND
    _, _, right, bottom = place.box(classes - 1, classes - 1)
    assert right < pixels.shape[1]
    assert bottom < pixels.shape[0]


def test_json_report():
    report = json.loads(render(EXAMPLE, "json"))
    assert report["schema"] == "sapool.evaluation/1"
    assert report["accuracy"] == 0.9
    assert report["confusion"] == [[8, 2], [0, 10]]
    assert report["classes"][0].items() >= {"name": "cat", "images": 10, "accuracy": 0.8}.items()
    # Newcombe (1998), as below, for 10 of 10.
    assert report["classes"][1]["accuracy_interval_95"] == pytest.approx([0.722, 1], abs=0.001)
    assert report["calibration_error"] == pytest.approx(0.1)
    assert report["data"] == "ten of each"
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), method 3, for 18 of 20.
    assert report["accuracy_interval_95"] == pytest.approx([0.699, 0.972], abs=0.001)


def test_text_report():
    text = render(EXAMPLE)
    assert "90.00%  (18 of 20; 95% interval 69.90% to 97.21%)" in text
    assert "data      ten of each" in text
    assert "80.00% on average; expected calibration error 10.00%" in text
    assert "cat        10    80.00%  dog (2)" in text


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A network that tells the pictures apart, as checkpoint and int8 TFLite; and a smaller one as ONNX."""
    from sapool import checkpoint, export
    from sapool.spec import parse
    from sapool.training import FitConfig, fit

    data = pictures.data_set()
    spec = parse("mobilenet_v2-self_attentive-2221111:width=0.1,classes=3")
    trained = fit(spec, data, FitConfig(epochs=4, batch_size=8, accelerator="cpu"))
    folder = tmp_path_factory.mktemp("files")
    path = checkpoint.save(
        folder / "net.safetensors", trained.model, spec, labels=data.classes, extra={"split_seed": 5}
    )
    loaded = checkpoint.load(path)
    (folder / "net.onnx").write_bytes(exporters.onnx.export(SMALL, to_input(data.train.images[:8])).content)
    (folder / "net.tflite").write_bytes(export.to_tflite(loaded, data.train.images).content)
    return folder


TEST = pictures.split(8, start=2000)


def test_torch_and_onnxruntime_give_the_same_logits(files):
    onnx = load(files / "net.onnx")
    assert isinstance(onnx, OnnxPredictor)
    expected = NetworkPredictor(SMALL, pictures.CLASSES, resolution=32)(TEST.images)
    assert np.abs(expected - onnx(TEST.images)).max() < 1e-4
    assert (onnx.resolution, onnx.channels, onnx.classes, onnx.labels) == (32, 3, 3, None)


def test_an_onnx_file_with_a_fixed_batch(files):
    content = exporters.onnx.export(SMALL, to_input(TEST.images[:1]), dynamic_batch=False).content
    assert np.allclose(OnnxPredictor(content)(TEST.images), load(files / "net.onnx")(TEST.images), atol=1e-4)


def test_a_checkpoint_says_what_it_was_trained_on(files):
    network = load(files / "net.safetensors")
    assert isinstance(network, NetworkPredictor)
    assert (network.resolution, network.channels, network.classes) == (32, 3, 3)
    assert (network.labels, network.split_seed) == (pictures.CLASSES, 5)


@pytest.mark.oracle
def test_litert_and_tflm_give_the_same_logits_near_those_of_torch(files):
    network = load(files / "net.safetensors")
    litert, tflm = load(files / "net.tflite"), load(files / "net.tflite", runtime="tflm")
    assert isinstance(litert, TflitePredictor)
    assert np.array_equal(litert(TEST.images), tflm(TEST.images))
    expected = network(TEST.images)
    assert np.corrcoef(litert(TEST.images).ravel(), expected.ravel())[0, 1] > 0.99
    assert (litert.resolution, litert.classes, litert.labels, litert.split_seed) == (32, 3, pictures.CLASSES, 5)
    assert [litert.runtime, tflm.runtime] == ["LiteRT reference kernels, int8", "TFLM, int8"]


@pytest.mark.oracle
def test_an_int8_input_of_scale_one_128th_is_fed_with_the_pixel_minus_128(files, monkeypatch):
    litert = load(files / "net.tflite")
    fed = []
    inner = litert._runner.invoke
    monkeypatch.setattr(litert._runner, "invoke", lambda array: fed.append(array) or inner(array))
    litert(TEST.images)
    assert np.array_equal(np.concatenate(fed), to_device(TEST.images))


@pytest.mark.parametrize("name", ["net.safetensors", "net.onnx", "net.tflite"])
def test_files_that_are_cut_off(files, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((files / name).read_bytes()[:500])
    with pytest.raises(FileError) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_one_of_another_kind(files, tmp_path):
    with pytest.raises(FileError, match="no such file"):
        load(tmp_path / "net.onnx")
    (tmp_path / "net.pt").write_bytes(b"")
    with pytest.raises(FileError, match="not a network of a known kind"):
        load(tmp_path / "net.pt")


def test_a_runtime_that_does_not_run_the_file(files):
    with pytest.raises(UsageError, match=r"tflm does not run \.onnx files"):
        load(files / "net.onnx", runtime="tflm")


def test_an_onnx_file_that_is_no_classifier(tmp_path):
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [value], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(ModelError, match=r"\[N, channels, H, H\] of a fixed size expected"):
        OnnxPredictor(model.SerializeToString())
