"""`facecli people` on a gallery file: listing, renaming, merging, forgetting."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeEncoder, embedding, new_template

from facecli.cli import cli
from facecli.stores.gallery.sqlite.store import SqliteGallery

AWKWARD = 'Zoë <b>O\'Neil</b> "李"'


@pytest.fixture
def database(tmp_path: Path, encoder: FakeEncoder) -> Path:
    """Return a gallery of Ada with two templates, Bob with one and a person of an awkward name."""
    path = tmp_path / "gallery.db"
    with SqliteGallery(path) as gallery:
        templates = [
            new_template("Ada", embedding(0, 0), "a1"),
            new_template("Ada", embedding(0, 3), "a2"),
            new_template("Bob", embedding(1, 0), "b1"),
            new_template(AWKWARD, embedding(2, 0), "z1"),
        ]
        gallery.add(templates, encoder.card)
    return path


def people(database: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["--db", str(database), "people", *arguments], input=answer)


def records(outcome: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def names(database: Path) -> list[str]:
    return [record["name"] for record in records(people(database, "list", "--json"))]


def test_list_names_everyone_with_their_templates(database: Path) -> None:
    outcome = people(database, "list")
    assert outcome.exit_code == 0
    lines = outcome.stdout.splitlines()
    assert lines[0].split()[0] == "name"
    assert lines[1].split()[:2] == ["Ada", "2"]
    assert AWKWARD in lines[3]


def test_list_with_json_is_a_line_a_person(database: Path) -> None:
    listed = records(people(database, "list", "--json"))
    assert [(one["kind"], one["name"], one["templates"]) for one in listed] == [
        ("person", "Ada", 2),
        ("person", "Bob", 1),
        ("person", AWKWARD, 1),
    ]
    assert all(one["schema"] == 1 for one in listed)


def test_an_empty_gallery_says_so(tmp_path: Path) -> None:
    SqliteGallery(tmp_path / "empty.db").close()
    outcome = people(tmp_path / "empty.db", "list")
    assert outcome.exit_code == 0
    assert "Nobody is enrolled" in outcome.stdout
    assert people(tmp_path / "empty.db", "list", "--json").stdout == ""


def test_a_gallery_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    outcome = people(tmp_path / "mistyped.db", "list")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("facecli: ")
    assert list(tmp_path.iterdir()) == []


def test_show_lists_templates_and_never_vectors(database: Path) -> None:
    outcome = people(database, "show", "Ada")
    assert outcome.exit_code == 0
    assert len(outcome.stdout.splitlines()) == 2 + 2
    [record] = records(people(database, "show", "Ada", "--json"))
    assert len(record["templates"]) == 2
    assert "embedding" not in json.dumps(record)


@pytest.mark.parametrize("command", [["show", "Adda"], ["rename", "Adda", "X"], ["forget", "Adda"]])
def test_an_unknown_person_is_an_error_that_names_them(command: list[str], database: Path) -> None:
    outcome = people(database, *command)
    assert outcome.exit_code == 2
    assert "Adda" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_rename_keeps_templates(database: Path) -> None:
    outcome = people(database, "rename", AWKWARD, "Zoë")
    assert outcome.exit_code == 0
    assert outcome.stdout == f"{AWKWARD} is now Zoë\n"
    assert names(database) == ["Ada", "Bob", "Zoë"]


def test_rename_to_someone_elses_name_is_refused(database: Path) -> None:
    outcome = people(database, "rename", "Ada", "Bob")
    assert outcome.exit_code == 2
    assert names(database) == ["Ada", "Bob", AWKWARD]


def test_merge_moves_the_templates(database: Path) -> None:
    [record] = records(people(database, "merge", "Ada", "Bob", "--json"))
    assert record == {"schema": 1, "kind": "merged", "from": "Ada", "into": "Bob", "templates": 3}
    assert names(database) == ["Bob", AWKWARD]


def test_set_id_sets_replaces_and_removes_an_external_id(database: Path) -> None:
    first = people(database, "set-id", "ada", "E77")
    assert (first.exit_code, first.stdout) == (0, "Ada has the external id E77\n")
    (record,) = records(people(database, "set-id", "Ada", "E78", "--json"))
    assert record == {
        "schema": 1,
        "kind": "external_id",
        "id": record["id"],
        "name": "Ada",
        "before": "E77",
        "external_id": "E78",
    }
    assert "E78" in people(database, "show", "Ada").stdout
    taken = people(database, "set-id", "Bob", "E78")
    assert taken.exit_code == 2
    assert "external id 'E78' of 'Bob' belongs to 'Ada'" in taken.stderr
    gone = people(database, "set-id", "Ada", "--remove")
    assert gone.stdout == "Ada has no external id, not E78 any more\n"
    assert people(database, "set-id", "Bob", "E78").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["Ada"], ["Ada", "E1", "--remove"], ["Nobody", "E1"], ["Ada", ""], ["Ada", "\x07"]],
)
def test_set_id_refuses_what_it_cannot_set(database: Path, arguments: list[str]) -> None:
    outcome = people(database, "set-id", *arguments)
    assert outcome.exit_code == 2
    assert "bug" not in outcome.stderr


def test_list_writes_csv_without_formulas(database: Path) -> None:
    people(database, "rename", "Bob", "=HYPERLINK(1)")
    people(database, "set-id", "Ada", "+49")
    outcome = people(database, "list", "--csv")
    rows = list(csv.DictReader(io.StringIO(outcome.stdout)))
    assert {row["name"]: row["external_id"] for row in rows} == {
        "'=HYPERLINK(1)": "",
        "Ada": "'+49",
        AWKWARD: "",
    }
    assert [row["templates"] for row in rows if row["name"] == "Ada"] == ["2"]
    assert people(database, "list", "--csv", "--json").exit_code == 2


def test_forget_asks_and_a_no_changes_nothing(database: Path) -> None:
    outcome = people(database, "forget", "Ada", answer="n\n")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert "Forget Ada with 2 templates for good?" in outcome.stderr
    assert "Ada" in names(database)


def test_forget_without_a_terminal_changes_nothing(database: Path) -> None:
    assert people(database, "forget", "Ada", answer="").exit_code == 2
    assert "Ada" in names(database)


def test_forget_erases_and_gives_a_receipt(database: Path) -> None:
    outcome = people(database, "forget", "Ada", "Bob", "Ada", "--yes", "--json")
    assert outcome.exit_code == 0
    [receipt] = records(outcome)
    assert receipt["kind"] == "forgotten"
    assert receipt["people"] == ["Ada", "Bob"]
    assert receipt["templates"] == 3
    assert receipt["scrubbed"] is True
    assert names(database) == [AWKWARD]


def test_forget_takes_all_or_none(database: Path) -> None:
    assert people(database, "forget", "Ada", "Nobody", "--yes").exit_code == 2
    assert "Ada" in names(database)


def test_a_name_that_steers_the_terminal_is_shown_escaped(database: Path) -> None:
    """Names come from files too: the gallery refuses the worst, the output escapes the rest."""
    outcome = people(database, "show", "\x1b[2J")
    assert outcome.exit_code == 2
    assert "\x1b" not in outcome.output


def test_the_receipt_names_what_else_may_still_hold_the_person(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photo library's names, the decision log, and files that were written."""
    from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

    from facecli.cli.settings import Settings
    from facecli.stores.decisions import DecisionLog

    log = tmp_path / "decisions.db"
    monkeypatch.setenv("FACECLI_LOG", str(log))
    with DecisionLog(log) as opened:
        time = "2026-01-01T00:00:00.000+00:00"
        opened.append([{"time": time, "person": "Ada"}, {"time": time, "person": "Bob"}])
    for number in range(2):
        paint(tmp_path / "photos" / f"{number}.png", PaintedFace(5, number))
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    for words in (["cluster", str(tmp_path / "photos")], ["cluster", "name", "1", "Ada"]):
        assert CliRunner().invoke(cli, words, obj=settings).exit_code == 0
    said = people(database, "forget", "Ada", "--yes").stderr
    assert "cluster 1 is Ada" in said
    assert f"still named in the decision log {log}: 1 decision;" in said
    assert "not touched: report pages" in said
    other = people(database, "forget", "Bob", "--yes").stderr
    assert "cluster" not in other
