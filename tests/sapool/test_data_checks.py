"""Balance and duplicates of a data set."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from PIL import Image
from support import pictures

from sapool.cli.main import main
from sapool.data import Split
from sapool.data.checks import Duplicate, balance, balance_text, duplicates

DATA = pictures.data_set(train=5, other=3)


def test_balance_counts_each_class_of_each_part():
    uneven = replace(DATA, train=DATA.train.take(np.arange(7)))
    assert balance(uneven) == {
        "train": {"blue": 5, "green": 2, "red": 0},
        "val": {"blue": 3, "green": 3, "red": 3},
        "test": {"blue": 3, "green": 3, "red": 3},
    }
    assert balance_text(uneven) == "7 training, 9 validation, 9 test images; for training blue 5, green 2, red 0"


def test_many_classes_are_summed_up():
    labels = np.repeat(np.arange(20), np.arange(1, 21))
    many = Split(np.zeros((len(labels), 2, 2, 3), np.uint8), labels)
    text = balance_text(replace(DATA, classes=tuple(f"c{number}" for number in range(20)), train=many))
    assert "1 (c0) to 20 (c19) in each of 20 classes" in text


def test_without_duplicates_there_are_none():
    assert duplicates(DATA) == ()


def test_every_pair_of_parts_is_looked_at():
    train, val, test = DATA.train, DATA.val, DATA.test
    images = test.images.copy()
    images[0], images[8], images[4] = train.images[2], train.images[0], val.images[5]
    names = tuple(f"test/{number}" for number in range(9))
    found = duplicates(replace(DATA, test=Split(images, test.labels, "", names)))
    assert set(found) == {
        Duplicate(("train", "test"), ("image 2", "test/0"), True),
        Duplicate(("train", "test"), ("image 0", "test/8"), False),
        Duplicate(("val", "test"), ("image 5", "test/4"), True),
    }


def test_training_names_them(tmp_path, capsys):
    for part in ("train", "test"):
        pictures.write(tmp_path / "data" / part, 4)
    Image.fromarray(pictures.picture("red", 77)).save(tmp_path / "data" / "train" / "red" / "more.png")
    line = ["train", "--data", str(tmp_path / "data"), "--model", "mobilenet_v2-average-2221111", "--width", "0.1"]
    line += ["--epochs", "1", "--batch-size", "4", "--accelerator", "cpu", "-o", str(tmp_path / "run")]
    assert main(line) == 0
    err = capsys.readouterr().err
    assert "for training blue 3, green 3, red 4" in err
    # Of the twelve images of test, those that were split off train for validation are in val.
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())["data"]
    counts = {pair: entry["images"] for pair, entry in summary["duplicates"].items()}
    assert counts["train/test"] + counts["val/test"] == 12
    assert f"warning: {counts['train/test']} images of test are also in train" in err
    assert "  test/blue/000.png = " in err
    assert summary["train"]["classes"] == {"blue": 3, "green": 3, "red": 4}
