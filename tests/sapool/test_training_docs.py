"""docs/training.md: its commands are commands, its recipes are the recipes, its file list is what is written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from sapool.cli.main import group
from sapool.training import recipe_files

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")
_BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
# What follows `sapool` or, started by torchrun, `-m sapool.cli`.
LINES = re.findall(r"^(?:sapool|torchrun .* sapool\.cli) +(.*)$", "".join(_BLOCKS).replace("\\\n", " "), re.MULTILINE)


def table(heading):
    rows = TEXT.split(f"| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    return dict(re.fullmatch(r"\| (.*?) \| (.*) \|", row).groups() for row in rows)


@pytest.mark.parametrize("line", LINES)
def test_every_option_exists(line):
    name, *arguments = shlex.split(line)
    command = group.get_command(click.Context(group), name)
    command.make_context(name, arguments)


def test_all_commands_were_found():
    assert len(LINES) == 6


def test_the_recipes_are_those_that_there_are():
    assert table("recipe") == {name: recipe_files.about(name) for name in table("recipe")}
    assert sorted(table("recipe")) == list(recipe_files.names())


def test_the_example_is_a_recipe(tmp_path):
    (text,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "mine.json"
    path.write_text(text)
    assert recipe_files.load(str(path)).epochs == json.loads(text)["epochs"]
