"""What every storage engine of a gallery offers: all that the rest of the program knows of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from facecli.types import (
    Calibration,
    ForgetReceipt,
    GalleryStatistics,
    ModelCard,
    NewTemplate,
    Person,
    StoredModel,
    Template,
    TemplateMatrix,
)


class GalleryStore(Protocol):
    """People and their templates: what every storage engine offers.

    Every method raises GalleryError for a gallery that cannot be used. A change is stored as a
    whole or not at all, and is on the disk when the method returns.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    def close(self) -> None:
        """Close the gallery. Nothing can be asked of it afterwards."""
        ...

    def add(self, templates: Sequence[NewTemplate], card: ModelCard) -> list[int]:
        """Store all templates or none; return their ids. People are made as they are needed."""
        ...

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        ...

    def person(self, name: str) -> Person:
        """Return a person by name, in any case and spacing; raise GalleryError if unknown."""
        ...

    def templates_of(self, name: str) -> list[Template]:
        """Return a person's templates of every model, oldest first."""
        ...

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name; raise GalleryError if someone else has it."""
        ...

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, remove the first, return the other."""
        ...

    def forget(self, names: Iterable[str]) -> ForgetReceipt:
        """Erase people with all their templates, all of them or none."""
        ...

    def matrix(self, fingerprint: str) -> TemplateMatrix:
        """Return the templates of one model; raise FingerprintMismatch if only others exist."""
        ...

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return each picture that has templates of this model, with the names of who is in it."""
        ...

    def set_calibration(self, calibration: Calibration) -> None:
        """Store a threshold set from data; it replaces the one its model had."""
        ...

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model."""
        ...

    def clear_calibrations(self) -> int:
        """Remove every threshold set from data; return how many there were."""
        ...

    def generation(self) -> int:
        """Return a number that changes with every change of people, templates or calibrations.

        Compare it for equality only, and ask for it before you read a matrix.
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
    """A place where a gallery is kept."""

    def exists(self) -> bool:
        """Return whether there is a gallery to open."""
        ...

    def open(self, *, create: bool = False) -> AbstractContextManager[GalleryStore]:
        """Open the gallery for the length of a `with` block.

        Only what stores people passes `create`: a mistyped place must not become an empty gallery
        in which everyone is unknown. Raises GalleryError.
        """
        ...
