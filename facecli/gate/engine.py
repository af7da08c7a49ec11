"""The gate: it takes frames and returns the faces in view and its decisions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from PIL import Image

from facecli.calibration.operating import OperatingPoint
from facecli.faces.finding import overlap
from facecli.faces.frames import Glimpse, glimpse
from facecli.gate.confirmation import MAX_TRIES, Conclusion, Vote, conclude
from facecli.gate.cooldown import Cooldown
from facecli.gate.tracking import LOST_SECONDS, SAME_PLACE, Track, link, shows_another
from facecli.gate.types import DEFAULTS, LOOKING, GateEvent, GateSettings, Sighting, TrackedFace
from facecli.recognition.decisions import Status
from facecli.recognition.identify import FaceAnswer, KnownPeople, answer_faces
from facecli.recognition.live import LivePeople
from facecli.recognition.recognizer import Recognizer
from facecli.types import Subject

_LOG = logging.getLogger("facecli.gate")


class EnrolledPeople(Protocol):
    """Knows who is enrolled now."""

    def known(self) -> KnownPeople:
        """Return everyone enrolled. It is the same object as long as nothing has changed."""
        ...


class Follower:
    """Follows the faces of one source of frames and decides once about each appearance.

    Use it from one thread at a time. It is told which faces are in each frame.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: GateSettings = DEFAULTS,
        *,
        people: EnrolledPeople | None = None,
    ) -> None:
        """Take the recognizer, the settings and who knows the people, as Gate does."""
        self._card = recognizer.card
        self._people = people or LivePeople(recognizer.reader, say=_LOG.warning)
        self._settings = settings
        self.point = recognizer.point()
        # Whether two looks show the same face depends on the model, not on the gallery's threshold.
        self._same = self._card.threshold
        self._cooldown = Cooldown(settings.cooldown, self._same)
        self._known = self._people.known()
        self._tracks: list[Track] = []
        self._numbered = 0
        self._looked = -np.inf

    def due(self, at: float) -> bool:
        """Return whether a frame at this time would be looked at."""
        return at - self._looked >= self._settings.look_seconds

    def see(self, glimpses: Sequence[Glimpse] | None, at: float, *, source: str = "") -> Sighting:
        """Take the faces of the next frame; return what is in view and what was decided.

        `at` is its time in seconds, never less than the time before. None means that no frame was
        looked at: only the time passes. `source` is the name of the frame's origin in events.
        """
        known = self._people.known()
        if known is not self._known:
            self._known = known
            self._cooldown.keep(set(known.matrix.names.values()))
            for track in self._tracks:
                track.reconsider()
        if glimpses is not None:
            self._follow(glimpses, at, source)
        events = self._decide(at)
        faces = tuple(self._face(track, at) for track in self._tracks if track.seen == self._looked)
        return Sighting(faces, events)

    def finish(self, at: float) -> tuple[GateEvent, ...]:
        """Decide about everyone still in view, because the source has ended."""
        return self._decide(at, ended=True)

    def _follow(self, glimpses: Sequence[Glimpse], at: float, source: str) -> None:
        links = link(self._tracks, glimpses, at, same=self._same)
        answers = self._answers(glimpses)
        if self._card.subject is Subject.PICTURE:
            links = [
                None if track and answer and shows_another(track, answer) else track
                for track, answer in zip(links, answers, strict=True)
            ]
        self._looked = at
        for track in self._tracks:
            # Another face in the same place ends an appearance. A face that returns is a new one.
            track.displaced = track not in links and any(
                overlap(track.box(at), one.box) > SAME_PLACE for one in glimpses
            )
        tracks = [
            self._followed(track, one, at, source)
            for track, one in zip(links, glimpses, strict=True)
        ]
        for track, answer in zip(tracks, answers, strict=True):
            if answer is None:
                continue
            track.embedding = track.last.embedding
            track.answer = answer
            track.votes.append(self._vote(track, answer, tracks))
            del track.votes[: -MAX_TRIES * self._settings.confirm]
        for track in tracks:
            self._cooldown.seen(track)

    def _followed(self, track: Track | None, one: Glimpse, at: float, source: str) -> Track:
        if track is None:
            self._numbered += 1
            track = Track(self._numbered, source, one, began=at, seen=at)
            self._tracks.append(track)
        else:
            track.follow(one, at)
            track.source = source
        return track

    def _answers(self, glimpses: Sequence[Glimpse]) -> list[FaceAnswer | None]:
        """Identify the faces of one frame together, since nobody is in it twice; None: unusable."""
        vectors = [one.embedding for one in glimpses if one.embedding is not None]
        if not vectors:
            return [None] * len(glimpses)
        answers = answer_faces(
            np.stack(vectors),
            self._known,
            threshold=self.point.threshold,
            gap=self._settings.gap,
            k=self._settings.candidates,
        )
        found = iter(answers)
        return [None if one.embedding is None else next(found) for one in glimpses]

    def _vote(self, track: Track, answer: FaceAnswer, in_view: Sequence[Track]) -> Vote:
        taken = {
            other.outcome.person for other in in_view if other is not track and other.outcome
        } - {None}
        if answer.person in taken:
            return Vote(Status.AMBIGUOUS)  # this person is already in the frame, as another face
        return Vote(answer.status, answer.person, answer.squared_l2)

    def _decide(self, at: float, *, ended: bool = False) -> tuple[GateEvent, ...]:
        """Decide about every face that can be decided, and drop the faces out of view."""
        events = []
        staying = []
        for track in self._tracks:
            over = ended or track.displaced or at - track.seen > LOST_SECONDS
            if track.outcome is None:
                track.outcome = self._outcome(track, over=over)
                if track.outcome is not None and self._cooldown.admits(track):
                    events.append(self._event(track, track.outcome, at))
            if not over:
                staying.append(track)
        self._tracks = staying
        self._cooldown.forget(at)
        return tuple(events)

    def _outcome(self, track: Track, *, over: bool) -> Conclusion | None:
        confirm = self._settings.confirm
        if over and track.looks < confirm:
            return None  # too short for an appearance, or a false detection
        if over and not track.votes:
            what = "face" if self._card.subject is Subject.FACE else "thing"
            changed = f"people were enrolled or forgotten while this {what} left"
            why = "; ".join(track.last.notes) or changed
            return Conclusion(Status.UNKNOWN, f"no look counted: {why}")
        return conclude(track.votes, confirm, over=over)

    def _event(self, track: Track, outcome: Conclusion, at: float) -> GateEvent:
        answer, point = track.answer, self.point
        nearest = outcome.squared_l2
        if nearest is None and answer is not None:
            nearest = answer.nearest
        templates = self._known.templates
        return GateEvent(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            at=round(at, 3),
            source=track.source,
            track=track.number,
            status=outcome.status,
            reason=outcome.reason,
            box=track.last.box,
            looks=track.looks,
            usable=len(track.votes),
            person=outcome.person,
            squared_l2=outcome.squared_l2,
            threshold=point.threshold,
            model=self._card.name,
            fingerprint=self._card.fingerprint,
            candidates=() if answer is None else answer.candidates,
            people=self._known.people,
            odds=None if nearest is None else point.odds(nearest, templates=templates),
        )

    def _face(self, track: Track, at: float) -> TrackedFace:
        """Return a face in view with its decision, if the last look does not contradict it."""
        face = TrackedFace(track.number, track.box(at), LOOKING, notes=track.last.notes)
        outcome = track.outcome
        if outcome is None:
            return face
        if outcome.person is None:
            return replace(face, state=str(outcome.status))
        if any(vote.person not in (None, outcome.person) for vote in track.votes):
            return replace(face, state=str(Status.AMBIGUOUS))
        answer = track.answer
        if face.notes or answer is None or answer.person != outcome.person:
            return face
        return replace(
            face, state=str(Status.MATCH), person=answer.person, squared_l2=answer.squared_l2
        )


class Gate:
    """Follows the faces of one source of frames and decides once about each appearance.

    Use it from one thread at a time. It stores no pictures.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        settings: GateSettings = DEFAULTS,
        *,
        people: EnrolledPeople | None = None,
    ) -> None:
        """Take the recognizer and the settings.

        `people` knows who is enrolled. Without it the gallery is watched: changes count within a
        second, and while it cannot be read, the people read before stay known and the log
        "facecli.gate" gets one warning. Raises GalleryError if it cannot be read at the start.
        """
        self._detector = recognizer.networks.detector
        self._encoder = recognizer.networks.encoder
        self._follower = Follower(recognizer, settings, people=people)

    @property
    def point(self) -> OperatingPoint:
        """The threshold in use and what is known of strangers under it."""
        return self._follower.point

    def due(self, at: float) -> bool:
        """Return whether a frame at this time would be looked at."""
        return self._follower.due(at)

    def feed(self, frame: Image.Image | None, at: float, *, source: str = "") -> Sighting:
        """Take the next frame, upright RGB, and return what is in view and what was decided.

        `at` is its time in seconds, never less than the time before. If `frame` is None, only the
        time passes: use it for frames that are not due, and while no frame arrives. `source` is the
        name of the frame's origin in events. Raises TypeError for a frame that is not a PIL.Image
        in mode RGB.
        """
        if frame is not None and getattr(frame, "mode", None) != "RGB":
            raise TypeError("a frame is a PIL.Image in mode RGB: use Image.fromarray for an array")
        glimpses = None
        if frame is not None and self.due(at):
            glimpses = glimpse(frame, self._detector, self._encoder)
        return self._follower.see(glimpses, at, source=source)

    def finish(self, at: float) -> tuple[GateEvent, ...]:
        """Decide about everyone still in view, because the source has ended."""
        return self._follower.finish(at)
