"""Targets of a user's own: what a file may hold, and what is said of one that is wrong."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import firmware_sim.targets as targets
from firmware_sim import profiles
from firmware_sim.errors import UsageError
from firmware_sim.targets import positions

PACKAGE = Path(targets.__file__).parent
SCHEMA = json.loads((PACKAGE / "target-1.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KIB = 1024
SMALL = {
    "id": "board",
    "core": "Cortex-M4",
    "profile": "cortex-m-cmsis-nn-dsp",
    "regions": [
        {"name": "ram", "kind": "sram", "base": "0x20000000", "size_bytes": "96 KiB"},
        {"name": "ccm", "kind": "tcm", "base": "0x10000000", "size_bytes": 65536},
        {"name": "flash", "kind": "flash", "size_bytes": "512 KiB"},
    ],
}


def write(tmp_path, content) -> Path:
    path = tmp_path / "board.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), "utf-8")
    return path


def changed(change) -> dict:
    content = copy.deepcopy(SMALL)
    change(content)
    return content


def test_the_schema_is_one_and_knows_every_profile_and_field():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    target = SCHEMA["$defs"]["target"]["properties"]
    assert tuple(target["profile"]["enum"]) == profiles.names()
    assert target.keys() == {field.name for field in dataclasses.fields(targets.Target)}
    region = SCHEMA["$defs"]["region"]["properties"]
    assert region.keys() == {field.name for field in dataclasses.fields(targets.Region)}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("data/*.json")), ids=lambda path: path.stem)
def test_our_files_meet_the_schema(path):
    VALIDATOR.validate(json.loads(path.read_text("utf-8")))
    assert targets.load(path) == (targets.get(path.stem),)


def test_little_is_enough(tmp_path):
    (target,) = targets.load(write(tmp_path, SMALL))
    VALIDATOR.validate(SMALL)
    assert (target.id, target.name, target.vendor, target.clock_hz, target.fpu) == ("board", "board", "", None, None)
    assert [(region.name, region.base, region.size_bytes) for region in target.regions] == [
        ("ram", 0x20000000, 96 * KIB), ("ccm", 0x10000000, 64 * KIB), ("flash", None, 512 * KIB),
    ]  # fmt: skip
    assert [region.usable_for_arena for region in target.regions] == [True, True, False]
    assert target.arena_block_bytes == 96 * KIB


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = tmp_path / "board.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(SMALL).encode())
    assert targets.load(path)[0].id == "board"


@pytest.mark.parametrize("target", targets.all(), ids=lambda target: target.id)
def test_what_is_written_is_read_again(target, tmp_path):
    record = targets.record(target)
    VALIDATOR.validate(record)
    assert targets.load(write(tmp_path, record)) == (target,)


def test_touching_regions_are_found_whatever_the_file_says(tmp_path):
    def touch(content):
        content["regions"][1]["base"] = 0x20000000 + 96 * KIB
        content["regions"][0]["contiguous_with"] = ["nothing"]

    (target,) = targets.load(write(tmp_path, changed(touch)))
    assert [region.contiguous_with for region in target.regions] == [("ccm",), ("ram",), ()]
    assert target.arena_block_bytes == 160 * KIB


def region(**fields):
    return lambda content: content["regions"][1].update(fields)


def without(key, of=lambda content: content):
    return lambda content: of(content).pop(key)


# What is wrong, the words that say so, the line of the indented file, and whether the schema finds it too.
WRONG = [
    (without("id"), "'id': is missing", 1, True),
    (without("core"), "'core': is missing", 1, True),
    (without("regions"), "'regions': has to be a list of regions", 1, True),
    (lambda c: c.update(id=" "), "'id': has to be text on one line", 2, True),
    (lambda c: c.update(id="a\nb"), "'id': has to be text on one line", 2, True),
    (lambda c: c.update(name="\ud800"), "'name': has to be text on one line", 24, False),
    (lambda c: c.update(profile="cortex-m-dsp"), "did you mean 'cortex-m-", 4, True),
    (lambda c: c.update(clock="80 MHz"), "did you mean 'clock_hz'?", 24, True),
    (lambda c: c.update(zzz=1), "known: id, name", 24, True),
    (lambda c: c.update(clock_hz=0), "'clock_hz': has to be a whole number above 0, not 0", 24, True),
    (lambda c: c.update(clock_hz=True), "not True", 24, True),
    (lambda c: c.update(clock_hz=1.5), "not 1.5", 24, True),
    (lambda c: c.update(dsp="yes"), "'dsp': has to be true or false, not 'yes'", 24, True),
    (lambda c: c.update(notes="a note"), "'notes': has to be a list of texts", 24, True),
    (lambda c: c.update(notes=[1]), "'notes': has to be a list of texts", 24, True),
    (lambda c: c.update(sources=[]), "'sources': has to be an object", 24, True),
    (lambda c: c.update(sources={"ram": "x"}), "'sources.ram': is no field that is known", 25, True),
    (lambda c: c.update(regions={}), "'regions': has to be a list of regions", 5, True),
    (lambda c: c.update(regions=[]), "'regions': has to be a list of regions", 5, True),
    (lambda c: c.update(regions=[7]), "'regions[0]': has to be an object", 6, True),
    (lambda c: c.update(regions=c["regions"][2:]), "no region is usable for the arena", 5, False),
    (without("size_bytes", lambda c: c["regions"][1]), "'regions[1].size_bytes': is missing", 12, True),
    (region(size="64 KiB"), "'regions[1].size': is no field that is known", 17, True),
    (region(size_bytes="much"), "'regions[1].size_bytes': 'much' is not a size", 16, False),
    (region(size_bytes=-1), "'regions[1].size_bytes': -1 is not a size", 16, True),
    (region(size_bytes=0), "'regions[1].size_bytes': has to be more than 0", 16, True),
    (region(size_bytes=2**33), "ends beyond the 32-bit address space", 16, True),
    (region(size_bytes=2**32 - 2**28 + 1), "ends beyond the 32-bit address space", 16, False),
    (region(base="here"), "'regions[1].base': 'here' is no address", 15, True),
    (region(base=2**32), "4294967296 is no address", 15, True),
    (region(base=-1), "-1 is no address", 15, True),
    (region(base="0x2000_0000"), "'0x2000_0000' is no address", 15, True),
    (region(base=True), "True is no address", 15, True),
    (region(base="0x20000010"), "'regions[1]': 'ccm' overlaps 'ram'", 12, False),
    (region(name="ram"), "'regions[1].name': a second region 'ram'", 13, False),
    (region(kind="dram"), "did you mean 'sram'?", 14, True),
    (region(kind="flash", usable_for_arena=True), "flash cannot hold the arena", 17, True),
    (region(usable_for_arena=None), "has to be true or false, not None", 17, True),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words", "line", "schema"), WRONG, ids=[words for _, words, _, _ in WRONG])
def test_what_is_wrong_is_said_with_its_line(change, words, line, schema, tmp_path):
    content = changed(change)
    path = write(tmp_path, content)
    with pytest.raises(UsageError) as error:
        targets.load(path)
    assert words in str(error.value)
    assert error.value.where == f"{path}:{line}"
    assert VALIDATOR.is_valid(content) != schema


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("", "not valid JSON: Expecting value", ":1"),
        ('{\n  "id": "a",\n}', "not valid JSON", ":3"),
        ("[]", "a target has to be an object", ":1"),
        ("null", "a target has to be an object", ":1"),
        ("[" * 100_000, "nested too deeply", ""),
        ('{"id": "a", "id": "b"}', "'id' is there twice", ""),
        ('{"clock_hz": NaN}', "NaN is no number of JSON", ""),
        ('{"clock_hz": ' + "9" * 5000 + "}", "", ""),
        ('{"targets": []}', "'schema' has to be 'sapool.targets/1'", ":1"),
        ('{"schema": "sapool.targets/1",\n"targets": []}', "'targets' has to be a list", ":2"),
        ('{"schema": "sapool.targets/1",\n"targets": [\n{"id": 1}]}', "'targets[0].id': has to be text", ":3"),
        ("x" * (1024**2 + 1), "larger than 1,048,576 bytes", ""),
    ],
)
def test_what_is_no_target_file(text, words, line, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as error:
        targets.load(path)
    assert words in str(error.value)
    assert error.value.where.startswith(f"{path}{line}")


def test_files_that_cannot_be_read(tmp_path):
    binary = tmp_path / "binary.json"
    binary.write_bytes(b'{"id": "\xff"}')
    for path, words in ((binary, "is not UTF-8 text"), (tmp_path, "cannot be read"), (tmp_path / "no", "No such file")):
        with pytest.raises(UsageError, match=words):
            targets.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        targets.load("a\0b")


def test_a_file_may_hold_several(tmp_path):
    both = {"schema": "sapool.targets/1", "targets": [SMALL, {**SMALL, "id": "other"}]}
    VALIDATOR.validate(both)
    assert [target.id for target in targets.load(write(tmp_path, both))] == ["board", "other"]
    both["targets"][1]["id"] = "board"
    with pytest.raises(UsageError, match="a second target 'board'"):
        targets.load(write(tmp_path, both))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**34) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(JSON, st.sampled_from([None, 0, 2]))
def test_every_value_has_a_line(value, indent):
    text = json.dumps(value, indent=indent)
    found = positions.lines(text)
    assert max(found.values()) <= text.count("\n") + 1

    def walk(part, path):
        assert path in found
        items = enumerate(part) if isinstance(part, list) else part.items() if isinstance(part, dict) else ()
        for key, inner in items:
            if indent is not None and not isinstance(inner, list | dict):
                line = text.split("\n")[found[(*path, key)] - 1]
                assert json.dumps(inner) in line
            walk(inner, (*path, key))

    walk(value, ())


def check_any(folder: Path, content: object) -> None:
    """Whatever is in a file, it is read or refused, and the schema knows all that is read."""
    path = folder / "board.json"
    path.write_text(json.dumps(content), "utf-8")
    refused = None
    try:
        found = targets.load(path)
    except UsageError as error:
        refused = error
    if refused is None:
        assert VALIDATOR.is_valid(content)
        assert targets.load(write(folder, targets.record(found[0]))) == found
    else:
        assert refused.where.startswith(str(path))


@given(st.sampled_from([*SMALL, "notes", "sources", "clock_hz", "fpu", "references"]), JSON)
def test_any_value_of_a_field_is_read_or_refused(tmp_path_factory, key, value):
    check_any(tmp_path_factory.mktemp("any"), {**SMALL, key: value})


@given(
    st.integers(0, 2),
    st.sampled_from(["name", "kind", "base", "size_bytes", "usable_for_arena", "source"]),
    JSON | st.text("0123456789abcxX_ +-", max_size=6),
)
def test_any_value_of_a_region_is_read_or_refused(tmp_path_factory, number, key, value):
    content = copy.deepcopy(SMALL)
    content["regions"][number][key] = value
    check_any(tmp_path_factory.mktemp("any"), content)
