"""The Recognizer: one wiring of gallery, detector and encoder, for any thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeDetector, FakeEncoder, PaintedFace, fake_card, paint, recognizer_of
from PIL import Image

import facecli
from facecli.demo import set_the_stage
from facecli.errors import (
    FacecliError,
    FaceError,
    FingerprintMismatch,
    GalleryError,
    PictureError,
)
from facecli.faces.embedding import EmbeddedPicture
from facecli.recognition.decisions import Status
from facecli.recognition.recognizer import Recognizer
from facecli.recognition.screening import Outcome
from facecli.recognition.verify import Enrolled
from facecli.server.service import EnrollmentOptions, RecognitionService
from facecli.stores.contract import GalleryStore
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import GalleryFile, gallery_at
from facecli.types import Calibration, Detection, FailureKind, FloatArray

pytestmark = pytest.mark.base

ADA, BOB = PaintedFace(plane=0), PaintedFace(plane=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def recognizer(path: Path) -> Recognizer:
    return recognizer_of(gallery_at(path))


@pytest.fixture
def ada(tmp_path: Path) -> Path:
    return paint(tmp_path / "ada.png", ADA)


def test_enrolling_makes_the_gallery_and_identifying_reads_it(
    recognizer: Recognizer, ada: Path, path: Path
) -> None:
    (outcome,) = recognizer.enroll("Ada", ada)
    assert outcome.outcome is Outcome.ACCEPTED
    assert path.exists()
    (answer,) = recognizer.identify(str(ada))
    assert (answer.status, answer.person) == (Status.MATCH, "Ada")
    assert [person.name for person in recognizer.people()] == ["Ada"]


def test_a_photo_may_be_a_path_bytes_or_pixels(recognizer: Recognizer, ada: Path) -> None:
    recognizer.enroll("Ada", ada)
    for photo in (ada, str(ada), ada.read_bytes(), Image.open(ada)):
        assert recognizer.identify(photo)[0].person == "Ada"
        assert recognizer.verify(photo, Enrolled("Ada")).same


def test_what_cannot_be_read_is_an_answer_of_its_own(recognizer: Recognizer, ada: Path) -> None:
    recognizer.enroll("Ada", ada)
    answers = list(recognizer.identify_all([b"no photo", ada.with_name("missing.jpg"), ada]))
    assert [one.status for one in answers] == [Status.ERROR, Status.ERROR, Status.MATCH]
    with pytest.raises(PictureError, match="photo: "):
        recognizer.verify(b"no photo", ada)
    failure, picture = recognizer.embed([b"", ada])
    assert isinstance(failure, facecli.Failure)
    assert failure.kind is FailureKind.UNREADABLE
    assert isinstance(picture, EmbeddedPicture)


def test_a_dry_run_makes_no_gallery(recognizer: Recognizer, ada: Path, path: Path) -> None:
    (outcome,) = recognizer.enroll("Ada", [ada], dry_run=True)
    assert outcome.outcome is Outcome.ACCEPTED
    assert not path.exists()


def test_only_enrolling_makes_a_gallery(recognizer: Recognizer, ada: Path, path: Path) -> None:
    """A mistyped path must not become an empty gallery in which everyone is unknown."""
    for ask in (recognizer.known, recognizer.people, lambda: recognizer.identify(ada)):
        with pytest.raises(GalleryError, match="there is none"):
            ask()
    assert recognizer.verify(ada, ada).same, "two photos need no gallery"
    assert not path.exists()


def test_known_people_are_read_again_when_the_gallery_changes(
    recognizer: Recognizer, ada: Path, path: Path, tmp_path: Path
) -> None:
    recognizer.enroll("Ada", ada)
    before = recognizer.known()
    assert recognizer.known() is before
    other = recognizer_of(gallery_at(path))
    other.enroll("Bob", paint(tmp_path / "bob.png", BOB))
    assert recognizer.known() is not before
    assert recognizer.known().people == 2
    recognizer.forget("Ada")
    assert recognizer.identify(ada)[0].status is Status.UNKNOWN


def test_closing_frees_the_templates_and_a_later_question_reads_them_again(
    recognizer: Recognizer, ada: Path
) -> None:
    with recognizer:
        recognizer.enroll("Ada", ada)
        before = recognizer.known()
    assert recognizer.known() is not before
    assert recognizer.known().people == 1


def test_a_gallery_of_another_model_is_refused(
    recognizer: Recognizer, ada: Path, path: Path
) -> None:
    other = recognizer_of(gallery_at(path), encoder=FakeEncoder(fake_card("other-128")))
    other.enroll("Ada", ada)
    with pytest.raises(FingerprintMismatch):
        recognizer.identify(ada)


def test_a_photo_without_a_face_cannot_be_verified(recognizer: Recognizer, tmp_path: Path) -> None:
    empty = paint(tmp_path / "empty.png")
    with pytest.raises(FaceError, match="no face found"):
        recognizer.verify(empty, empty)
    with pytest.raises(GalleryError, match="there is none"):
        recognizer.verify(empty, Enrolled("Nobody"))


def test_an_enrolled_person_needs_no_network(path: Path, ada: Path) -> None:
    recognizer_of(gallery_at(path)).enroll("Ada", ada)
    detector = FakeDetector()
    recognizer = recognizer_of(gallery_at(path), detector=detector)
    assert recognizer.verify(Enrolled("ada"), Enrolled("Ada")).squared_l2 == pytest.approx(0)
    assert detector.seen == 0


def test_many_threads_enroll_and_identify_at_once(
    recognizer: Recognizer, path: Path, tmp_path: Path
) -> None:
    photos = [paint(tmp_path / f"{plane}.png", PaintedFace(plane=plane)) for plane in range(8)]
    recognizer.enroll("P0", photos[0])
    start = threading.Barrier(8)

    def work(number: int) -> str | None:
        start.wait()
        recognizer.enroll(f"P{number}", photos[number])
        return recognizer.identify(photos[number])[0].person

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [f"P{number}" for number in range(8)]
    with SqliteGallery(path) as gallery:
        assert len(gallery.people()) == 8


def test_two_names_for_one_face_at_once_are_noticed(
    recognizer: Recognizer, ada: Path, path: Path, tmp_path: Path
) -> None:
    """One enrollment waits for the other, so that the second sees the first."""
    recognizer.prepare()
    photos = [paint(tmp_path / f"{number}.png", PaintedFace(angle=number)) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        outcomes = pool.map(
            lambda number: recognizer.enroll(f"P{number}", photos[number])[0].outcome, range(6)
        )
        assert sorted(outcomes) == [Outcome.ACCEPTED, *[Outcome.LOOK_ALIKE] * 5]


def test_several_people_are_enrolled_together_and_compared_with_each_other(
    recognizer: Recognizer, ada: Path, tmp_path: Path
) -> None:
    bob = [paint(tmp_path / "bob1.png", BOB), paint(tmp_path / "bob2.png", PaintedFace(plane=1))]
    again = paint(tmp_path / "again.png", PaintedFace(plane=0, angle=1))
    outcomes = recognizer.enroll_all(
        {"Ada": ada, "Bob": bob, "Eve": again}, external_ids={"Bob": "7"}
    )
    assert [one.outcome for one in outcomes] == [
        Outcome.LOOK_ALIKE,
        Outcome.ACCEPTED,
        Outcome.REPEATED,
        Outcome.LOOK_ALIKE,
    ]
    assert [(one.name, one.external_id) for one in recognizer.people()] == [("Bob", "7")]


def test_a_folder_stands_for_its_pictures_and_no_picture_is_an_error(
    recognizer: Recognizer, ada: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    nothings: list[list[Path] | Path] = [[], tmp_path / "empty"]
    for nothing in nothings:
        with pytest.raises(FacecliError, match="Ada: no photos"):
            recognizer.enroll("Ada", nothing)
    assert [one.source for one in recognizer.enroll("Ada", str(tmp_path))] == [str(ada)]


def test_an_external_id_of_somebody_else_is_refused(recognizer: Recognizer, ada: Path) -> None:
    with pytest.raises(ValueError, match="'Adda', who is not among the people"):
        recognizer.enroll_all({"Ada": ada}, external_ids={"Adda": "7"})


def test_one_photo_may_stand_where_several_are_taken(recognizer: Recognizer, ada: Path) -> None:
    recognizer.enroll("Ada", ada)
    assert [one.person for one in recognizer.identify_all(str(ada))] == ["Ada"]
    assert len(list(recognizer.embed(ada.read_bytes()))) == 1


@pytest.mark.parametrize(
    "wrong", [{"k": 0}, {"gap": -0.1}, {"gap": 4.1}, {"gap": float("nan")}, {"faces": "biggest"}]
)
def test_values_out_of_range_are_refused(
    recognizer: Recognizer, ada: Path, wrong: dict[str, Any]
) -> None:
    recognizer.enroll("Ada", ada)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        recognizer.identify(ada, **wrong)


def test_what_is_no_photo_is_a_type_error(recognizer: Recognizer, ada: Path) -> None:
    recognizer.enroll("Ada", ada)
    with pytest.raises(TypeError, match="not ndarray"):
        recognizer.identify(np.zeros((9, 9, 3), np.uint8))  # type: ignore[arg-type]


def test_a_person_forgotten_while_the_photo_is_embedded_does_not_match(
    path: Path, ada: Path
) -> None:
    recognizer_of(gallery_at(path)).enroll("Ada", ada)

    class Forgetting(FakeDetector):
        def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
            with SqliteGallery(path) as gallery:
                if gallery.people():
                    gallery.forget(["Ada"])
            return super().detect(pictures)

    recognizer = recognizer_of(gallery_at(path), detector=Forgetting())
    assert recognizer.identify(ada)[0].status is Status.UNKNOWN
    service = RecognitionService(recognizer_of(gallery_at(path)))
    service.enroll(ada.read_bytes(), EnrollmentOptions("Ada"))
    service = RecognitionService(recognizer)
    (record,) = service.identify(ada.read_bytes(), k=3, gap=None, faces="all")
    assert record["status"] == "unknown"


class Restless(GalleryFile):
    """A gallery that somebody calibrates anew each time before it is opened."""

    def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
        with SqliteGallery(self.path) as gallery:
            old = [one.threshold for one in gallery.calibrations()]
            gallery.set_calibration(calibration(0.0 if old == [4.0] else 4.0))
        return super().open(create=create)


def calibration(threshold: float) -> Calibration:
    return Calibration(
        fingerprint=fake_card().fingerprint,
        model="fake-128",
        threshold=threshold,
        far=0.001,
        far_low=0.0,
        far_high=0.01,
        people=9,
        impostor_pairs=1000,
        genuine_pairs=0,
        fnmr=None,
        source="a test",
        created="2026-01-01T00:00:00+00:00",
        impostors={},
    )


def test_an_answer_and_its_record_rest_on_one_threshold(
    path: Path, ada: Path, tmp_path: Path
) -> None:
    """Whichever of two thresholds was met, the record names the one that decided."""
    recognizer_of(gallery_at(path)).enroll("Ada", ada)
    photo = paint(tmp_path / "other.png", PaintedFace(plane=0, angle=2)).read_bytes()
    service = RecognitionService(recognizer_of(Restless(path)))
    seen = set()
    for _ in range(2):
        (one,) = service.identify(photo, k=3, gap=None, faces="all")
        assert (one["status"] == "match") == (one["threshold"] == 4.0)
        two = service.verify((ada.read_bytes(), photo))
        assert two["same"] == (two["threshold"] == 4.0)
        seen |= {one["threshold"], two["threshold"]}
        recognizer_of(Restless(path)).people()  # so that the other threshold comes next
    assert seen == {0.0, 4.0}


def test_threads_load_each_network_once(
    monkeypatch: pytest.MonkeyPatch, path: Path, ada: Path
) -> None:
    loaded: list[str] = []

    def load(name: str, network: object) -> Callable[..., object]:
        def loading(*_: object, **__: object) -> object:
            time.sleep(0.05)
            loaded.append(name)
            return network

        return loading

    monkeypatch.setattr("facecli.models.encoders.read_card", lambda _: fake_card())
    monkeypatch.setattr("facecli.models.encoders.load_encoder", load("encoder", FakeEncoder()))
    monkeypatch.setattr("facecli.models.detectors.load_detector", load("detector", FakeDetector()))
    recognizer = facecli.open(path)
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda _: recognizer.verify(ada, ada), range(4)))
    assert all(verdict.same for verdict in verdicts)
    assert sorted(loaded) == ["detector", "encoder"]


@pytest.mark.network
def test_the_real_networks_answer_alike_in_every_thread(tmp_path: Path) -> None:
    folder = set_the_stage(tmp_path / "demo").folder
    photos = [folder / "portraits" / "grace.png", folder / "portraits" / "eileen.png"] * 2
    recognizer = facecli.open(tmp_path / "gallery.db")

    def vectors(photo: Path) -> FloatArray:
        (picture,) = recognizer.embed(photo)
        assert isinstance(picture, EmbeddedPicture)
        return picture.embeddings

    alone = list(map(vectors, photos))
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(vectors, photos), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_an_answer_carries_its_odds(real_encoder: object) -> None:
    """The default model's card knows how near strangers come."""
    recognizer = facecli.open("no gallery")
    assert recognizer.point().odds(1.0) is not None


@pytest.mark.parametrize("threshold", [-0.1, 4.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 4"):
        facecli.open("gallery.db", threshold=threshold)


def test_a_threshold_given_is_the_one_in_use() -> None:
    assert facecli.open("no gallery", threshold=0.0).point().threshold == 0.0
