"""Exported folders: what is written, what a second run changes, and what is never touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from facecli.albums.export import DRAFTS, MANIFEST, export
from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
from facecli.errors import FacecliError


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(path))
    return path


def cluster(number: int, sources: list[Path], name: str | None = None) -> Cluster:
    box = (0.0, 0.0, 9.0, 9.0)
    faces = (ClusteredFace(str(one), str(one), 0, box, 0.9, number, 0.1) for one in sources)
    return Cluster(number, name, False, tuple(faces))


def grouping(*clusters: list[Path] | Cluster) -> Grouping:
    return Grouping(
        clusters=tuple(
            one if isinstance(one, Cluster) else cluster(number, one)
            for number, one in enumerate(clusters, start=1)
        ),
        without_face=(),
        failures=(),
        photos=9,
    )


def contents(folder: Path) -> dict[str, str]:
    """Return what every link or file below a folder leads to, but for the manifest."""
    return {
        str(path.relative_to(folder)): os.fsdecode(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [photo(tmp_path / "photos" / name) for name in ("a.jpg", "b.jpg", "c.jpg")]


def test_each_person_is_a_folder_of_relative_links(tmp_path: Path, photos: list[Path]) -> None:
    a, b, c = photos
    made = export(grouping([b, a], [c]), tmp_path / "out")
    assert made.entries == ("person-1/a.jpg", "person-1/b.jpg", "seen-once/c.jpg")
    assert made.linked
    link = tmp_path / "out" / "person-1" / "a.jpg"
    assert link.readlink() == Path("../../photos/a.jpg")
    assert contents(tmp_path / "out")["seen-once/c.jpg"] == str(c)


def test_links_survive_moving_photos_and_export_together(
    tmp_path: Path, photos: list[Path]
) -> None:
    (tmp_path / "all").mkdir()
    export(grouping(photos), tmp_path / "out")
    expected = contents(tmp_path / "out")
    (tmp_path / "photos").rename(tmp_path / "all" / "photos")
    (tmp_path / "out").rename(tmp_path / "all" / "out")
    assert contents(tmp_path / "all" / "out") == expected


def test_links_hold_where_the_folder_is_reached_through_a_link(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "short").symlink_to(tmp_path / "far" / "away")
    monkeypatch.chdir(tmp_path)
    export(grouping([Path("photos/a.jpg"), Path("photos/b.jpg")]), Path("short/out"))
    links = (tmp_path / "far" / "away" / "out" / "person-1").iterdir()
    assert all(link.is_symlink() and link.is_file() for link in links)


def test_photos_of_one_name_are_numbered(tmp_path: Path) -> None:
    same = [photo(tmp_path / part / name) for part, name in (("x", "a.jpg"), ("y", "A.jpg"))]
    made = export(grouping(same), tmp_path / "out")
    assert made.entries == ("person-1/a.jpg", "person-1/A-2.jpg")


def test_running_again_changes_nothing(tmp_path: Path, photos: list[Path]) -> None:
    first = export(grouping(photos), tmp_path / "out")
    before = contents(tmp_path / "out")
    assert export(grouping(photos), tmp_path / "out") == first
    assert contents(tmp_path / "out") == before


def test_running_again_follows_the_clusters_and_keeps_what_is_not_its_own(
    tmp_path: Path, photos: list[Path]
) -> None:
    a, b, c = photos
    export(grouping([a, b], [c]), tmp_path / "out")
    (tmp_path / "out" / "person-1" / "mine.txt").write_text("kept")
    export(grouping([c, b]), tmp_path / "out")
    assert contents(tmp_path / "out") == {
        "person-1/b.jpg": str(b),
        "person-1/c.jpg": str(c),
        "person-1/mine.txt": "kept",
    }
    assert not (tmp_path / "out" / "seen-once").exists()


def test_a_link_that_became_a_file_of_the_user_stays(tmp_path: Path, photos: list[Path]) -> None:
    export(grouping(photos), tmp_path / "out")
    mine = tmp_path / "out" / "person-1" / "a.jpg"
    mine.unlink()
    mine.write_text("mine")
    with pytest.raises(FacecliError, match="exists and is not from an export"):
        export(grouping(photos), tmp_path / "out")
    assert mine.read_text() == "mine"


def test_a_folder_of_somebody_elses_is_refused_untouched(
    tmp_path: Path, photos: list[Path]
) -> None:
    with pytest.raises(FacecliError, match="holds files that are not from an export"):
        export(grouping(photos), photos[0].parent)
    assert sorted(photos[0].parent.iterdir()) == photos


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(FacecliError, match="not a folder"):
        export(grouping(photos), photos[0])


@pytest.mark.parametrize("entry", ["../victim", "a/../../victim", "/etc/passwd", "a/..", "./b", 7])
def test_a_forged_manifest_deletes_nothing(
    tmp_path: Path, photos: list[Path], entry: object
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "victim").symlink_to(photos[0])
    (out / MANIFEST).write_text(json.dumps({"schema": 1, "linked": True, "entries": [entry]}))
    with pytest.raises(FacecliError, match="damaged"):
        export(grouping(photos), out)
    assert (tmp_path / "victim").is_symlink()


def test_a_group_that_became_a_link_is_not_followed(tmp_path: Path, photos: list[Path]) -> None:
    out = tmp_path / "out"
    export(grouping(photos), out)
    (out / "person-1").rename(tmp_path / "elsewhere")
    (out / "person-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FacecliError, match="exists and is not from an export"):
        export(grouping(photos), out)
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3


def test_copies_where_links_are_not_possible(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    a, b, c = photos
    made = export(grouping([a, b]), tmp_path / "out")
    assert not made.linked
    export(grouping([b, c]), tmp_path / "out")
    assert contents(tmp_path / "out") == {"person-1/b.jpg": str(b), "person-1/c.jpg": str(c)}


def test_a_copy_cut_short_is_made_anew(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, target: Path) -> None:
        Path(target).write_bytes(b"hal")
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space"):
            export(grouping(photos), out, copies=True)
    assert contents(out) == {}
    export(grouping(photos), out, copies=True)
    assert contents(out) == {f"person-1/{one.name}": str(one) for one in photos}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are always UTF-8")
def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"photos/caf\xe9\n.jpg")
    paths = [photo(odd), photo(tmp_path / "photos" / "b.jpg")]
    for _ in range(2):
        made = export(grouping(paths), tmp_path / "out")
    assert made.entries[1] == "person-1/" + odd.name
    assert (tmp_path / "out" / "person-1" / odd.name).is_file()


@pytest.mark.parametrize("left", DRAFTS)
def test_what_a_killed_export_left_is_no_file_of_the_user(
    tmp_path: Path, photos: list[Path], left: str
) -> None:
    """Killed before the list of entries was there: the next run goes on, with links."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / left).symlink_to("nowhere")
    assert export(grouping(photos), tmp_path / "out").linked
    assert not (tmp_path / "out" / left).is_symlink()
