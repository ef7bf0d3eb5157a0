"""Budgets as a configuration states them: every key, every mistake with its place, and the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim import profiles
from firmware_sim.budget import Budget, Increase, Place, configuration_schema, find, load, state
from firmware_sim.budget.lines import budget_lines
from firmware_sim.errors import UsageError
from firmware_sim.targets import get, record


def write(folder: Path, text: str, name: str = "sapool.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_is_read(tmp_path):
    path = write(
        tmp_path,
        """
        baseline = "ci/base.json"
        [[budget]]
        name = "person"
        model = "build/*.tflite"
        target = "stm32f407vg"
        arena = "96 KiB"
        flash = "320kB"
        regions = { sram1 = "64 KiB" }
        max-increase = "2 KiB"
        warn-at = 0.9
        informational = true
        allow-ops = ["CONV_2D", "ADD", "ADD"]
        runs = true
        exact = true
        [[budget]]
        model = "b.tflite"
        profile = "cortex-m-reference"
        arena = 1000
        max-increase = { flash = "2.5 %" }
        """,
    )
    configuration = load(path)
    assert configuration.baseline == tmp_path / "ci" / "base.json"
    assert configuration.budgets == (
        Budget(
            "person", "build/*.tflite", tmp_path, "stm32f407vg", 98304, 320000, 0.9, True,
            {"sram1": 65536}, Increase(2048), Increase(2048), ("CONV_2D", "ADD"), True, True, Place(path, 3),
        ),
        Budget(
            "budget 2", "b.tflite", tmp_path, "cortex-m-reference", 1000,
            flash_increase=Increase(percent=2.5), place=Place(path, 16),
        ),
    )  # fmt: skip


def test_pyproject_has_them_in_its_own_table(tmp_path):
    text = '[project]\nname = "x"\n[[tool.sapool.budget]]\nmodel = "a.tflite"\narena = 1\n'
    path = write(tmp_path, text, "pyproject.toml")
    configuration = load(path)
    assert [(budget.model, budget.place) for budget in configuration.budgets] == [("a.tflite", Place(path, 3))]
    assert configuration.baseline == tmp_path / "sapool-baseline.json"
    assert find(tmp_path) == path
    own = write(tmp_path, "")
    assert find(tmp_path) == own


@pytest.mark.parametrize("text", [None, "[project]\nname = 'x'\n"])
def test_a_folder_without_configuration_is_told_what_to_write(tmp_path, text):
    if text:
        write(tmp_path, text, "pyproject.toml")
    with pytest.raises(UsageError, match=r"no sapool\.toml") as error:
        find(tmp_path)
    assert "[[budget]]" in str(error.value)


ONE = '[[budget]]\nmodel = "a.tflite"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no budget is stated"]),
        ("budget = 3", ["list of tables"]),
        ("[budget]\nmodel = 'a'", ["list of tables"]),
        ("[[budgte]]\nmodel = 'a'", ["unknown key 'budgte'", "did you mean 'budget'?"]),
        ("baseline = 3\n" + ONE + "arena = 1", ["'baseline' has to be the path"]),
        (ONE + "arean = 1", ["sapool.toml:3: budget 'budget 1'", "unknown key 'arean'", "did you mean 'arena'?"]),
        (ONE + "warn_at = 0.5", [":3:", "did you mean 'warn-at'?"]),
        (ONE + "max_growth = 1", [":3:", "unknown key"]),
        (ONE + "zzz = 1", ["known keys: name, model"]),
        (ONE, [":1:", "nothing is limited"]),
        (ONE + 'profile = "host64"', [":1:", "nothing is limited"]),
        (ONE + "runs = false\nwarn-at = 0.5", [":1:", "nothing is limited"]),
        (ONE + "regions = {}", [":1:", "nothing is limited"]),
        ('[[budget]]\nname = "n"\narena = 1', [":1: budget 'n'", "'model' is missing"]),
        ("[[budget]]\nmodel = 3\narena = 1", [":2:", "'model' has to be text"]),
        (ONE + 'name = ""\narena = 1', [":3:", "'name' has to be text"]),
        (ONE + 'arena = "96 XiB"', [":3:", "'arena'", "'96 XiB' is not a size"]),
        (ONE + "flash = -1", [":3:", "'flash'", "is not a size"]),
        (ONE + "flash = 1.5", [":3:", "'flash'", "is not a size"]),
        (ONE + "arena = 1\nwarn-at = 90", [":4:", "share between 0 and 1"]),
        (ONE + "arena = 1\nwarn-at = true", [":4:", "share between 0 and 1"]),
        (ONE + "arena = 1\nwarn-at = nan", [":4:", "share between 0 and 1"]),
        (ONE + "arena = 1\ninformational = 1", [":4:", "true or false"]),
        (ONE + "runs = 1", [":3:", "'runs' has to be true or false"]),
        (ONE + 'max-increase = "2 %%"', [":3:", "is not a size", 'or "5 %"']),
        (ONE + 'max-increase = "-5 %"', [":3:", "is not a size", 'or "5 %"']),
        (ONE + 'max-increase = "0.5"', [":3:", "'max-increase'", "no whole number of bytes"]),
        (ONE + "max-increase = {}", [":3:", "'max-increase' is empty"]),
        (ONE + "max-increase = { ram = 1 }", [":3:", "knows no 'ram'"]),
        (ONE + "[budget.max-increase]\nflash = true", [":3:", "'max-increase.flash'"]),
        (ONE + "allow-ops = []", [":3:", "list of names"]),
        (ONE + 'allow-ops = "CONV_2D"', [":3:", "list of names"]),
        (ONE + "allow-ops = [1]", [":3:", "list of names"]),
        (ONE + 'regions = { sram1 = "1 KiB" }', [":3:", "needs a board"]),
        (ONE + 'target = "stm32f407vg"\nregions = { sram3 = 1 }', [":4:", "no region 'sram3'", "did you mean"]),
        (ONE + 'target = "stm32f407vg"\nregions = { zzz = 1 }', [":4:", "its regions: sram1, sram2, ccm, flash"]),
        (ONE + 'target = "stm32f407vg"\nregions = { sram1 = "x" }', [":4:", "'regions.sram1'"]),
        (ONE + 'target = "stm32f407vg"\nregions = 1', [":4:", "table of sizes"]),
        (ONE + 'arena = 1\ntarget = "stm32f747"', [":4:", "unknown target 'stm32f747'", "stm32f746"]),
        (ONE + 'arena = 1\nprofile = "stm32f746"', [":4:", "unknown profile"]),
        (ONE + 'arena = 1\nprofile = "host64"\ntarget = "host64"', [":4:", "exclude each other"]),
        (ONE + "arena = 1\nname = 'x'\n" + ONE + "arena = 1\nname = 'x'\n", [":8:", "second budget of that name"]),
        (ONE + "arena = = 1", ["sapool.toml:3", "not valid TOML"]),
        (ONE + "arena = 1\narena = 2", ["sapool.toml:4", "not valid TOML"]),
        ("a = '''\n\n", ["sapool.toml:3", "not valid TOML"]),
        ('[[budget]]\nname = "a\nmodel = "b"', ["sapool.toml:2", "not valid TOML"]),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, words):
    with pytest.raises(UsageError) as error:
        load(write(tmp_path, text))
    message = str(error.value)
    assert message.startswith(str(tmp_path))
    for word in words:
        assert word in message


def test_nesting_without_end_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="nested too deeply"):
        load(write(tmp_path, "a = " + "[" * 100_000))


def test_files_that_are_no_text_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "sapool.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load(tmp_path / "sapool.toml")


LINES = '''# [[budget]]
note = """
[[budget]]
model = 1
"""
[[ budget ]]  # the first
model = "a # b"
'arena' = 1
allow-ops = [
  "flash = 3",
]
  [budget.regions]
  sram1 = 1
[other]
flash = 4
[["budget"]]
name = \'\'\'x
arena = 2
\'\'\'
flash.x = 5
'''


def test_lines_of_budgets_are_found_whatever_stands_between():
    assert budget_lines(LINES, "budget") == (
        {"": 6, "model": 7, "arena": 8, "allow-ops": 9, "regions": 12},
        {"": 16, "name": 17, "flash": 20},
    )


def test_budgets_written_inline_have_no_line_of_their_own(tmp_path):
    path = write(tmp_path, 'budget = [{model = "a", arena = 1}, {model = "b", arena = 2, zzz = 3}]')
    with pytest.raises(UsageError) as error:
        load(path)
    assert error.value.where == f"{path}: budget 'budget 2'"


def test_a_budget_without_a_file():
    budget = state({"name": "n", "model": "a.tflite", "arena": "1 KiB"}, Path("folder"))
    assert budget == Budget("n", "a.tflite", Path("folder"), arena_bytes=1024)
    with pytest.raises(UsageError, match="did you mean 'arena'"):
        state({"model": "a", "arean": 1}, Path())


SCHEMA = configuration_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def test_the_schema_is_one_and_its_examples_and_names_hold(tmp_path):
    (tmp_path / "board.json").write_text(json.dumps(record(get("stm32f407vg"))), "utf-8")
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    properties = SCHEMA["definitions"]["budget"]["properties"]
    assert properties["profile"]["enum"] == list(profiles.names())
    for name, entry in properties.items():
        assert entry["description"].endswith("."), name
        for value in (*entry.get("examples", ()), *([entry["default"]] if "default" in entry else [])):
            table: dict[str, Any] = {"model": "a.tflite", "arena": 1, "target": "stm32f407vg", name: value}
            VALIDATOR.validate({"budget": [table]})
            state(table, tmp_path)
    for name, entry in properties.items():
        if "default" in entry:
            attribute = name.replace("-", "_")
            assert getattr(state({"model": "a", "arena": 1}, Path()), attribute) == entry["default"]


SIZE = st.one_of(
    st.integers(-5, 10**7), st.booleans(), st.floats(0.1, 0.9),
    st.from_regex(r"[0-9]{1,3}([_,][0-9]{3})?(\.5)? ?([KkMm]i?[Bb]|bytes?|[Bb]|%|X)?", fullmatch=True),
)  # fmt: skip
VALUES = {
    "name": st.one_of(st.text(max_size=3), st.integers()),
    "model": st.one_of(st.sampled_from(["a.tflite", "*.tflite", "", " "]), st.integers()),
    "arena": SIZE,
    "flash": SIZE,
    "regions": st.one_of(SIZE, st.dictionaries(st.sampled_from(["sram1", "flash"]), SIZE, max_size=2)),
    "max-increase": st.one_of(SIZE, st.dictionaries(st.sampled_from(["arena", "flash", "ram"]), SIZE, max_size=2)),
    "warn-at": st.one_of(st.floats(-1, 2), st.booleans(), st.integers(-1, 2), st.text(max_size=2)),
    "reserve-ram": SIZE,
    "informational": st.one_of(st.booleans(), st.integers(0, 1)),
    "runs": st.one_of(st.booleans(), st.integers(0, 1)),
    "exact": st.one_of(st.booleans(), st.text(max_size=1)),
    "allow-ops": st.one_of(st.lists(st.one_of(st.text(max_size=2), st.integers()), max_size=2), st.text(max_size=1)),
    "unknown": st.integers(),
}


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_the_schema_and_the_reader_agree(table):
    """What an editor underlines is what the command refuses, apart from sizes such as "0.5 bytes"."""
    table = {"model": "a.tflite", "target": "stm32f407vg", **table}
    try:
        state(table, Path())
        refused = ""
    except UsageError as error:
        refused = error.message
    if "no whole number of bytes" in refused:
        return
    assert VALIDATOR.is_valid({"budget": [table]}) == (not refused), refused
