"""Names into the XMP sidecars beside photos, and names taken back from them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facecli.albums.grouping import Grouping
from facecli.albums.sidecars import Region, area_overlap, merged, read_regions, started, stored_area
from facecli.errors import FacecliError, GalleryError
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.images import display_name, own_xmp, stored_orientation
from facecli.files import SHARED, replacing
from facecli.stores.library.clusters import AlbumStore, Fact, StoredFace
from facecli.stores.names import clean_name, name_key
from facecli.types import Box, Failure

SAME_FACE = 0.3
"""Overlap (intersection over union) from which a region is the face that was found there."""

ENDING = ".xmp"


@dataclass(frozen=True, slots=True)
class Named:
    """What sidecars said: how many faces got a name by it, and what could not be used and why."""

    faces: int
    failures: tuple[Failure, ...]


def _finder() -> Callable[[Path], Path]:
    """Return what says where a photo's sidecar is: photo.jpg.xmp, or photo.xmp if only that exists.

    The second is some programs' way. With two photos of one stem it would be about either. Each
    folder is listed once at most.
    """

    @functools.cache
    def stems(folder: Path) -> Counter[str]:
        try:
            return Counter(one.stem for one in folder.iterdir() if one.suffix not in ("", ENDING))
        except OSError:
            return Counter()

    def sidecar_of(photo: Path) -> Path:
        whole, short = photo.with_name(photo.name + ENDING), photo.with_suffix(ENDING)
        if _exists(whole) or not _exists(short):
            return whole
        return short if stems(photo.parent)[photo.stem] == 1 else whole

    return sidecar_of


def write_sidecars(
    grouping: Grouping,
    pictures: Iterable[EmbeddedPicture | Failure],
    *,
    dry_run: bool = False,
) -> tuple[int, tuple[Failure, ...]]:
    """Write the names of faces beside their photos; return how many files changed, and failures.

    A sidecar that is there keeps what others wrote, and a new one starts from the photo's own XMP;
    one that says all already is not touched, and none is made for a photo of nobody named. A dry
    run only counts.
    """
    named: dict[str, list[tuple[str, Box]]] = {}
    for one in grouping.clusters:
        for face in one.faces:
            if one.name is not None:
                named.setdefault(face.source, []).append((one.name, face.box))
    sidecar_of = _finder()
    written = 0
    failures: list[Failure] = []
    for picture in pictures:
        if isinstance(picture, EmbeddedPicture):
            sidecar = sidecar_of(Path(picture.source))
            try:
                after = _content(sidecar, picture, named.get(picture.source, []))
                if after is not None and not dry_run:
                    _write(sidecar, after)
                written += after is not None
            except (FacecliError, OSError) as error:
                failures.append(_failure(sidecar, error))
    return written, tuple(failures)


def _content(
    sidecar: Path, picture: EmbeddedPicture, named: Sequence[tuple[str, Box]]
) -> bytes | None:
    """Return what a sidecar is to hold, or None where it stays as it is."""
    photo = Path(picture.source)
    if _exists(sidecar):
        before: bytes | None = sidecar.read_bytes()
    elif named:
        before = started(own_xmp(photo))
    else:
        return None
    orientation = stored_orientation(photo)
    regions = [Region(name, stored_area(box, picture.size, orientation)) for name, box in named]
    size = picture.size[::-1] if orientation >= 5 else picture.size
    return merged(before, regions, size)


def _write(sidecar: Path, content: bytes) -> None:
    mode = sidecar.stat().st_mode & 0o777 if _exists(sidecar) else SHARED
    with replacing(sidecar, mode=mode) as stream:
        stream.write(content)


def names_from_sidecars(pictures: Iterable[EmbeddedPicture | Failure], store: AlbumStore) -> Named:
    """Take the names that sidecars give to faces; all of them are one correction, to be undone.

    The pictures have been clustered, so that their faces are known. What facecli wrote itself may
    be older than a correction: it counts only for faces of which this library was told nothing. A
    name twice in one photo, one that is no name, and a region without a face are failures, which
    name the sidecar.
    """
    said = store.facts()
    given = {fact.one: fact for fact in said if fact.kind == "name"}
    corrected = {face for fact in said for face in (fact.one, fact.other)}
    named = store.names()
    sidecar_of = _finder()
    facts: list[Fact] = []
    failures: list[Failure] = []
    for picture in {
        one.sha256: one for one in pictures if isinstance(one, EmbeddedPicture)
    }.values():
        sidecar = sidecar_of(Path(picture.source))
        try:
            regions = read_regions(sidecar.read_bytes()) if _exists(sidecar) else []
        except (FacecliError, OSError) as error:
            failures.append(_failure(sidecar, error))
            continue
        found, problems = _matched(picture, regions, store.sightings([picture.sha256]))
        facts += [
            Fact(0, "name", face.id, name=name)
            for face, name, ours in found
            if not (ours and (face.id in corrected or face.identity in named))
        ]
        failures += [Failure(str(sidecar), problem) for problem in problems]
    new = [
        fact
        for fact in facts
        if fact.one not in given
        or name_key(given[fact.one].name or "") != name_key(fact.name or "")
    ]
    if new:
        ended = [given[fact.one].id for fact in new if fact.one in given]
        store.correct(f"names of {len(new)} faces from sidecars", facts=new, ended=ended)
    return Named(len(new), tuple(failures))


def _matched(
    picture: EmbeddedPicture, regions: Sequence[Region], faces: Sequence[StoredFace]
) -> tuple[list[tuple[StoredFace, str, bool]], list[str]]:
    """Return the faces that regions name, whether it is ours, and what is wrong with others."""
    found: list[tuple[StoredFace, str, bool]] = []
    problems: list[str] = []
    orientation = stored_orientation(Path(picture.source)) if regions else 1
    areas = [stored_area(face.box, picture.size, orientation) for face in faces]
    keys = [name_key(region.name) for region in regions]
    for region, key in zip(regions, keys, strict=True):
        try:
            name = clean_name(region.name)
        except GalleryError as error:
            problems.append(str(error))
            continue
        shares = [area_overlap(area, region.area) for area in areas]
        best = max(range(len(faces)), key=shares.__getitem__, default=None)
        if keys.count(key) > 1:
            problems.append(f"{name} is in it {keys.count(key)} times")
        elif best is None or shares[best] < SAME_FACE:
            problems.append(f"no face was found where it shows {name}")
        elif any(face == faces[best] for face, _, _ in found):
            problems.append(f"{name} is where another name is as well")
        else:
            found.append((faces[best], name, region.ours))
    return found, problems


def _exists(path: Path) -> bool:
    """Tell whether a file exists; a name longer than the disk allows is of none."""
    try:
        return path.exists()
    except OSError:
        return False


def _failure(path: Path, error: Exception) -> Failure:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Failure(str(path), reason.removeprefix(f"{display_name(path)}: "))
