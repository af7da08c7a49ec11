"""The default model on real photos: who is recognised, who is not, and who must never be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from fakes import networks_of
from PIL import Image

from facecli.faces.acquisition import acquire
from facecli.faces.embedding import embed_pictures
from facecli.recognition.decisions import Status
from facecli.recognition.enroll import examine, judge, store
from facecli.recognition.identify import Identification, KnownPeople, identify
from facecli.recognition.roster import EnrollmentRequest
from facecli.recognition.verify import Sample, Verdict, photo_sample, verify
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import Detector, Encoder, Picture
from facecli.vectors.index import ExactIndex

pytestmark = [pytest.mark.faces, pytest.mark.network]

PORTRAITS = ("obama", "obama2", "obama3", "obama_small")
PARTIAL = ("obama_partial_face", "obama_partial_face2")
STRIDE = 15
"""Frames of a clip between those that are looked at: half a second."""


class Lab:
    """The real networks, with people enrolled from the photos they are named after."""

    def __init__(self, photos: Path, detector: Detector, encoder: Encoder) -> None:
        self.photos = photos
        self.detector = detector
        self.encoder = encoder
        self.threshold = encoder.card.threshold
        self.portraits: dict[str, Sample] = {}

    def known(self, people: dict[str, Path]) -> KnownPeople:
        """Enroll everyone from one photo each; none may be refused."""
        card = self.encoder.card
        requests = [EnrollmentRequest(name, self.photos / path) for name, path in people.items()]
        with SqliteGallery.memory() as gallery:
            examined = examine(requests, networks_of(self.detector, self.encoder).embed)
            outcomes = judge(examined, gallery, card, threshold=self.threshold)
            assert [one for one in outcomes if one.outcome.refused] == []
            store(outcomes, gallery, card)
            matrix = gallery.matrix(card)
        return KnownPeople(matrix, ExactIndex(matrix.embeddings))

    def identify(
        self, known: KnownPeople, sources: Iterable[Path | Picture]
    ) -> list[Identification]:
        acquired = acquire(sources, self.detector, self.encoder.card.geometry)
        pictures = embed_pictures(acquired, self.encoder, main_only=False)
        return list(identify(pictures, known, threshold=self.threshold))

    def verify(self, a: str, b: str) -> Verdict:
        return verify(self.portrait(a), self.portrait(b), threshold=self.threshold)

    def portrait(self, name: str) -> Sample:
        """Return a portrait, embedded once for all tests."""
        if name not in self.portraits:
            path = next((self.photos / "portraits").glob(f"{name}.*"))
            acquired = acquire([path], self.detector, self.encoder.card.geometry)
            (picture,) = embed_pictures(acquired, self.encoder, main_only=False)
            self.portraits[name] = photo_sample(picture)
        return self.portraits[name]


@pytest.fixture(scope="module")
def lab(faces: Path, real_detector: Detector, real_encoder: Encoder) -> Lab:
    return Lab(faces / "photos", real_detector, real_encoder)


def frames(clip: Path, stride: int = STRIDE) -> Iterator[Picture]:
    """Yield every so-manieth frame of a clip, called by its number."""
    cv2 = pytest.importorskip("cv2", reason="reads the clips; not needed by facecli")
    film = cv2.VideoCapture(str(clip))
    for number in range(int(film.get(cv2.CAP_PROP_FRAME_COUNT))):
        read, pixels = film.read()
        if read and number % stride == 0:
            picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
            yield Picture(str(number), picture, sha256=f"{number:064d}")


@pytest.mark.parametrize("other", PORTRAITS[1:])
def test_portraits_of_one_person_are_the_same(lab: Lab, other: str) -> None:
    assert lab.verify("obama", other).same


@pytest.mark.parametrize("other", [*PORTRAITS, *PARTIAL, "32bit"])
def test_biden_is_different_from_every_portrait_of_obama(lab: Lab, other: str) -> None:
    assert not lab.verify("biden", other).same


@pytest.mark.parametrize("other", [*PARTIAL, "32bit"])
def test_cut_faces_and_alpha_are_nearer_to_their_own_person(lab: Lab, other: str) -> None:
    own, wrong = lab.verify("obama", other), lab.verify("biden", other)
    assert own.squared_l2 < wrong.squared_l2


def test_of_two_people_in_a_photo_both_are_named(lab: Lab) -> None:
    known = lab.known({"obama": Path("portraits/obama.jpg"), "biden": Path("portraits/biden.jpg")})
    answers = lab.identify(known, [lab.photos / "portraits" / "two_people.jpg"])
    assert {answer.person for answer in answers} == {"obama", "biden"}


def test_a_singer_is_found_in_a_clip_and_a_blurred_pianist_never_takes_his_name(lab: Lab) -> None:
    """Up to frame 20 both are far away, he on the right; then the pianist is close, blurred and in
    profile; from 90 to 210 the singer is alone; from 215 on there is only the audience."""
    known = lab.known(
        {
            "miranda": Path("hamilton/lin-manuel-miranda.png"),
            "lacamoire": Path("hamilton/alex-lacamoire.png"),
        }
    )
    clip = frames(lab.photos / "hamilton" / "short_hamilton_clip.mp4")
    found = alone = 0
    for answer in lab.identify(known, clip):
        frame = int(answer.source)
        alone += answer.face is not None and 90 <= frame <= 210
        if answer.person is None:
            continue
        assert answer.box is not None
        assert frame < 215, "nobody of the audience is enrolled"
        singer = frame >= 90 or (frame <= 20 and answer.box[0] > 320)
        assert answer.person == ("miranda" if singer else "lacamoire")
        found += singer and frame >= 90
    assert alone >= 8
    assert found >= alone / 2


@pytest.fixture(scope="module")
def actors(lab: Lab) -> dict[str, Path]:
    """Return the first photo of each of the eight actors, grey and 27 to 60 pixels a face."""
    names = sorted(path.name for path in (lab.photos / "bbt").iterdir() if path.name != "group")
    assert len(names) == 8
    return {name: Path(f"bbt/{name}/{name}1.png") for name in names}


def test_small_grey_crops_are_named_right_from_one_crop_each(
    lab: Lab, actors: dict[str, Path]
) -> None:
    """At most 6 of 32 have somebody else as the nearest person, and none is matched wrongly."""
    crops = {
        str(lab.photos / "bbt" / name / f"{name}{number}.png"): name
        for name in actors
        for number in range(2, 6)
    }
    answers = lab.identify(lab.known(actors), map(Path, crops))
    wrong = [
        (Path(answer.source).name, answer.status)
        for answer in answers
        if not answer.candidates or answer.candidates[0].name != crops[answer.source]
    ]
    assert len(answers) == 32
    assert len(wrong) <= 6, wrong
    assert all(one.person in (None, crops[one.source]) for one in answers)


def test_nobody_is_named_twice_in_a_group_photo(lab: Lab, actors: dict[str, Path]) -> None:
    answers = lab.identify(lab.known(actors), sorted((lab.photos / "bbt" / "group").iterdir()))
    named = [(answer.source, answer.person) for answer in answers if answer.person]
    assert len(named) == len(set(named)) >= 10


def test_no_stranger_is_matched_to_anyone(lab: Lab, actors: dict[str, Path]) -> None:
    """A group, four portraits and people in a street, none of whom is among the eleven enrolled."""
    others = {
        "obama": Path("portraits/obama.jpg"),
        "biden": Path("portraits/biden.jpg"),
        "miranda": Path("hamilton/lin-manuel-miranda.png"),
    }
    folder = lab.photos / "multiface"
    strangers: list[Path | Picture] = [*sorted(folder.rglob("*.jpg"))]
    strangers += frames(folder / "street.mp4", stride=4 * STRIDE)
    answers = lab.identify(lab.known(actors | others), strangers)
    assert [one for one in answers if one.person] == []
    assert sum(one.status is Status.UNKNOWN for one in answers) >= 10
