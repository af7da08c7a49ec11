"""enroll, verify, identify and cluster as commands: output, JSON and exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, fake_card, paint, squared_l2_of

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.gallery.sqlite.store import SqliteGallery

pytestmark = pytest.mark.base

ADA, BOB, CLEO = PaintedFace(0), PaintedFace(1), PaintedFace(2)
HOSTILE = 'Zoë <b>O\'Neil</b>; "--"'

Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "db" / "gallery.db"


@pytest.fixture
def run(database: Path) -> Run:
    """Run a command with the fake networks on a gallery in a file."""

    def invoke(*arguments: object, stdin: bytes | None = None, encoder: str = "fake-128") -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(fake_card(encoder)))
        texts = [*map(str, arguments), "--db", str(database)]
        return CliRunner().invoke(cli, texts, obj=settings, input=stdin)

    return invoke


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of Ada, Bob, both, a stranger, a landscape and a file that is no picture."""
    folder = tmp_path / "photos"
    paint(folder / "ada.png", PaintedFace(0, 3))
    paint(folder / "bob.png", PaintedFace(1, 5))
    paint(folder / "both.png", PaintedFace(0, 6), PaintedFace(1, 6, left=220, side=100))
    paint(folder / "landscape.png")
    paint(folder / "stranger.png", PaintedFace(7))
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


@pytest.fixture
def enrolled(run: Run, tmp_path: Path) -> None:
    """Enroll Ada and Bob from one photo each."""
    for name, face in (("Ada", ADA), ("Bob", BOB)):
        paint(tmp_path / "people" / f"{name}.png", face)
    assert run("enroll", "--from", tmp_path / "people").exit_code == 0


def records(result: Result) -> list[dict[str, Any]]:
    """Return the JSON lines of stdout, all of which must be of the present schema."""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(line["schema"] == 1 for line in lines)
    return lines


def people(database: Path) -> dict[str, int]:
    with SqliteGallery(database) as gallery:
        return {person.name: person.templates for person in gallery.people()}


def external_ids(database: Path) -> dict[str, str | None]:
    with SqliteGallery(database) as gallery:
        return {person.name: person.external_id for person in gallery.people()}


# enroll


def test_enroll_from_one_photo(run: Run, tmp_path: Path, database: Path) -> None:
    result = run("enroll", HOSTILE, paint(tmp_path / "z.png", ADA))
    assert result.exit_code == 0
    assert HOSTILE in result.stdout
    assert "1 of 1 photo enrolled, 1 person" in result.stdout
    assert people(database) == {HOSTILE: 1}


def test_enroll_says_what_became_of_each_photo_in_json(run: Run, tmp_path: Path) -> None:
    ada, nobody = paint(tmp_path / "a.png", ADA), paint(tmp_path / "n.png")
    *photos, summary = records(run("enroll", "Ada", ada, nobody, "--external-id", "7", "--json"))
    assert [(one["path"], one["outcome"], one["refused"]) for one in photos] == [
        (str(ada), "accepted", False),
        (str(nobody), "no face", True),
    ]
    assert photos[0]["external_id"] == "7"
    assert photos[0]["box"] == pytest.approx([40, 40, 160, 160], abs=2)
    assert (summary["kind"], summary["accepted"], summary["refused"]) == (
        "enrollment_summary",
        1,
        1,
    )


def test_a_dry_run_tells_the_same_and_leaves_no_gallery_behind(
    run: Run, tmp_path: Path, database: Path
) -> None:
    arguments = ["enroll", "Ada", paint(tmp_path / "a.png", ADA), "--json"]
    dry = records(run(*arguments, "--dry-run"))
    assert not database.exists()
    wet = records(run(*arguments))
    assert [one["dry_run"] for one in dry] == [True, True]
    assert [one | {"dry_run": False} for one in dry] == wet


def test_a_dry_run_compares_with_those_enrolled_and_stores_nothing(
    run: Run, enrolled: None, tmp_path: Path, database: Path
) -> None:
    look_alike = paint(tmp_path / "e.png", PaintedFace(0, 5))
    result = run("enroll", "Eve", look_alike, "--dry-run", "--json")
    photo, _ = records(result)
    assert result.exit_code == 2
    assert photo["look_alike"] == {
        "person": "Ada",
        "squared_l2": pytest.approx(squared_l2_of(5), abs=1e-6),
        "path": None,
    }
    assert run("enroll", "Cleo", paint(tmp_path / "c.png", CLEO), "--dry-run").exit_code == 0
    assert people(database) == {"Ada": 1, "Bob": 1}


def test_a_dry_run_still_refuses_what_is_no_gallery(
    run: Run, tmp_path: Path, database: Path
) -> None:
    database.parent.mkdir()
    database.write_text("not a database")
    result = run("enroll", "Ada", paint(tmp_path / "a.png", ADA), "--dry-run")
    assert result.exit_code == 2
    assert "not a SQLite database" in result.stderr


def test_enroll_exits_with_1_if_some_were_refused_and_2_if_all_were(
    run: Run, tmp_path: Path, database: Path
) -> None:
    good, bad = paint(tmp_path / "a.png", ADA), tmp_path / "missing.png"
    assert run("enroll", "Ada", bad).exit_code == 2
    assert people(database) == {}
    assert run("enroll", "Ada", good, bad).exit_code == 1
    assert people(database) == {"Ada": 1}
    assert run("enroll", "Ada", good).exit_code == 0, "it is there already"


def test_enroll_from_a_table(run: Run, tmp_path: Path, database: Path) -> None:
    paint(tmp_path / "a.png", ADA)
    paint(tmp_path / "b,b.png", BOB)
    table = tmp_path / "people.csv"
    table.write_text(
        f'\ufeffname,path\nAda,a.png\n"{HOSTILE.replace(chr(34), chr(34) * 2)}","b,b.png"\nCleo,\n',
        encoding="utf-8",
    )
    result = run("enroll", "--from", table)
    assert result.exit_code == 1
    assert "people.csv line 4" in result.stdout
    assert people(database) == {"Ada": 1, HOSTILE: 1}


def test_enroll_takes_the_main_face_only_when_told(run: Run, photos: Path) -> None:
    assert run("enroll", "Ada", photos / "both.png").exit_code == 2
    assert run("enroll", "Ada", photos / "both.png", "--largest").exit_code == 0


def test_enroll_allows_twins_only_when_told(run: Run, enrolled: None, tmp_path: Path) -> None:
    twin = paint(tmp_path / "e.png", PaintedFace(0, 5))
    refused = run("enroll", "Eve", twin)
    assert refused.exit_code == 2
    assert "looks like Ada, who is enrolled: squared L2 0.062" in refused.stdout
    assert run("enroll", "Eve", twin, "--allow-look-alike").exit_code == 0


def test_an_external_id_is_stored_with_a_photo_that_is_known(
    run: Run, enrolled: None, tmp_path: Path, database: Path
) -> None:
    """It was dropped without a word: nothing else could set it either."""
    photo = tmp_path / "people" / "Ada.png"
    tried = run("enroll", "Ada", photo, "--external-id", "E77", "--dry-run")
    assert (tried.exit_code, external_ids(database)) == (0, {"Ada": None, "Bob": None})
    result = run("enroll", "Ada", photo, "--external-id", "E77")
    assert result.exit_code == 0
    assert "enrolled already; takes the external id E77" in result.stdout
    assert external_ids(database) == {"Ada": "E77", "Bob": None}
    again = run("enroll", "Ada", photo, "--external-id", "E77", "--json")
    assert records(again)[0]["external_id"] == "E77"
    assert "takes" not in again.stdout
    other = run("enroll", "Ada", photo, "--external-id", "E78")
    assert (other.exit_code, "the external ids E77 and E78" in other.stdout) == (2, True)
    taken = run("enroll", "Bob", tmp_path / "people" / "Bob.png", "--external-id", "E77")
    assert (taken.exit_code, "belongs to Ada too" in taken.stdout) == (2, True)
    assert external_ids(database) == {"Ada": "E77", "Bob": None}


def test_external_ids_of_a_table_are_stored_for_those_enrolled_too(
    run: Run, enrolled: None, tmp_path: Path, database: Path
) -> None:
    cleo = paint(tmp_path / "cleo.png", CLEO)
    table = tmp_path / "staff.csv"
    table.write_text(f"ada,people/Ada.png,1\nCleo,{cleo},\nCLEO,{cleo},3\n")
    assert run("enroll", "--from", table).exit_code == 0
    assert external_ids(database) == {"Ada": "1", "Bob": None, "Cleo": "3"}


def test_an_external_id_that_cannot_be_stored_is_said(
    run: Run, enrolled: None, tmp_path: Path, database: Path
) -> None:
    result = run("enroll", "Ada", paint(tmp_path / "n.png"), "--external-id", "E77")
    assert result.exit_code == 2
    assert "external id E77 is not stored: no photo of Ada was accepted" in result.stderr
    assert external_ids(database)["Ada"] is None


def test_no_option_of_enroll_is_dropped(run: Run, tmp_path: Path) -> None:
    people = tmp_path / "people"
    people.mkdir()
    for arguments in (
        ["--from", people, "--external-id", "7"],
        ["--from", people, "Ada"],
        ["--from-cluster", "1", "Ada", "--largest"],
        ["--from-cluster", "1", "Ada", "--from", people],
    ):
        assert "Usage" in run("enroll", *arguments).stderr


def test_enrolling_a_folder_again_adds_up(run: Run, tmp_path: Path) -> None:
    """What is enrolled already was counted nowhere."""
    folder = tmp_path / "staff"
    for plane, name in enumerate(("Ada", "ada", "Bob", "Cleo")):
        paint(folder / name / "1.png", PaintedFace(plane if plane != 1 else 0, plane))
    paint(folder / "Bob" / "copy.png", PaintedFace(2, 2))
    paint(folder / "Dan" / "1.png")
    (folder / "Eve").mkdir()
    first = run("enroll", "--from", folder)
    assert "4 of 7 photos enrolled, 3 people, 1 given twice, 2 refused" in first.stdout
    assert "7 photos" not in first.stderr
    assert "6 photos of 4 people; 1 without a picture (Eve)" in first.stderr
    *photos, last = records(run("enroll", "--from", folder, "--json"))
    counts = [last[name] for name in ("accepted", "enrolled_already", "repeated", "refused")]
    assert (counts, sum(counts), last["photos"]) == ([0, 5, 0, 2], 7, len(photos))
    assert [one["outcome"] for one in photos if one["refused"]] == ["no face", "no photo"]
    text = run("enroll", "--from", folder, "--dry-run")
    assert "0 of 7 photos would be enrolled, 0 people, 5 enrolled already, 2 refused" in text.stdout
    paint(folder / "Dan" / "1.png", PaintedFace(7))
    (folder / "Eve").rmdir()
    assert run("enroll", "--from", folder).exit_code == 0


def test_look_alikes_are_told_their_cure(run: Run, tmp_path: Path) -> None:
    paint(tmp_path / "two" / "Ada.png", ADA)
    paint(tmp_path / "two" / "Eve.png", PaintedFace(0, 5))
    refused = run("enroll", "--from", tmp_path / "two")
    assert refused.exit_code == 2
    assert "--allow-look-alike" in refused.stderr
    assert "--allow-look-alike" not in run("enroll", "Bob", paint(tmp_path / "b.png", BOB)).stderr


@pytest.mark.parametrize(
    "arguments", [[], ["Ada"], ["Ada", "--from", "."], ["--from", ".", "--external-id", "1"]]
)
def test_enroll_wants_a_name_and_photos_or_a_source(run: Run, arguments: list[str]) -> None:
    assert run("enroll", *arguments).exit_code == 2


# verify


def test_verify_says_same_with_0_and_different_with_1(run: Run, photos: Path) -> None:
    same = run("verify", photos / "ada.png", photos / "both.png")
    assert same.exit_code == 0
    assert "same person: squared L2 0.022 (threshold 0.5)" in same.stdout
    assert "2 faces, the main one taken" in same.stdout
    different = run("verify", photos / "ada.png", photos / "bob.png")
    assert different.exit_code == 1
    assert "different people: squared L2 2.000 (threshold 0.5)" in different.stdout


def test_verify_gives_one_json_object(run: Run, enrolled: None, photos: Path) -> None:
    (verdict,) = records(run("verify", photos / "ada.png", "person:Ada", "--json"))
    assert verdict["kind"] == "verification"
    assert verdict["same"] is True
    assert verdict["squared_l2"] == pytest.approx(squared_l2_of(3), abs=1e-6)
    assert verdict["threshold"] == 0.5
    photo, person = verdict["sides"]
    assert photo["box"] == pytest.approx([40, 40, 160, 160], abs=2)
    assert (person["kind"], person["source"], person["templates"]) == ("person", "Ada", 1)


def test_verify_obeys_the_threshold_given_even_0(run: Run, photos: Path) -> None:
    pair = (photos / "ada.png", photos / "both.png")
    assert run("verify", *pair, "--threshold", "0").exit_code == 1
    assert run("verify", photos / "ada.png", photos / "bob.png", "--threshold", "2").exit_code == 0


def test_verify_people_needs_no_photo(run: Run, enrolled: None) -> None:
    assert run("verify", "person:Ada", "person:Bob").exit_code == 1
    assert run("verify", "person:ada", "person: ADA").exit_code == 0


@pytest.mark.parametrize(
    ("a", "reason"),
    [
        ("landscape.png", "landscape.png: no face found"),
        ("broken.png", "broken.png: "),
        ("missing.png", "missing.png: "),
    ],
)
def test_verify_exits_with_2_and_one_line_naming_what_went_wrong(
    run: Run, photos: Path, a: str, reason: str
) -> None:
    result = run("verify", photos / a, photos / "ada.png", "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert reason in result.stderr
    assert result.stderr.count(a) == 1
    assert len(result.stderr.splitlines()) == 1


def test_verify_suggests_the_name_that_was_meant(run: Run, enrolled: None, photos: Path) -> None:
    result = run("verify", photos / "ada.png", "person:Adda")
    assert result.exit_code == 2
    assert "did you mean 'Ada'" in result.stderr


def test_verify_asks_whether_a_person_was_meant(run: Run, enrolled: None, photos: Path) -> None:
    for typed in ("Ada", "adda"):
        result = run("verify", typed, photos / "ada.png")
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line == f"facecli: {typed}: no such file; did you mean 'person:Ada'?"
    for typed in ("ada.png", "nobody like this"):
        assert "did you mean" not in run("verify", typed, photos / "ada.png").stderr


@pytest.mark.parametrize("command", ["identify", "embed", "cluster", "enroll", "verify"])
def test_an_address_is_no_photo_and_the_line_says_so(
    run: Run, enrolled: None, photos: Path, command: str
) -> None:
    address = "https://example.org/ada.jpg"
    before: dict[str, list[object]] = {"enroll": ["Ada"], "verify": [photos / "ada.png"]}
    others = before.get(command, [])
    result = run(command, *others, address)
    assert result.exit_code == 2
    assert "download it first" in result.output


# identify


def test_identify_a_folder(run: Run, enrolled: None, photos: Path) -> None:
    (photos / "broken.png").unlink()
    result = run("identify", photos, "--json")
    assert result.exit_code == 1
    found = [(Path(one["path"]).name, one["status"], one["person"]) for one in records(result)]
    assert found == [
        ("ada.png", "match", "Ada"),
        ("bob.png", "match", "Bob"),
        ("both.png", "match", "Ada"),
        ("both.png", "match", "Bob"),
        ("landscape.png", "no face", None),
        ("stranger.png", "unknown", None),
    ]


def test_identify_tells_humans_the_same(run: Run, enrolled: None, photos: Path) -> None:
    result = run("identify", photos / "both.png", photos / "stranger.png")
    first, second, third = result.stdout.splitlines()
    assert first.startswith("match")
    assert first.endswith("both.png face 1 of 2: Ada, squared L2 0.089 (threshold 0.5)")
    assert second.endswith("both.png face 2 of 2: Bob, squared L2 0.089 (threshold 0.5)")
    assert third.startswith("unknown")
    assert "squared L2 2.000 (threshold 0.5)" in third


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["ada.png", "both.png"], 0),
        (["ada.png", "stranger.png"], 1),
        (["ada.png", "landscape.png"], 1),
        (["stranger.png", "broken.png", "ada.png"], 2),
        (["ada.png", "missing.png"], 2),
    ],
)
def test_identify_exits_with_the_worst_answer(
    run: Run, enrolled: None, photos: Path, names: list[str], code: int
) -> None:
    result = run("identify", *(photos / name for name in names), "--json")
    assert result.exit_code == code
    assert {Path(one["path"]).name for one in records(result)} == set(names), "all are answered"


def test_identify_reads_a_picture_from_stdin(run: Run, enrolled: None, photos: Path) -> None:
    result = run("identify", "-", "--json", stdin=(photos / "bob.png").read_bytes())
    (answer,) = records(result)
    assert (answer["path"], answer["person"]) == ("stdin", "Bob")
    assert run("identify", "-", stdin=b"").exit_code == 2


def test_identify_lists_k_people(run: Run, enrolled: None, photos: Path) -> None:
    (answer,) = records(run("identify", photos / "ada.png", "-k", "2", "--json"))
    assert [(one["name"], one["votes"]) for one in answer["candidates"]] == [("Ada", 1), ("Bob", 0)]
    listed = run("identify", photos / "ada.png", "-k", "2").stdout.splitlines()
    assert [line.strip() for line in listed[1:]] == [
        "Ada, squared L2 0.022, 1 vote",
        "Bob, squared L2 2.000, 0 votes",
    ]


def test_identify_is_ambiguous_within_the_gap(run: Run, enrolled: None, tmp_path: Path) -> None:
    """Eve's photo is 20 steps from Ada's, the probe 9 from one and 11 from the other."""
    assert run("enroll", "Eve", paint(tmp_path / "e.png", PaintedFace(0, 20))).exit_code == 0
    probe = paint(tmp_path / "p.png", PaintedFace(0, 9))
    clear = run("identify", probe, "--json")
    vague = run("identify", probe, "--gap", "0.2", "--json")
    assert (clear.exit_code, vague.exit_code) == (0, 1)
    (answer,) = records(vague)
    assert (answer["status"], answer["person"]) == ("ambiguous", None)
    assert answer["reason"].endswith(": Eve")


def test_identify_may_keep_to_the_largest_face(run: Run, enrolled: None, photos: Path) -> None:
    (answer,) = records(run("identify", photos / "both.png", "--faces", "largest", "--json"))
    assert answer["person"] == "Ada"


def test_identify_without_a_gallery_or_pictures_is_an_error(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    assert run("identify", photos / "ada.png").exit_code == 2
    run("enroll", "Ada", photos / "ada.png")
    (tmp_path / "none").mkdir()
    result = run("identify", tmp_path / "none")
    assert result.exit_code == 2
    assert "no pictures in this folder" in result.stderr


def test_templates_of_another_model_are_never_compared(
    run: Run, enrolled: None, photos: Path
) -> None:
    for command in (["identify", photos / "ada.png"], ["verify", photos / "ada.png", "person:Ada"]):
        result = run(*command, encoder="other-128")
        assert result.exit_code == 2
        assert "holds templates of 'fake-128'" in result.stderr


# cluster


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Return five photos of Ada and Bob, one of Cleo, and one of nobody."""
    folder = tmp_path / "crowd"
    for number in range(3):
        paint(folder / f"a{number}.png", PaintedFace(0, 2 * number))
    for number in range(2):
        paint(folder / f"b{number}.png", PaintedFace(1, 3 * number))
    paint(folder / "c.png", CLEO)
    paint(folder / "n.png")
    return folder


def test_cluster_sorts_a_folder(run: Run, crowd: Path) -> None:
    *faces, summary = records(run("cluster", crowd, "--json"))
    sorted_into: dict[int, set[str]] = {}
    for face in faces:
        sorted_into.setdefault(face["cluster"], set()).add(Path(face["path"]).name)
        assert face["kind"] == "clustered_face"
    assert sorted_into == {
        1: {"a0.png", "a1.png", "a2.png"},
        2: {"b0.png", "b1.png"},
        3: {"c.png"},
    }
    assert [face["cluster_size"] for face in faces] == [3, 3, 3, 2, 2, 1]
    assert (summary["people"], summary["seen_once"], summary["faces"]) == (2, 1, 6)
    assert summary["without_face"] == [str(crowd / "n.png")]


def test_cluster_tells_humans(run: Run, crowd: Path) -> None:
    result = run("cluster", crowd)
    assert result.exit_code == 0
    assert "seen once" in result.stdout
    assert (
        "6 faces in 7 photos, 1 without a face: 2 people, 1 seen once (threshold 0.5 squared L2)"
        in result.stdout
    )
    assert "n.png: no face found" in result.stderr


def test_cluster_writes_csv(run: Run, crowd: Path) -> None:
    (crowd / "a0.png").rename(crowd / 'a, "0".png')
    rows = list(csv.DictReader(io.StringIO(run("cluster", crowd, "--csv").stdout)))
    assert len(rows) == 6
    assert {Path(row["path"]).name for row in rows if row["cluster"] == "1"} == {
        'a, "0".png',
        "a1.png",
        "a2.png",
    }
    assert float(rows[0]["right"]) - float(rows[0]["left"]) == pytest.approx(120, abs=3)
    assert run("cluster", crowd, "--csv", "--json").exit_code == 2


def test_cluster_takes_k(run: Run, crowd: Path) -> None:
    *_, summary = records(run("cluster", crowd, "--k", "6", "--json"))
    assert (summary["people"], summary["seen_once"]) == (0, 6)
    result = run("cluster", crowd, "--k", "7")
    assert result.exit_code == 2
    assert "number of faces, 6: not 7" in result.stderr


def test_cluster_exports_links_and_does_so_again(run: Run, crowd: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run("cluster", crowd, "--export", tmp_path / "out").exit_code == 0
    links = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").glob("*/*")}
    assert links == {
        *(f"person-1/a{number}.png" for number in range(3)),
        *(f"person-2/b{number}.png" for number in range(2)),
        "seen-once/c.png",
    }
    assert (tmp_path / "out" / "person-1" / "a0.png").readlink() == Path("../../crowd/a0.png")


def test_cluster_refuses_a_folder_of_others_before_it_looks_at_photos(
    run: Run, crowd: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    result = run("cluster", crowd, "--export", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "holds files that are not from an export" in result.stderr


def test_an_export_is_one_more_record_and_never_in_the_csv(
    run: Run, crowd: Path, tmp_path: Path
) -> None:
    *_, made = records(run("cluster", crowd, "--export", tmp_path / "out", "--json"))
    assert (made["kind"], made["linked"], len(made["entries"])) == ("export", True, 6)
    result = run("cluster", crowd, "--export", tmp_path / "out", "--csv")
    assert len(result.stdout.splitlines()) == 7
    assert "6 links written" in result.stderr


def test_cluster_refuses_to_export_into_the_photos_it_sorts(run: Run, crowd: Path) -> None:
    result = run("cluster", crowd, "--export", crowd / "people")
    assert result.exit_code == 2
    assert not (crowd / "people").exists()


def test_cluster_goes_on_after_a_broken_photo_and_exits_with_2(run: Run, crowd: Path) -> None:
    (crowd / "x.jpg").write_bytes(b"GIF89a")
    result = run("cluster", crowd, "--json")
    assert result.exit_code == 2
    *faces, summary = records(result)
    assert len(faces) == 6
    assert summary["unreadable"][0]["source"] == str(crowd / "x.jpg")


def test_cluster_of_no_faces_is_an_error(run: Run, crowd: Path) -> None:
    assert run("cluster", crowd / "n.png").exit_code == 2


def test_hostile_file_names_stay_on_their_line(run: Run, enrolled: None, tmp_path: Path) -> None:
    """Escapes in a path neither move the cursor nor forge a line, in any command."""
    name = "\x1b[2Jmatch  Ada\n\u202egnp.png"
    if os.name == "nt":
        pytest.skip("Windows allows no such name")
    evil = paint(tmp_path / name, ADA)
    for arguments in (["identify", evil], ["verify", evil, evil], ["cluster", evil]):
        shown = run(*arguments).output
        assert "\x1b[2J" not in shown
        assert "\u202e" not in shown
        assert "match  Ada\n" not in shown
    (answer,) = records(run("identify", evil, "--json"))
    assert answer["path"] == str(evil)


@pytest.mark.slow
@pytest.mark.network
def test_the_real_networks_from_a_shell(tmp_path: Path) -> None:
    """Enrolled from one portrait, Grace Hopper is verified and named; Eileen Collins is neither."""
    grace, eileen = str(grace_hopper()), str(eileen_collins())
    database = str(tmp_path / "g.db")

    def shell(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        program = [sys.executable, "-c", "from facecli.cli import main; main()"]
        done = subprocess.run(
            [*program, *arguments, "--db", database, "--json"], capture_output=True, check=False
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    assert shell("enroll", "Grace Hopper", grace)[0] == 0
    code, (verdict,) = shell("verify", eileen, "person:Grace Hopper")
    assert (code, verdict["same"]) == (1, False)
    assert verdict["squared_l2"] > 1.4 * verdict["threshold"]
    code, (named, unknown) = shell("identify", grace, eileen)
    assert code == 1
    assert (named["status"], named["person"]) == ("match", "Grace Hopper")
    assert named["squared_l2"] == pytest.approx(0.0, abs=1e-4)
    assert (unknown["status"], unknown["person"]) == ("unknown", None)
