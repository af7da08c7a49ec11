"""What every storage engine of a gallery offers: all that the rest of the program knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from facecli.types import (
    Calibration,
    ForgetReceipt,
    ModelCard,
    NewTemplate,
    Person,
    StoredModel,
    Template,
    TemplateMatrix,
)


@dataclass(frozen=True, slots=True)
class GalleryStatistics:
    """What a health check reports about a gallery.

    `size` is the size of the database in bytes, with the log of a file. `private` is true if only
    its owner can read it, and on a server those whom the owner has let in.
    """

    path: str
    size: int
    private: bool
    schema_version: int
    people: int
    templates: int
    models: tuple[StoredModel, ...]


class GalleryStore(Protocol):
    """People and their templates, in an open gallery; for one thread at a time.

    People are found by any spelling of their name: letter case, width, spacing and invisible marks
    do not count. A change is stored as a whole or not at all, and is on the disk when the method
    returns. Every method raises GalleryUnavailable if the database fails, is damaged, or is held by
    another program for too long. `tests/test_gallery_contract.py` runs on every engine.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    @property
    def location(self) -> str:
        """Where the gallery is, for messages and records; never with a password."""
        ...

    def close(self) -> None:
        """Close the gallery. No other method may be called afterwards."""
        ...

    def add(
        self,
        templates: Sequence[NewTemplate],
        card: ModelCard | StoredModel,
        *,
        external_ids: Mapping[str, str] = ...,
    ) -> list[int]:
        """Store all templates or none; return their ids, which rise. New people get a row.

        A person keeps the first spelling of the name, and the first external id. A new person is as
        old as their first template. `external_ids` are
        for people, by name, who may be enrolled already and have no new template. Raises
        GalleryError for an embedding that is not a unit vector of float32 (d,) with the card's
        dimension; for a name or external id that cannot be used; for a second external id of a
        person, and one that belongs to somebody else; for a box or quality that is not finite; and
        for a face of a photo that is stored for this model already.
        """
        ...

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        ...

    def person(self, name: str) -> Person:
        """Return a person.

        Raises GalleryError, with the name that may have been meant, if nobody has this one.
        """
        ...

    def templates_of(self, name: str) -> list[Template]:
        """Return a person's templates of every model, oldest first.

        Raises GalleryError for an unknown person.
        """
        ...

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name, or another spelling of it, and return the person.

        Raises GalleryError for an unknown person, for a name that cannot be used, and for one that
        somebody else has.
        """
        ...

    def set_external_id(self, name: str, external_id: str | None) -> Person:
        """Give a person another external id, or none, and return the person.

        Raises GalleryError for an unknown person, for an external id that cannot be used, and for
        one that belongs to somebody else.
        """
        ...

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, remove the first, and return the other.

        The target keeps its external id; if it has none, it gets the source's. Raises GalleryError
        for an unknown person, and if both are one person.
        """
        ...

    def forget(self, names: Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none, and return a receipt.

        Nothing of them can be read from the database's files afterwards, unless the receipt says
        that they are not scrubbed, and where they remain. Their ids are never used again. Backups
        and copies are out of reach. Raises GalleryError for an unknown person.
        """
        ...

    def matrix(self, model: ModelCard | StoredModel) -> TemplateMatrix:
        """Return the templates of one model, ordered by id.

        A gallery without templates gives an empty matrix with the model's dimension. Raises
        FingerprintMismatch if there are only templates of other models, and GalleryError, which
        names the template, for a damaged one.
        """
        ...

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under a model; unknown pictures are absent.

        A picture has several names if several of its faces are enrolled.
        """
        ...

    def set_calibration(self, calibration: Calibration) -> None:
        """Store a threshold set from data; it replaces the one that its model had."""
        ...

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model; raise GalleryError if one is damaged."""
        ...

    def clear_calibrations(self) -> int:
        """Remove every threshold set from data; return how many there were."""
        ...

    def generation(self) -> int:
        """Return a number that every change of people, templates or calibrations replaces.

        Compare it for equality only, and ask for it before you read a matrix. A change in between
        then costs one more reading; the other way round it would never be noticed.
        """
        ...

    def models(self) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first, with how many they have."""
        ...

    def integrity_check(self) -> list[str]:
        """Return what is wrong with the gallery, a line each; nothing if it is sound."""
        ...

    def statistics(self) -> GalleryStatistics:
        """Return what a health check wants to know; the counts are of one moment."""
        ...


class GalleryPlace(Protocol):
    """A place where a gallery is kept; any thread may use it."""

    @property
    def location(self) -> str:
        """Where that is, for messages and records; never with a password."""
        ...

    def exists(self) -> bool:
        """Return whether there is a gallery to open; raise GalleryError if that cannot be known."""
        ...

    def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
        """Open the gallery for the length of a `with` block.

        Only commands that store people pass `create`: a mistyped place must not become an empty
        gallery in which everyone is unknown. Raises GalleryError.
        """
        ...
