"""A folder of people is the same people to every command, however it is laid out."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.datasets import read_photo_set
from facecli.errors import FacecliError
from facecli.faces.people_folders import read_people_folder
from facecli.faces.photo_files import PICTURE_EXTENSIONS, Why, find_pictures, search_pictures

NAMES = ("Ada", "Bob", "Zoë", "İlker")
LEFT_BEHIND = (
    "@eaDir/1.png/SYNOPHOTO_THUMB_XL.jpg",
    "#recycle/1.jpg",
    "@Recycle/1.jpg",
    ".@__thumb/1.jpg",
    "lost+found/1.jpg",
    "$RECYCLE.BIN/$R1.jpg",
    "System Volume Information/1.jpg",
    "__MACOSX/._1.jpg",
    ".Trashes/1.jpg",
    ".picasaoriginals/1.jpg",
    "FOUND.000/1.jpg",
    "PaxHeaders.1234/1.jpg",
    "._1.jpg",
    "Thumbs.db",
    "desktop.ini",
)
"""What operating systems, network storage and archive programs leave in folders."""


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def flat(folder: Path) -> None:
    """NAME.png, and another photo of each as name.png: two spellings, one person."""
    for plane, name in enumerate(NAMES):
        paint(folder / f"{name}.png", PaintedFace(plane))
        paint(folder / f"{name.lower()}.jpg", PaintedFace(plane, 3))


def in_folders(folder: Path) -> None:
    for plane, name in enumerate(NAMES):
        paint(folder / name / "1.png", PaintedFace(plane))
        paint(folder / name / "2.png", PaintedFace(plane, 3))


def nested(folder: Path) -> None:
    for plane, name in enumerate(NAMES):
        paint(folder / name / "2019" / "1.png", PaintedFace(plane))
        paint(folder / name / "2020" / "May" / "2.png", PaintedFace(plane, 3))


def with_what_systems_leave(folder: Path) -> None:
    in_folders(folder)
    for place in (folder, *(folder / name for name in NAMES)):
        for left in LEFT_BEHIND:
            paint(place / left, PaintedFace(9))


def twins_of_form_and_case(folder: Path) -> None:
    for plane, name in enumerate(NAMES):
        other = unicodedata.normalize("NFD", name)
        other = other if other != name else name.upper()
        paint(folder / name / "1.png", PaintedFace(plane))
        paint(folder / other / "2.png", PaintedFace(plane, 3))


LAYOUTS = [flat, in_folders, nested, with_what_systems_leave, twins_of_form_and_case]


def run(*arguments: object) -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    return CliRunner().invoke(cli, list(map(str, arguments)), obj=settings)


def records(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code in (0, 1), result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_command_finds_the_same_people_and_photos(layout: Any, tmp_path: Path) -> None:
    folder = tmp_path / "people"
    layout(folder)
    where = ("--db", tmp_path / "gallery.db", "--json")
    enrolled = records(run("enroll", "--from", folder, *where))[-1]
    assert (enrolled["photos"], enrolled["people"], enrolled["refused"]) == (8, 4, 0)
    listed = records(run("people", "list", *where))
    assert [one["templates"] for one in listed] == [2, 2, 2, 2]
    shown = records(run("people-folder", folder, "--json"))[-1]
    assert (shown["photos"], shown["people"]) == (8, 4)
    rates = records(run("evaluate", "folders", folder, *where))[0]
    assert (rates["photos"], rates["people"]) == (8, 4)
    clusters = records(run("evaluate", "clustering", folder, *where))[0]
    assert (clusters["photos"], clusters["people"]) == (8, 4)
    searches = records(run("evaluate", "identification", folder, *where))[0]
    assert (searches["enrolled"], searches["probes"]) == (4, 4)
    trained = read_photo_set(folder)
    assert (len(trained), len(trained.people)) == (8, 4)
    # A preview, enroll and the others call them by the same names.
    names = {unicodedata.normalize("NFC", one["name"]) for one in listed}
    assert names == set(read_people_folder(folder).people) == set(trained.people)


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_systems_leave_is_passed_over_by_whoever_searches(name: str, tmp_path: Path) -> None:
    """Also upper and lower case: a memory card or a network does not keep it."""
    photo = touch(tmp_path / "a" / "1.jpg")
    for spelled in (name, name.upper(), name.lower()):
        touch(tmp_path / "a" / spelled)
    searched = search_pictures([tmp_path])
    assert searched.pictures == (photo,)
    assert {one.why for one in searched.passed} <= {Why.SYSTEM, Why.HIDDEN}


def test_names_that_only_look_like_a_systems_are_searched(tmp_path: Path) -> None:
    for name in ("@jane", "#1 fan", "$hort", "Found", "Thumbs", "lost", "recycle"):
        touch(tmp_path / name / "1.jpg")
    assert len(find_pictures([tmp_path])) == 7


def test_a_given_folder_is_searched_whatever_its_name(tmp_path: Path) -> None:
    photo = touch(tmp_path / "@eaDir" / "1.jpg")
    assert find_pictures([tmp_path / "@eaDir"]) == [photo]


def test_every_ending_of_a_picture_counts_for_everyone(tmp_path: Path) -> None:
    for ending in PICTURE_EXTENSIONS:
        touch(tmp_path / "Ada" / f"1{ending.upper()}")
    assert len(read_people_folder(tmp_path).photos) == len(PICTURE_EXTENSIONS)
    assert len(read_photo_set(tmp_path)) == len(PICTURE_EXTENSIONS)


def test_the_summary_counts_every_entry(tmp_path: Path) -> None:
    for name in ("Ada/1.jpg", "Ada/2.jpg", "Bob.jpg", "a.txt", "b.mov", ".x", "Thumbs.db"):
        touch(tmp_path / name)
    (tmp_path / "Eve").mkdir()
    touch(tmp_path / "staff" / "Cleo" / "1.jpg")
    touch(tmp_path / "staff" / "Dan" / "1.jpg")
    (tmp_path / "again").symlink_to(tmp_path / "Ada")
    found = read_people_folder(tmp_path)
    assert found.said() == (
        "5 photos of 3 people; 5 passed over: 1 of the system (Thumbs.db), 1 hidden (.x), "
        "2 without a picture's ending (.txt, .mov), 1 found before, by a link (again); "
        "1 without a picture (Eve); 1 with pictures in several folders only (staff)"
    )


def test_a_folder_may_be_as_deep_as_a_path_can_name(tmp_path: Path) -> None:
    """1,200 levels are more than Python's recursion allows, and than pytest can clean up."""
    deep = [tmp_path / "a"]
    for _ in range(1199):
        deep.append(deep[-1] / "a")
    for folder in deep:
        folder.mkdir()
    photo = touch(deep[-1] / "1.jpg")
    try:
        assert read_people_folder(tmp_path).photos == (photo,)
    finally:
        photo.unlink()
        for folder in reversed(deep):
            folder.rmdir()


def test_cluster_says_what_it_passes_over(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    with_what_systems_leave(folder)
    result = run("cluster", folder, "--json")
    assert "of the system (" in result.stderr
    assert records(result)[-1]["photos"] == 8


def test_a_folder_without_people_is_refused_in_one_line(tmp_path: Path) -> None:
    touch(tmp_path / "@eaDir" / "1.jpg")
    for command in (("enroll", "--from"), ("evaluate", "folders"), ("people-folder",)):
        result = run(*command, tmp_path)
        assert result.exit_code == 2
        assert str(tmp_path) in result.stderr.splitlines()[-1]
    with pytest.raises(FacecliError):
        read_people_folder(tmp_path / "nowhere")


def test_the_list_of_a_cluster_is_no_formula(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "=1+1.png", PaintedFace(0))
    paint(tmp_path / "b.png", PaintedFace(0, 2))
    monkeypatch.chdir(tmp_path)
    result = run("cluster", "=1+1.png", "b.png", "--csv")
    assert result.exit_code == 0, result.output
    photos = [row[0] for row in csv.reader(io.StringIO(result.stdout))]
    assert sorted(photos) == ["'=1+1.png", "b.png", "path"]


def test_people_may_lie_deeper(tmp_path: Path) -> None:
    for name in ("a/Ann/1.jpg", "a/Ann/x/2.jpg", "b/Ann/1.jpg", "b/Bob.jpg", "Cy.jpg", "d/e.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = read_people_folder(tmp_path, depth=2)
    assert found.names == ("Cy", "a/Ann", "a/Ann", "b/Ann", "b/Bob")
    assert not found.divided()
    assert read_people_folder(tmp_path).people == ("Cy", "a", "b")
