"""Make the contact sheet: a card for each person, what to review, and people seen once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import PurePath

from markupsafe import Markup

from facecli.albums.doubts import Doubts
from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
from facecli.report.page import environment
from facecli.types import Subject

Key = tuple[str, int]
"""A face: the SHA-256 of its photo and its number in it."""

HUE = 137.5
"""Degrees between the hues of one person and the next: the golden angle, which repeats late."""


@dataclass(frozen=True, slots=True)
class FaceCard:
    """One face on the page; `source` is the address of its picture."""

    face: ClusteredFace
    source: str
    day: date | None

    @property
    def id(self) -> str:
        """The identifier of the face in the page."""
        return f"f{self.face.sha256[:16]}-{self.face.face}"

    @property
    def file(self) -> str:
        """The name of its photo, without folders."""
        return PurePath(self.face.source).name


@dataclass(frozen=True, slots=True)
class PersonCard:
    """One cluster on the page; `faces` are its different faces, the most central first."""

    cluster: Cluster
    faces: tuple[FaceCard, ...]

    @property
    def number(self) -> int:
        """The cluster's number."""
        return self.cluster.number

    @property
    def title(self) -> str:
        """The name, or "Person" with the number of the cluster."""
        return self.cluster.name or f"Person {self.cluster.number}"

    @property
    def spread(self) -> float:
        """Mean squared L2 of its faces to their centroid."""
        return sum(one.face.squared_l2 for one in self.faces) / len(self.faces)

    @property
    def days(self) -> tuple[date, ...]:
        """First and last day of its photos: one day if they are equal, none if not known."""
        known = sorted({one.day for one in self.faces if one.day is not None})
        return (known[0], known[-1]) if len(known) > 1 else tuple(known)


@dataclass(frozen=True, slots=True)
class Dot:
    """A face on the map: its place, 0 to 1, and the hue of its person, None if seen once."""

    card: FaceCard
    title: str
    x: float
    y: float
    hue: float | None


@dataclass(frozen=True, slots=True)
class Reviewing:
    """What a page with corrections shows: the last correction, None if there is none."""

    last: str | None


def people_page(
    grouping: Grouping,
    doubts: Doubts,
    *,
    picture_of: Callable[[Key], str],
    days: Mapping[str, date],
    places: Mapping[Key, tuple[float, float]],
    facts: Sequence[tuple[str, str]],
    review: Reviewing | None = None,
) -> str:
    """Return the page as HTML.

    `picture_of` returns the address of a face's picture; it must be one of our own. `days` maps the
    path of a photo to the day it was taken. `places` maps a face to its place on the map, 0 to 1.
    With `review` the page has buttons for corrections.
    """
    cards = {
        # The addresses are our own and need no escaping; as data URIs they are most of the page.
        key: FaceCard(face, Markup(picture_of(key)), days.get(face.source))  # noqa: S704
        for one in grouping.clusters
        for face in one.faces
        for key in [(face.sha256, face.face)]
    }
    everyone = {one.number: _person(one, cards) for one in grouping.clusters}
    people = [everyone[one.number] for one in grouping.people]
    known = {one.number for one in people}
    script = (resources.files("facecli.report") / "templates" / "people.js").read_text("utf-8")
    return (
        environment()
        .get_template("people.html")
        .render(
            grouping=grouping,
            thing="picture" if grouping.subject is Subject.PICTURE else "face",
            facts=facts,
            everyone=everyone,
            people=people,
            once=[one for number, one in everyone.items() if number not in known],
            faces=[(cards[doubt.face.sha256, doubt.face.face], doubt) for doubt in doubts.faces],
            alike=doubts.clusters,
            dots=_dots(cards, everyone, known, places),
            review=review,
            script=Markup(script),  # noqa: S704 - it is our own
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _person(cluster: Cluster, cards: Mapping[Key, FaceCard]) -> PersonCard:
    """Return the card of a cluster, without the faces of copied photos."""
    keys = dict.fromkeys((face.sha256, face.face) for face in cluster.faces)
    return PersonCard(cluster, tuple(cards[key] for key in keys))


def _dots(
    cards: Mapping[Key, FaceCard],
    everyone: Mapping[int, PersonCard],
    known: Collection[int],
    places: Mapping[Key, tuple[float, float]],
) -> list[Dot]:
    dots = []
    for key, (x, y) in places.items():
        card = cards[key]
        number = card.face.cluster
        hue = number * HUE % 360 if number in known else None
        dots.append(Dot(card, everyone[number].title, x, y, hue))
    return dots
