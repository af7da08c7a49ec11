"""`facecli embed`: compute the embeddings of faces, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.annotating import Annotating, annotate_option, marks_of_faces
from facecli.cli.options import NETWORKS, PICTURES, library_option, options_for
from facecli.cli.output import counted, detail, emit, emit_json, progress, shown, warn
from facecli.cli.samples import pictures_in
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.records import embedding as records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facecli.faces.embedding import EmbeddedPicture
    from facecli.recognition.networks import Faces
    from facecli.records.embedding import EmbeddingsFileRecord
    from facecli.types import Failure


@click.command()
@click.argument("paths", metavar="PHOTO|DIR…", nargs=-1, required=True, type=PICTURES)
@click.option(
    "--faces",
    type=click.Choice(["largest", "all"]),
    default="all",
    show_default=True,
    help="Which faces of a photo to embed: all, or the main one (large, central and whole).",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.npz",
    help="Write NumPy arrays: paths, embeddings float32 (n, d), boxes (n, 4), confidence (n,).",
)
@annotate_option
@library_option
@options_for(*NETWORKS)
@pass_settings
@click.pass_context
def embed(
    ctx: click.Context,
    settings: Settings,
    paths: tuple[Path, ...],
    faces: Faces,
    out: Path | None,
    annotate: Path | None,
) -> None:
    """Compute the embedding of each face, for other programs.

    Writes one JSON line per face to stdout, or NumPy arrays to FILE.npz with --out. If a photo has
    no face or cannot be read, the other photos are still processed. Exit codes: 1 if a photo has
    no face, 2 if a photo could not be read.
    """
    from facecli.types import Failure, Subject

    if out is not None and not out.parent.is_dir():
        raise FacecliError(f"{out}: there is no folder {out.parent}")
    annotating = Annotating(annotate, paths)
    card = settings.encoder().card
    pictures: list[EmbeddedPicture] = []
    code = lost = 0
    for result in _embedded(settings, paths, faces):
        code = max(code, _report(result, as_records=out is None))
        if isinstance(result, Failure):
            lost += 1
            continue
        annotating.write(Path(result.source), marks_of_faces(result))
        if out is None:
            for record in records.embeddings(result, card):
                emit_json(record)
        else:
            pictures.append(result)
    if out is not None:
        _write_arrays(out, pictures, card.dimension)
        count = sum(len(picture.faces) for picture in pictures)
        photos = (len(pictures) + lost, sum(not one.faces for one in pictures), lost)
        made = records.embeddings_file(out, card, faces=count, photos=photos)
        emit(made, _summary(made, "picture" if card.subject is Subject.PICTURE else "face"))
    ctx.exit(max(code, annotating.end()))


def _summary(made: EmbeddingsFileRecord, what: str) -> str:
    """Return a line whose numbers add up to the photos given; `what` is embedded."""
    text = f"{shown(made['path'])}: {counted(made['faces'], what)}"
    text += f" of {counted(made['photos'], 'photo')}"
    text += f", {made['without_face']} without a face" if made["without_face"] else ""
    return text + (f", {made['failures']} not read" if made["failures"] else "")


def _embedded(
    settings: Settings, paths: tuple[Path, ...], faces: Faces
) -> Iterator[EmbeddedPicture | Failure]:
    """Embed all pictures at the paths; a progress bar follows the search for faces."""
    found = pictures_in(paths)
    return settings.recognizer(remembering=True).embed(
        found, faces=faces, follow=lambda acquired: progress(acquired, len(found), "Embedding")
    )


def _report(result: EmbeddedPicture | Failure, *, as_records: bool) -> int:
    """Report a picture without an embedding on stderr, and as a record; return the exit code."""
    from facecli.types import NO_FACE_FOUND, Failure

    if not isinstance(result, Failure):
        for text in result.notes:
            detail(f"{result.source}: {text}")
        if result.faces:
            return 0
    reason = result.reason if isinstance(result, Failure) else NO_FACE_FOUND
    warn(f"{result.source}: {reason}")
    if as_records:
        emit_json(records.failure(result.source, reason))
    return 2 if isinstance(result, Failure) else 1


def _write_arrays(out: Path, pictures: list[EmbeddedPicture], dimension: int) -> None:
    """Write all faces as arrays, one row per face. The file is complete or does not exist.

    Only its owner can read it, since embeddings are biometric data.
    """
    import numpy as np

    from facecli.files import PRIVATE, replacing

    faces = [(picture.source, face) for picture in pictures for face in picture.faces]
    vectors = [picture.embeddings for picture in pictures]
    with replacing(out, mode=PRIVATE) as stream:
        np.savez(
            stream,
            paths=np.array([source for source, _ in faces], dtype=np.str_),
            embeddings=np.concatenate([np.empty((0, dimension), np.float32), *vectors]),
            boxes=np.array([face.detection.box for _, face in faces], np.float32).reshape(-1, 4),
            confidence=np.array([face.detection.confidence for _, face in faces], np.float32),
        )
