"""Read and write tables: CSV and its relatives, as spreadsheets and people make them."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.text import shown

DELIMITERS = ("\t", "|", ";", ",")
"""Spreadsheets write the semicolon where the comma is the decimal mark. Rarer ones come first: a
comma beside them is part of a cell."""

QUOTES = ('"', "'")

Dialect = tuple[str, str]
"""A delimiter and a quotation mark."""

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab"})
"""Endings of tables, where a file may also be something else."""

SAMPLE = 100
"""So many rows decide which delimiter a table without a header has."""

COMMENT = "#"

_SEPARATOR = re.compile(r'"?sep=(.)"?[;,\t ]*', re.IGNORECASE)
"""The line by which Excel is told the delimiter."""

_FORMULA = re.compile(r"'*[=+\-@#\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet computes, as OWASP lists it under CSV injection; and #."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: the number of its last line, and its cells by column, without spaces.

    `surplus` is true if it has more cells than there are columns.
    """

    line: int
    cells: dict[str, str]
    surplus: bool

    def __getitem__(self, column: str) -> str:
        """Return the text of a column, empty if the row has none."""
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in small letters, its rows, and how many lines are comments."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    comments: int

    def where(self, row: Row) -> str:
        """Return where a row is, for messages."""
        return f"{shown(self.path)} line {row.line}"

    def whole_rows(self) -> Iterator[Row]:
        """Yield the rows; raise FacecliError at one with more cells than there are columns."""
        for row in self.rows:
            if row.surplus:
                raise FacecliError(f"{self.where(row)}: {self.surplus()}")
            yield row

    def surplus(self) -> str:
        """Return what is wrong with a row that has too many cells."""
        return f"more than {len(self.columns)} cells; quote those that hold a delimiter"


def read_table(path: Path, needed: Sequence[str], *, without_header: Sequence[str] = ()) -> Table:
    """Read a table whose first row names the columns, in any order and among others.

    With `without_header` a table may lack that row: then these are its columns, in order. The
    delimiter is a comma, semicolon, tab or bar, found outside quotes or named by a line `sep=;`.
    Lines that begin with # are comments; a quoted cell may begin so. Blank rows are left out.
    Raises FacecliError for a file that cannot be read, a column that is missing or there twice, and
    text that is no table.
    """
    text = read_text(path)
    separator = _SEPARATOR.fullmatch(re.split(r"[\r\n]", text, maxsplit=1)[0])
    source = _Source(path, text, skipped=int(separator is not None))
    tried = (separator[1],) if separator else DELIMITERS
    firsts = {one: source.first(one) for one in itertools.product(tried, QUOTES)}
    named = [one for one, cells in firsts.items() if set(needed) <= set(cells)]
    if named:
        dialect = max(named, key=lambda one: len(firsts[one]))
        columns = _unique(path, firsts[dialect])
    else:
        known = {*needed, *without_header}
        if not without_header or any(known & set(cells) for cells in firsts.values()):
            columns_needed = " and ".join(filter(None, (", ".join(needed[:-1]), needed[-1])))
            raise FacecliError(f"{shown(path)}: needs the columns {columns_needed}")
        columns = tuple(without_header)
        plain = [one for one in firsts if one[1] == QUOTES[0]]
        dialect = max(plain, key=lambda one: source.fitting(one, len(columns)))
    lines = _Lines(source)
    rows = [
        Row(line, dict(zip(columns, cells, strict=False)), any(cells[len(columns) :]))
        for line, cells in _rows(path, lines, dialect)
    ]
    return Table(path, columns, tuple(rows[1:] if named else rows), lines.comments)


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a mark; raise FacecliError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FacecliError(f"{shown(path)}: {error.strerror}") from error
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise FacecliError(f"{shown(path)}: not UTF-8 text; save the table as UTF-8 CSV")
    return text


def table_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV text.

    A cell of text that a spreadsheet would compute, or that would begin a comment, gets an
    apostrophe in front; `read_table` takes it away again. Numbers stay as they are.
    """
    return "".join(map(_line, [header, *rows]))


def _line(row: Sequence[object]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(map(_harmless, row))  # its line end makes it quote both characters
    return out.getvalue().removesuffix("\r\n") + "\n"


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _as_meant(cell: str) -> str:
    """Return the text of a cell without the apostrophe of `table_text`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


@dataclass(frozen=True, slots=True)
class _Source:
    """The text of a table, of which the first line is perhaps `skipped`."""

    path: Path
    text: str
    skipped: int

    def first(self, dialect: Dialect) -> list[str]:
        """Return the cells of the first row in small letters; empty if it cannot be read so."""
        try:
            _, cells = next(_rows(self.path, _Lines(self), dialect), (0, []))
        except FacecliError:
            return []
        return [cell.casefold() for cell in cells]

    def fitting(self, dialect: Dialect, columns: int) -> int:
        """Count the first rows that have two cells or more, and no more than there are columns."""
        count = 0
        with suppress(FacecliError):
            for _, cells in itertools.islice(_rows(self.path, _Lines(self), dialect), SAMPLE):
                count += 2 <= len(cells) <= columns
        return count


class _Lines:
    """The lines of a table for csv.reader, without comments; `number` is that of the last line."""

    def __init__(self, source: _Source) -> None:
        self._lines = iter(io.StringIO(source.text, newline=""))
        self.number = self.comments = 0
        self.between = True
        for _ in range(source.skipped):
            self._next()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        # Inside a quoted cell a line may begin with anything.
        while self.between and line.startswith(COMMENT):
            self.comments += 1
            line = self._next()
        self.between = False
        return line

    def _next(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line


def _rows(path: Path, lines: _Lines, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line and the cells of each row that is not blank."""
    delimiter, quote = dialect
    reader = csv.reader(
        lines, delimiter=delimiter, quotechar=quote, skipinitialspace=True, strict=True
    )
    while True:
        lines.between = True
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FacecliError(f"{shown(path)} line {lines.number}: {error}") from error
        cells = [_as_meant(cell.strip()) for cell in row]
        if any(cells):
            yield lines.number, cells


def _unique(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns; raise FacecliError if two columns have one name."""
    twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if twice:
        raise FacecliError(f"{shown(path)}: two columns are called {shown(twice[0])}")
    return tuple(header)
