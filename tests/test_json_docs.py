"""docs/json.md is made from the definitions of the records, and its examples fit them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cogapp import Cog
from record_check import BY_KIND, problems

from facecli.records.kinds import KINDS, fields, is_record, options

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "json.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails: cog -r docs/json.md."""
    assert Cog().main(["cog", "--check", str(PAGE)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_fit_their_definitions(example: str) -> None:
    assert problems(json.loads(example)) == []


def test_each_kind_has_one_definition_and_a_section() -> None:
    assert len(BY_KIND) == len(KINDS)
    assert [f"## `{kind}`" for kind in BY_KIND] == re.findall(r"^## `.*`$", TEXT, re.MULTILINE)


def test_every_record_says_what_it_is() -> None:
    for record in KINDS:
        assert record.__doc__
        assert record.__doc__.strip().splitlines()[0].endswith("."), record
        assert fields(record)[0].name == "kind"


def test_no_kind_is_written_without_a_definition() -> None:
    """A record made by hand somewhere else would be seen by no test of its command."""
    kinds: set[str] = set()
    for path in (ROOT / "facecli").rglob("*.py"):
        kinds |= set(re.findall(r'"kind": "(\w+)"', path.read_text(encoding="utf-8")))
    assert kinds == set(BY_KIND)


def test_a_wrong_record_is_seen() -> None:
    good = json.loads(EXAMPLES[0])
    assert problems(good | {"kind": "verdict"})
    assert problems(good | {"same": "yes"})
    assert problems(good | {"distance": 1.0})
    assert problems({name: value for name, value in good.items() if name != "sides"})
    assert problems(dict(reversed(good.items())))
    assert problems({name: value for name, value in good.items() if name != "schema"})


def test_unions_and_lists_of_records_are_told_apart() -> None:
    (sides,) = (one for one in fields(BY_KIND["verification"]) if one.name == "sides")
    assert not is_record(sides.type)
    (calibrated,) = (one for one in fields(BY_KIND["verification"]) if one.name == "calibrated")
    assert [is_record(one) for one in options(calibrated.type)] == [True, False]
