"""`--annotate`: pictures with boxes and names, for identify, embed and cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.output import counted, note, warn
from facecli.errors import FacecliError, known_reason

if TYPE_CHECKING:
    from facecli.albums.grouping import Grouping
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.faces.opened import OpenedPicture
    from facecli.recognition.identify import Identification
    from facecli.report.drawing import Mark
    from facecli.report.film import Film

annotate_option = click.option(
    "--annotate",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the photo with boxes drawn on it to a new file, or several to a new folder.",
)


class Annotating:
    """Writes the photos of a command with marks on them, if --annotate was given."""

    def __init__(self, out: Path | None, given: Sequence[Path]) -> None:
        """Take the value of --annotate, and the photos and folders that were given."""
        from facecli.report.annotation import Annotations

        self._annotations = None if out is None else Annotations(out, given)
        self._written = 0
        self._failed = False

    def write(self, photo: Path | OpenedPicture, marks: Sequence[Mark]) -> None:
        """Write a photo with marks on it; warn if that fails."""
        if self._annotations is None:
            return
        try:
            self._annotations.write(photo, marks)
            self._written += 1
        except Exception as error:
            if (reason := known_reason(error)) is None:
                raise
            self._failed = True
            warn(f"not annotated: {reason}")

    def end(self) -> int:
        """Say how many photos were written; return the exit code."""
        if self._annotations is not None:
            note(f"{self._annotations.out}: {counted(self._written, 'annotated photo')}")
        return 2 if self._failed else 0


def film_of(source: str, out: Path) -> Film:
    """Return the film to write beside a source; raise FacecliError if that is no video file."""
    from facecli.report.film import Film

    if source.isdecimal() or not Path(source).is_file():
        raise FacecliError("--annotate with --source needs a video file as its source")
    return Film(out, source)


def marks_of_answers(answers: Sequence[Identification]) -> list[Mark]:
    """Return the marks of a photo's faces, or of the reason why there are none."""
    return [_mark_of_answer(one) for one in answers]


def _mark_of_answer(answer: Identification) -> Mark:
    from facecli.report.drawing import AMBER, GREEN, RED, Mark

    if answer.person is not None:
        return Mark((answer.person, f"squared L2 {answer.squared_l2:.3f}"), GREEN, answer.box)
    lines = [str(answer.status)]
    if answer.nearest is not None:
        lines.append(f"nearest: squared L2 {answer.nearest:.3f}")
    return Mark(tuple(lines), RED if answer.status == "unknown" else AMBER, answer.box)


def marks_of_faces(picture: EmbeddedPicture) -> list[Mark]:
    """Return the marks of a picture's faces, with their numbers as in the records."""
    from facecli.faces.whole import is_whole
    from facecli.report.drawing import BLUE, Mark

    marks = []
    for number, face in enumerate(picture.faces):
        box = face.detection.box
        what = "the whole picture" if is_whole(box, picture.size) else f"face {number}"
        marks.append(Mark((what,), BLUE, box))
    return marks or [nothing_found()]


def marks_of_clusters(grouping: Grouping) -> dict[str, list[Mark]]:
    """Return the marks of each photo's faces, with the numbers and names of their clusters."""
    from facecli.report.drawing import Mark, colour_of

    marks: dict[str, list[Mark]] = {}
    for one in grouping.clusters:
        who = f"cluster {one.number}" if one.name is None else f"{one.number} {one.name}"
        for face in one.faces:
            lines = (who, f"squared L2 {face.squared_l2:.3f}")
            marks.setdefault(face.source, []).append(Mark(lines, colour_of(one.number), face.box))
    return marks | {source: [nothing_found()] for source in grouping.without_face}


def nothing_found() -> Mark:
    """Return the mark of a picture without a face."""
    from facecli.report.drawing import AMBER, Mark
    from facecli.types import NO_FACE_FOUND

    return Mark((NO_FACE_FOUND,), AMBER)


def by_photo(answers: Iterable[Identification]) -> Iterator[list[Identification]]:
    """Yield the answers of one photo after the other; also if a photo comes twice."""
    photo: list[Identification] = []
    for answer in answers:
        photo.append(answer)
        if len(photo) >= answer.faces:
            yield photo
            photo = []
