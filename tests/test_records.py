"""Every JSON record has one definition, and commands, service and documentation keep to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import json_page
import pytest
from definitions import fields, kind_of, parts_of
from fakes import FakeEncoder
from record_check import fits, problems

from facecli.records import as_line
from facecli.records.albums import review
from facecli.records.enrollment import EnrollmentRecord
from facecli.records.fields import Choices
from facecli.records.gate import FaceInView, GateEventRecord
from facecli.records.health import error
from facecli.records.kinds import DEFINITIONS
from facecli.records.models import model_imported
from facecli.records.reading import is_record
from facecli.records.recognition import IdentificationRecord

PACKAGE = Path(__file__).resolve().parents[1] / "facecli"


def test_the_page_is_up_to_date() -> None:
    """If this fails: python tests/json_page.py."""
    assert json_page.PAGE.read_text(encoding="utf-8") == json_page.page()


def test_every_kind_is_on_the_page() -> None:
    page = json_page.PAGE.read_text(encoding="utf-8")
    assert [kind for kind in map(kind_of, DEFINITIONS) if f"\n## `{kind}`\n" not in page] == []


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = json_page.PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
    assert len(anchors) == len(headings)
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


@pytest.mark.parametrize("example", json_page.examples(), ids=lambda one: str(one["kind"]))
def test_examples_are_as_defined(example: dict[str, Any]) -> None:
    assert problems(example) == []


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda one: str(one.__name__))
def test_a_definition_says_everything(definition: type) -> None:
    """What each field means, and which commands write the record: an example shows it."""
    for one in (definition, *parts_of(definition)):
        assert one.__doc__
        assert [field.name for field in fields(one) if not field.meaning] in ([], ["kind"])
    assert sum(fits(example, definition) for example in json_page.examples()) == 1


def test_records_are_made_in_their_room_only() -> None:
    outside = [
        path
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "records" and '"kind": ' in path.read_text(encoding="utf-8")
    ]
    assert outside == []


def test_choices_are_those_of_the_program() -> None:
    from facecli.gate.types import LOOKING
    from facecli.recognition.decisions import Status
    from facecli.recognition.screening import Outcome

    decided = {"match", "unknown", "ambiguous"}
    assert choices(EnrollmentRecord, "outcome") == set(Outcome)
    assert choices(IdentificationRecord, "status") == set(Status)
    assert choices(GateEventRecord, "status") == decided
    assert choices(FaceInView, "state") == decided | {LOOKING}


def choices(definition: type, name: str) -> set[str]:
    (field,) = (one for one in fields(definition) if one.name == name)
    assert isinstance(field.choices, Choices)
    return set(field.choices.texts)


def test_definitions_are_light() -> None:
    script = "import sys, facecli.records.kinds, facecli.records.reading\nprint(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    heavy = {"numpy", "torch", "pydantic", "fastapi", "PIL", "click", "sqlite_utils"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


GOOD = next(one for one in json_page.examples() if one["kind"] == "verification")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"squared_l2": 4.1}, "verification.squared_l2: 4.1 is not within"),
        ({"squared_l2": "0.4"}, "verification.squared_l2: '0.4' is no float"),
        ({"same": 1}, "verification.same: 1 is no bool"),
        ({"model": None}, "verification.model: None is no str"),
        ({"more": 1}, "verification: fields"),
        ({"kind": "nothing"}, "no definition of kind 'nothing'"),
        ({"schema": 2}, "verification: does not begin with the schema"),
        ({"sides": [{}]}, "verification.sides[]: fields [], not ['source'"),
        ({"sides": {}}, "verification.sides: {} is no list"),
        ({"sides": [GOOD["sides"][0] | {"kind": "car"}]}, "verification.sides[].kind: 'car' is"),
        ({"sides": [GOOD["sides"][0] | {"box": [1.0]}]}, "verification.sides[].box: 1 values"),
        ({"strangers": {"share": 2.0}}, "verification.strangers: fields"),
    ],
)
def test_the_check_sees_what_is_wrong(change: dict[str, Any], found: str) -> None:
    """The same check holds every record of every command that the tests run."""
    (problem,) = problems(GOOD | change)
    assert problem.startswith(found)


def test_the_check_sees_a_field_in_another_place_and_one_that_is_missing() -> None:
    """The order of the fields is part of the definition."""
    turned = {"schema": 1} | dict(reversed(list(GOOD.items())[1:]))
    assert len(problems(turned)) == 1
    assert len(problems({name: one for name, one in GOOD.items() if name != "same"})) == 1
    assert problems({name: one for name, one in GOOD.items() if name != "verifier"}) == []


def test_records_of_commands_that_the_tests_run_elsewhere() -> None:
    """A program of its own serves the review, and importing needs dlib's file."""
    for record in (review("http://127.0.0.1:1/x/"), model_imported(Path("m"), FakeEncoder().card)):
        assert problems(json.loads(as_line(record))) == []


def test_parts_are_records_too() -> None:
    assert all(is_record(part) for one in DEFINITIONS for part in parts_of(one))
    assert json.loads(as_line(error("no"))) == {"schema": 1, "kind": "error", "reason": "no"}
