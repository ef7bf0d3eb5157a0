"""A check that fails names shrinking where it is enough; the figures are those of the shrunk file."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from support.tflite_files import doubling_convolution

from firmware_sim import memreport, read
from firmware_sim.budget import evaluate, state
from firmware_sim.budget.advice import advise
from firmware_sim.budget.formats import render
from firmware_sim.budget.schema import check_schema
from firmware_sim.rewrite import shrink as library
from firmware_sim.rewrite.shrink import shrink

TARGET = "cortex-m-reference"


def needed(content: bytes) -> int:
    arena = memreport(read(content), profile=TARGET).arena
    return max(arena.total_bytes, arena.minimum_bytes or 0)


def outcome(folder: Path, arena: int, **more: object):
    (folder / "m.tflite").write_bytes(doubling_convolution())
    return evaluate([state({"name": "b", "model": "m.tflite", "target": TARGET, "arena": arena, **more}, folder)])


def remedies(folder: Path, arena: int, **more: object):
    (verdict,) = outcome(folder, arena, **more).results
    return {remedy.kind: remedy for remedy in advise(verdict).remedies}


def test_shrinking_is_named_where_it_is_enough(tmp_path: Path):
    small = needed(shrink(doubling_convolution(), kernels="reference").content)
    assert small < needed(doubling_convolution())
    remedy = remedies(tmp_path, small)["shrink"]
    assert remedy.saves_bytes == needed(doubling_convolution()) - small
    assert f"sapool shrink --target {TARGET}: an arena of {small:,} bytes" in remedy.text
    assert "shrink" not in remedies(tmp_path, small - 1)
    assert "shrink" not in remedies(
        tmp_path, small, flash=len(doubling_convolution())
    )  # the plan needs some bytes of flash


@pytest.mark.parametrize("format", ["text", "json", "markdown"])
def test_formats(format: str, tmp_path: Path):
    found = outcome(tmp_path, needed(doubling_convolution()) - 16)
    text = render(found, format)
    if format == "json":
        jsonschema.Draft202012Validator(check_schema()).validate(json.loads(text))
        first, *rest = json.loads(text)["results"][0]["remedies"]
        assert (first["kind"], first["estimate"]) == ("shrink", False)
        assert all(other["estimate"] for other in rest)
    elif format == "text":
        assert "sapool shrink --target cortex-m-reference" in " ".join(text.split())


def test_nothing_is_shrunk_for_a_check_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(library, "shrink", lambda *_, **__: pytest.fail("shrunk"))
    assert outcome(tmp_path, needed(doubling_convolution())).exit_code == 0
    assert outcome(tmp_path, needed(doubling_convolution()), flash=10).exit_code == 1


def test_a_file_that_is_planned_already_fails_as_before(tmp_path: Path):
    (tmp_path / "m.tflite").write_bytes(shrink(doubling_convolution(), kernels="reference").content)
    budget = state({"name": "b", "model": "m.tflite", "target": TARGET, "arena": 5000}, tmp_path)
    (verdict,) = evaluate([budget]).results
    assert verdict.exceeded
    assert "shrink" not in {remedy.kind for remedy in advise(verdict).remedies}
