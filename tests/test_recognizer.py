"""The Recognizer: one wiring of gallery, detector and encoder, for any thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint, recognizer_of
from PIL import Image

import facecli
from facecli.errors import FaceError, FingerprintMismatch, GalleryError, PictureError
from facecli.faces.embedding import EmbeddedPicture
from facecli.recognition.decisions import Status
from facecli.recognition.recognizer import Recognizer
from facecli.recognition.screening import Outcome
from facecli.recognition.verify import Enrolled
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import gallery_at
from facecli.types import FailureKind

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
    from fakes import fake_card

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
