"""What every storage engine of a gallery does alike: which questions it asks, and what it refuses.

An engine brings transactions, and a module each of functions that read and that write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from facecli.stores.gallery import refusals
from facecli.stores.gallery.checks import Batch, checked
from facecli.stores.names import clean_name, name_key
from facecli.types import Calibration, ModelCard, NewTemplate, Person, StoredModel, Template

R = TypeVar("R")
"""What an engine reads from."""

W = TypeVar("W")
"""What an engine writes to."""

R_contra = TypeVar("R_contra", contravariant=True)
W_contra = TypeVar("W_contra", contravariant=True)


class Reads(Protocol[R_contra]):
    """An engine's functions that read."""

    def people(self, connection: R_contra, /) -> list[Person]:
        """Return everyone, by name."""

    def person(self, connection: R_contra, name: str, /) -> Person | None:
        """Return a person by any spelling of the name."""

    def names_by_key(self, connection: R_contra, /) -> dict[str, str]:
        """Return everyone's name by its key."""

    def templates(self, connection: R_contra, person_id: int, /) -> list[Template]:
        """Return a person's templates of every model, oldest first."""

    def models(self, connection: R_contra, /) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first."""

    def pictured(
        self, connection: R_contra, sha256s: Iterable[str], fingerprint: str, /
    ) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under a model."""

    def calibrations(self, connection: R_contra, /) -> list[Calibration]:
        """Return the thresholds set from data, by model; raise ValueError if one is damaged."""

    def generation(self, connection: R_contra, /) -> int:
        """Return a number that every change replaces."""


class Writes(Protocol[W_contra]):
    """An engine's functions that write, within a transaction."""

    def insert(
        self, database: W_contra, batch: Batch, card: ModelCard | StoredModel, where: str, /
    ) -> list[int]:
        """Store templates and their people; return the ids of the templates."""

    def rename(self, database: W_contra, person_id: int, name: str, key: str, /) -> None:
        """Give a person another name."""

    def set_external_id(
        self, database: W_contra, person: Person, external_id: str | None, /
    ) -> None:
        """Give a person an external id, or none."""

    def merge(
        self, database: W_contra, source: int, target: int, external_id: str | None, /
    ) -> None:
        """Move all templates of one person to another, and remove the first."""

    def set_calibration(self, database: W_contra, calibration: Calibration, /) -> None:
        """Store a threshold in place of the one that its model had."""

    def clear_calibrations(self, database: W_contra, /) -> int:
        """Remove every threshold set from data; return how many there were."""


class Engine(ABC, Generic[R, W]):
    """The part of a `GalleryStore` that is the same for every engine; that documents the methods.

    `_where` is what messages call the gallery.
    """

    _reads: Reads[R]
    _writes: Writes[W]
    _where: str

    @abstractmethod
    def writing(self) -> AbstractContextManager[W]:
        """Be the one writer for one transaction; if anything fails, nothing of it is stored."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[R]:
        """See one state of the database for the whole block; inside a transaction, its state."""

    def asking(self) -> AbstractContextManager[R]:
        """Ask one question; an engine may do that with less than `reading` needs."""
        return self.reading()

    def add(
        self,
        templates: Sequence[NewTemplate],
        card: ModelCard | StoredModel,
        *,
        external_ids: Mapping[str, str] = MappingProxyType({}),
    ) -> list[int]:
        """Store all templates and external ids or none; return the ids of the templates."""
        batch = checked(templates, card)
        with self.writing() as database:
            ids = self._writes.insert(database, batch, card, self._where) if templates else []
            for name, external_id in external_ids.items():
                self._give_id(database, name, external_id, replacing=False)
            return ids

    def people(self) -> list[Person]:
        """Return everyone, by name."""
        with self.asking() as connection:
            return self._reads.people(connection)

    def person(self, name: str) -> Person:
        """Return a person by any spelling of the name."""
        with self.reading() as connection:
            found = self._reads.person(connection, name)
            if found is None:
                names = self._reads.names_by_key(connection)
                raise refusals.unknown_person(name, names, self._where)
        return found

    def templates_of(self, name: str) -> list[Template]:
        """Return a person's templates of every model, oldest first."""
        with self.reading() as connection:
            return self._reads.templates(connection, self.person(name).id)

    def rename(self, old: str, new: str) -> Person:
        """Give a person another name, or another spelling of it, and return them."""
        name = clean_name(new)
        with self.writing() as database:
            person = self.person(old)
            with self.reading() as connection:
                holder = self._reads.person(connection, name)
            if holder is not None and holder.id != person.id:
                raise refusals.name_taken(holder.name)
            self._writes.rename(database, person.id, name, name_key(name))
            return self.person(name)

    def set_external_id(self, name: str, external_id: str | None) -> Person:
        """Give a person another external id, or none, and return them."""
        with self.writing() as database:
            self._give_id(database, name, external_id, replacing=True)
            return self.person(name)

    def _give_id(self, database: W, name: str, external_id: str | None, *, replacing: bool) -> None:
        """Store a person's external id; without `replacing` a person keeps the one they have."""
        person = self.person(name)
        given = None if external_id is None else clean_name(external_id, "external id")
        if given is not None and not replacing and person.external_id not in (None, given):
            raise refusals.two_external_ids(person.name, str(person.external_id), given)
        self._writes.set_external_id(database, person, given)

    def merge(self, source: str, target: str) -> Person:
        """Move all templates of one person to another, remove the first, and return the other."""
        with self.writing() as database:
            gone, kept = self.person(source), self.person(target)
            if gone.id == kept.id:
                raise refusals.one_person(gone.name, target)
            self._writes.merge(database, gone.id, kept.id, kept.external_id or gone.external_id)
            return self.person(target)

    def images_known(self, sha256s: Iterable[str], fingerprint: str) -> dict[str, tuple[str, ...]]:
        """Return who is enrolled from each picture under a model; unknown pictures are absent."""
        with self.asking() as connection:
            return self._reads.pictured(connection, sha256s, fingerprint)

    def set_calibration(self, calibration: Calibration) -> None:
        """Store a threshold set from data; it replaces the one that its model had."""
        with self.writing() as database:
            self._writes.set_calibration(database, calibration)

    def calibrations(self) -> list[Calibration]:
        """Return the thresholds set from data, by model."""
        with self.asking() as connection:
            try:
                return self._reads.calibrations(connection)
            except ValueError as error:
                raise refusals.damaged_calibration(self._where) from error

    def clear_calibrations(self) -> int:
        """Remove every threshold set from data; return how many there were."""
        with self.writing() as database:
            return self._writes.clear_calibrations(database)

    def generation(self) -> int:
        """Return a number that every change of people, templates or calibrations replaces."""
        with self.asking() as connection:
            return self._reads.generation(connection)

    def models(self) -> list[StoredModel]:
        """Return the models that ever had templates here, oldest first."""
        with self.asking() as connection:
            return self._reads.models(connection)
