"""docs/check.md: its examples are accepted, its commands run, and what it lists is what there is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

from firmware_sim.budget import configuration_schema, formats, load
from sapool.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "check.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    # A bar in code would end a cell; none of the tables has one.
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")
    ]


def test_every_key_is_listed_as_the_schema_has_it():
    properties = configuration_schema()["definitions"]["budget"]["properties"]
    defaults = {
        key: f"`{json.dumps(entry['default'])}`" if "default" in entry else "" for key, entry in properties.items()
    }
    assert rows("Keys") == [[f"`{key}`", properties[key]["description"], defaults[key]] for key in properties]


def test_every_format_is_listed():
    assert [row[0].strip("`") for row in rows("Formats")] == list(formats())


def test_the_help_is_that_of_the_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["check", "--help"]) == 0
    assert TEXT.partition("\n## Help\n\n```\n")[2].removesuffix("```\n") == capsys.readouterr().out


def test_the_example_is_accepted_and_the_commands_run(tmp_path, monkeypatch, capsys):
    for name in ("GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("toml")
    (tmp_path / "sapool.toml").write_text(example, "utf-8")
    (loaded,) = load("sapool.toml").budgets
    assert loaded.name == "person-vww"
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "net.tflite").write_bytes(tflite(small_network()))
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 4
    for line in lines:
        # The network of this test has a layer that the example does not allow.
        assert main(shlex.split(line)[1:]) == (0 if "--schema" in line else 1), line
        capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} >= {
        "sapool-baseline.json",
        "check.sarif",
        "check.xml",
        "sapool.schema.json",
    }


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links_lead_somewhere(link):
    assert (ROOT / "docs" / link).is_file()
