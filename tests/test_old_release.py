"""A gallery, a photo library, a log and a model of release 0.3 open in this one, unchanged."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facecli.albums.sorting import group
from facecli.cli import cli
from facecli.faces.embedding import EmbeddedPicture
from facecli.models.encoders import read_card
from facecli.portraits import eileen_collins, grace_hopper
from facecli.recognition.identify import KnownPeople, identify
from facecli.recognition.opening import open_recognizer
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore

OLD = Path(__file__).resolve().parent / "data" / "release-0.3"
ZOE = "Zoë <b>O'Neil</b>"
FINGERPRINT = "573e0f0e"
FINDER = "mtcnn-1 similarity-5pt-1 150 e90b769f16da"
HEAD = "ea86919fe6ef47bf3c6e41b6e4b94743b10af0f32b8ab59ce103290f7d2f9642"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Copy the databases, since opening one brings it up to date."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_the_gallery_holds_who_was_enrolled(old: Path) -> None:
    with SqliteGallery(old / "gallery.db", create=False) as gallery:
        people = gallery.people()
        assert [(one.name, one.external_id) for one in people] == [
            ("Grace Hopper", None),
            (ZOE, "E-7"),
        ]
        (model,) = gallery.models()
        assert model.fingerprint.startswith(FINGERPRINT)
        matrix = gallery.matrix(model)
        assert matrix.embeddings.shape == (2, 128)
        assert gallery.integrity_check() == []


@pytest.mark.network
def test_the_people_of_the_old_gallery_are_recognized(old: Path) -> None:
    with open_recognizer(old / "gallery.db", model="resnet-128") as recognizer:
        for portrait, name in ((grace_hopper(), "Grace Hopper"), (eileen_collins(), ZOE)):
            (answer,) = recognizer.identify(portrait)
            assert answer.person == name
            assert answer.squared_l2 is not None
            assert answer.squared_l2 < 0.05  # another detector, so other landmarks


def test_the_photo_library_keeps_faces_clusters_and_corrections(old: Path) -> None:
    with Library(old / "photos.db", create=False) as library:
        albums = AlbumStore(library)
        assert albums.names() == {2: "Admiral"}
        assert [len(albums.members(number)) for number in (1, 2)] == [2, 2]
        assert [one.said for one in albums.corrections()] == ["not-same 1 2", "name 2 Admiral"]
        card = read_card("resnet-128")
        found = library.statistics()
        assert (found.photos, found.faces) == (4, 4)
        assert card.fingerprint.startswith(FINGERPRINT)
        sha256 = albums.members(1)[0].sha256
        known = library.recall(sha256, finder=FINDER, card=card)
        assert known is not None
        assert known.embeddings is not None
        np.testing.assert_allclose(np.linalg.norm(known.embeddings, axis=1), 1, atol=1e-5)


def remembered(library: Library) -> list[EmbeddedPicture]:
    """Return the pictures of the library with their embeddings, as a scan takes them from it."""
    card = read_card("resnet-128")
    pictures = []
    for sha256 in dict.fromkeys(one.sha256 for one in AlbumStore(library).sightings()):
        known = library.recall(sha256, finder=FINDER, card=card)
        path = AlbumStore(library).path_of(sha256)
        assert known is not None
        assert known.embeddings is not None
        assert path is not None
        pictures.append(
            EmbeddedPicture(path, sha256, known.size, known.faces, known.embeddings, known.notes)
        )
    return pictures


def test_the_faces_are_sorted_as_they_were(old: Path) -> None:
    """Into the same clusters, with the same numbers, names and distances, as corrected then."""
    with Library(old / "photos.db", create=False) as library:
        store = AlbumStore(library)
        before = store.sightings()
        found = group(remembered(library), store=store, threshold=1.1, min_photos=2)
        names = {one.number: one.name for one in found.clusters}
        assert names == {1: None, 2: "Admiral"}
        after = store.sightings()
        assert [(one.id, one.identity) for one in after] == [
            (one.id, one.identity) for one in before
        ]
        assert [one.squared_l2 for one in after] == pytest.approx(
            [one.squared_l2 for one in before], abs=1e-5
        )


def test_the_old_decisions_come_out_again(old: Path) -> None:
    """The people of the old gallery are as far from the old library's faces as the log says."""
    card = read_card("resnet-128")
    with SqliteGallery(old / "gallery.db", create=False) as gallery:
        known = KnownPeople(gallery.matrix(card))
    with Library(old / "photos.db", create=False) as library:
        pictures = [one for one in remembered(library) if "mirrored" in one.source]
    answers = list(identify(pictures, known, threshold=card.threshold))
    with DecisionLog(old / "decisions.db", create=False) as log:
        logged = [one.body for one in log.decisions()]
    assert len(answers) == len(logged) == 2
    for answer, then in zip(answers, logged, strict=True):
        assert (answer.status, answer.person) == (then["status"], then["person"])
        assert answer.squared_l2 == pytest.approx(then["squared_l2"], abs=1e-5)


def test_the_log_is_whole_and_continues(old: Path) -> None:
    with DecisionLog(old / "decisions.db", create=False) as log:
        found = log.verify()
        assert (found.broken, found.head) == (None, HEAD)
        log.append([{"kind": "gate_event", "time": "2027-01-01T00:00:00.000+00:00"}])
        assert log.verify().broken is None


def test_commands_read_the_old_files(old: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(cli, ["people", "list", "--db", str(old / "gallery.db")])
    assert "Grace Hopper" in shown.output
    checked = runner.invoke(cli, ["log", "verify", "--log", str(old / "decisions.db")])
    assert HEAD in checked.output
    undone = runner.invoke(cli, ["cluster", "undo", "--library", str(old / "photos.db")])
    assert undone.output == "undone: not-same 1 2\n"
