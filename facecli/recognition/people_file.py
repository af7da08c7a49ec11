"""The file in which people go from one gallery to another: JSON lines, bounded when it is read.

The first line says what the file is and which model its embeddings are of. Each other line is one
person: name, external id, and templates with the hash of the photo, the box, the quality and the
embedding, whose little-endian float32 numbers are base64.
"""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.stores.contract import GalleryStore
from facecli.stores.embeddings import STORED, check_unit, encode
from facecli.stores.gallery.refusals import SHOWN
from facecli.stores.names import clean_name
from facecli.text import LARGEST_JSON, read_json_object, shown
from facecli.types import Box, FloatArray, ModelCard, NewTemplate, Person, Quality

FORMAT, VERSION = "facecli people", 1

LARGEST_FILE = 2**30
"""Bytes: a million templates. A larger file is refused unread."""

MEASURES = ("eye_distance", "sharpness", "brightness", "turn")

HEXADECIMAL = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class PersonInFile:
    """A person of a file, and the line; `problem` says why the person cannot be used, if so."""

    line: int
    name: str
    external_id: str | None = None
    templates: tuple[NewTemplate, ...] = ()
    problem: str = ""


def write_people(
    stream: IO[bytes], gallery: GalleryStore, people: Iterable[Person], card: ModelCard
) -> Iterator[tuple[Person, int]]:
    """Write people with their templates of one model; yield each with how many that were.

    A person without a template of the model is not written. Raises FingerprintMismatch if the
    gallery has templates of other models only.
    """
    matrix = gallery.matrix(card)
    rows = {int(one): row for row, one in enumerate(matrix.template_ids)}
    model = {"name": card.name, "fingerprint": card.fingerprint, "dimension": card.dimension}
    _write_line(stream, {"format": FORMAT, "version": VERSION, "model": model})
    for person in people:
        templates = [
            {
                "image_sha256": one.image_sha256,
                "box": one.box,
                "quality": asdict(one.quality),
                "embedding": base64.b64encode(encode(matrix.embeddings[rows[one.id]])).decode(),
            }
            for one in gallery.templates_of(person.name)
            if one.id in rows
        ]
        if templates:
            known = {"name": person.name, "external_id": person.external_id}
            _write_line(stream, {**known, "templates": templates})
        yield person, len(templates)


def read_people(path: Path, card: ModelCard) -> list[PersonInFile]:
    """Return the people of a file, each with the problem that makes it unusable, if there is one.

    Raises GalleryError for a file that is none, and FingerprintMismatch for embeddings of another
    model.
    """
    where = shown(path)
    try:
        _refuse_odd_file(path, where)
        with path.open("rb") as stream:
            _check_header(stream.readline(LARGEST_JSON), card, where)
            return list(_people(stream, card))
    except OSError as error:
        raise GalleryError(f"{where}: {error.strerror}") from error


def _write_line(stream: IO[bytes], value: dict[str, Any]) -> None:
    stream.write(json.dumps(value, allow_nan=False).encode("ascii") + b"\n")


def _refuse_odd_file(path: Path, where: str) -> None:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise GalleryError(f"{where}: not a regular file")
    if found.st_size > LARGEST_FILE:
        raise GalleryError(f"{where}: larger than {LARGEST_FILE // 2**20} MiB")


def _check_header(line: bytes, card: ModelCard, where: str) -> None:
    """Refuse a file that is not of this format, and one of another model."""
    try:
        header = read_json_object(line)
        model = header["model"]
        name, fingerprint = str(model["name"]), str(model["fingerprint"])
        known = header["format"] == FORMAT
        newer = known and header["version"] != VERSION
    except (ValueError, KeyError, TypeError) as error:
        raise GalleryError(f"{where}: not a file of people that facecli exported") from error
    if newer:
        raise GalleryError(f"{where}: made by a newer facecli: upgrade facecli")
    if not known:
        raise GalleryError(f"{where}: not a file of people that facecli exported")
    if fingerprint != card.fingerprint:
        raise FingerprintMismatch(
            f"{where}: its embeddings are of model {name!r} ({fingerprint[:SHOWN]}), not of "
            f"{card.name!r} ({card.fingerprint[:SHOWN]}): choose that model with --model, or "
            "enroll the people again from their photos"
        )


def _people(stream: IO[bytes], card: ModelCard) -> Iterator[PersonInFile]:
    """Yield the people of the lines after the first. A line that is too long ends the file."""
    number = 1
    while line := stream.readline(LARGEST_JSON):
        number += 1
        if not line.endswith(b"\n") and len(line) == LARGEST_JSON:
            problem = f"longer than {LARGEST_JSON // 2**20} MiB; the rest is not read"
            yield PersonInFile(number, f"line {number}", problem=problem)
            return
        if line.strip():
            yield _person(line, number, card)


def _person(line: bytes, number: int, card: ModelCard) -> PersonInFile:
    """Return the person of a line."""
    name = f"line {number}"
    try:
        fields = read_json_object(line)
        name = clean_name(_text(fields["name"]))
        given = fields["external_id"]
        external_id = None if given is None else clean_name(_text(given), "external id")
        templates = tuple(
            _template(one, name, external_id, card) for one in _list(fields["templates"])
        )
        if not templates:
            raise ValueError("no templates")
        if len({(one.image_sha256, one.box) for one in templates}) < len(templates):
            raise ValueError("the same face of the same photo twice")
    except KeyError as error:
        return PersonInFile(number, name, problem=f"there is no {error.args[0]!r}")
    except (ValueError, GalleryError) as error:
        return PersonInFile(number, name, problem=str(error))
    return PersonInFile(number, name, external_id, templates)


def _template(fields: Any, name: str, external_id: str | None, card: ModelCard) -> NewTemplate:
    """Return a template; raise ValueError or KeyError for one that is not as it was written."""
    if not isinstance(fields, dict):
        raise ValueError("a template is not an object")
    image = _text(fields["image_sha256"])
    if len(image) != 64 or not set(image) <= HEXADECIMAL:
        raise ValueError("image_sha256 is not a SHA-256")
    quality = fields["quality"]
    if not isinstance(quality, dict):
        raise ValueError("quality is not an object")
    return NewTemplate(
        person=name,
        embedding=_embedding(_text(fields["embedding"]), card.dimension),
        image_sha256=image,
        box=_box(_list(fields["box"])),
        quality=Quality(*(_number(quality[one]) for one in MEASURES)),
        external_id=external_id,
    )


def _embedding(text: str, dimension: int) -> FloatArray:
    data = base64.b64decode(text, validate=True)
    if len(data) != dimension * STORED.itemsize:
        raise ValueError(f"an embedding does not have {dimension} numbers")
    embedding = np.frombuffer(data, STORED).astype(np.float32)
    check_unit(embedding, dimension)
    return embedding


def _box(values: list[Any]) -> Box:
    left, top, right, bottom = map(_number, values if len(values) == 4 else [None])
    return left, top, right, bottom


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text where one belongs")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a list where one belongs")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number where one belongs")
    return float(value)
