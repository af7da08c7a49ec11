"""Find and read photos for commands, and say what is passed over."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from facecli.cli.output import counted, note, progress, warn
from facecli.errors import FaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from facecli.cli.settings import Settings
    from facecli.evaluation.samples import Samples


def pictures_in(paths: Iterable[Path]) -> list[Path]:
    """Return the pictures among files and folders; say on stderr what is passed over and why."""
    from facecli.faces.photo_files import said, search_pictures

    searched = search_pictures(paths)
    if text := said(searched.passed):
        note(text)
    return list(searched.pictures)


@contextmanager
def naming(data: Path) -> Iterator[None]:
    """Add the name of the data to an error about faces."""
    try:
        yield
    except FaceError as error:
        raise FaceError(f"{data}: {error}") from error


def read_samples(settings: Settings, data: Path) -> Samples:
    """Return one face for each photo of a folder of people or a CSV file, without copies of photos.

    Photos that are left out, and photos without a face, are reported on stderr.
    """
    from facecli.albums.scanning import scan
    from facecli.datasets import read_photo_set
    from facecli.evaluation.samples import gather

    photos = read_photo_set(data)
    if photos.said:
        note(photos.said)
    scanned = scan(
        [photos.root / path for path in photos.paths],
        library=settings.library(),
        detector=settings.detector(),
        encoder=settings.encoder(),
        workers=settings.workers,
    )
    looked_at = progress(scanned, len(photos), "Looking at photos")
    samples = gather(photos, looked_at, settings.card().dimension)
    for failure in samples.failures:
        warn(f"{failure.source}: {failure.reason}")
    fresh = samples.without_copies()
    if copies := len(samples) - len(fresh):
        note(f"{counted(copies, 'photo')} left out: copies of another photo of the person")
    return fresh
