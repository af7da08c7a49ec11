"""Tables: one reader for all that spreadsheets and people write, and cells that compute nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.datasets import read_photo_set
from facecli.errors import FacecliError
from facecli.evaluation.pairlists import read_pairs
from facecli.evaluation.subgroups import read_answers
from facecli.faces.tables import read_table, table_text
from facecli.recognition.roster import EnrollmentRequest
from facecli.recognition.roster_files import read_source

COLUMNS = ("name", "path", "external_id")


def table(folder: Path, text: str | bytes, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows(path: Path) -> list[list[str]]:
    read = read_table(path, ("name", "path"), without_header=COLUMNS)
    return [[row[column] for column in ("name", "path")] for row in read.rows]


@pytest.mark.parametrize(
    "text",
    [
        "name,path\nAda,a.jpg\nBob,b.jpg\n",
        "Ada,a.jpg\nBob,b.jpg",
        "sep=;\nname;path\nAda;a.jpg\nBob;b.jpg\n",
        '"sep=;"\r\nAda;a.jpg\r\nBob;b.jpg\r\n',
        "sep=\t\nname\tpath\nAda\ta.jpg\nBob\tb.jpg\n",
        "# of the staff\n#,;\t\nname,path\n# Eve,e.jpg\nAda,a.jpg\nBob,b.jpg\n",
        "name|path\nAda|a.jpg\nBob|b.jpg\n",
        "name\tpath\nAda\ta.jpg\nBob\tb.jpg\n",
        '"name";"path"\n"Ada";"a.jpg"\n"Bob";"b.jpg"\n',
        "'name';'path'\n'Ada';'a.jpg'\n'Bob';'b.jpg'\n",
        "name, path\nAda, a.jpg\nBob, b.jpg\n",
        "Path,Name,Note;x\na.jpg,Ada,;;;\nb.jpg,Bob,\n",
        "name,path\rAda,a.jpg\rBob,b.jpg\r",
        "name;path;\nAda;a.jpg;\nBob;b.jpg;\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_dialect_is_the_same_table(tmp_path: Path, text: str, encoding: str) -> None:
    assert rows(table(tmp_path, text.encode(encoding))) == [["Ada", "a.jpg"], ["Bob", "b.jpg"]]


def test_delimiters_inside_quotes_are_text(tmp_path: Path) -> None:
    """Counted in the first line, the semicolons would have been the delimiter."""
    path = table(tmp_path, '"A;B;C;D","a;b.jpg"\nBob,b.jpg\n')
    assert rows(path) == [["A;B;C;D", "a;b.jpg"], ["Bob", "b.jpg"]]
    path = table(tmp_path, "Lovelace, Ada;a.jpg\nHopper, Grace;b.jpg\n")
    assert rows(path) == [["Lovelace, Ada", "a.jpg"], ["Hopper, Grace", "b.jpg"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"name,path,path\nAda,a.jpg,b.jpg\n", "two columns are called path"),
        (b"NAME,path, Name\n", "two columns are called name"),
        (b"name,file\nAda,a.jpg\n", "needs the columns name and path"),
        (b"external_id;name\n7;Ada\n", "needs the columns name and path"),
        (b"Zo\xeb,z.jpg\n", "not UTF-8 text"),
        ("name,path\n".encode("utf-16-le"), "not UTF-8 text"),
        (b"name,path\n\x00\n", "not UTF-8 text"),
        (b'name,path\n"Ada" x,a.jpg\n', "line 2: "),
    ],
)
def test_what_is_no_sound_table_is_refused_in_one_line(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    path = table(tmp_path, text)
    with pytest.raises(FacecliError, match=reason) as caught:
        rows(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_comments_are_counted_and_quoted_cells_are_none(tmp_path: Path) -> None:
    text = '# one\nname,path\n"#1",a.jpg\n# two\n"two\n# lines",b.jpg\n'
    read = read_table(table(tmp_path, text), ("name", "path"))
    assert [row["name"] for row in read.rows] == ["#1", "two\n# lines"]
    assert (read.comments, [row.line for row in read.rows]) == (2, [3, 6])
    said: list[str] = []
    read_source(table(tmp_path, "# x\nAda,a.jpg\n"), said.append)
    assert said == [f"{tmp_path / 'people.csv'}: 1 comment line passed over: they begin with #"]


def test_all_commands_read_tables_alike(tmp_path: Path) -> None:
    """Semicolons, a mark, a comment and `sep=` once worked for some commands only."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    head = "\ufeffsep=;\n# mine\n"
    assert read_source(table(tmp_path, head + "Name;Path\nAda;a.jpg\n")) == [
        EnrollmentRequest("Ada", tmp_path / "a.jpg")
    ]
    pairs = read_pairs(table(tmp_path, head + "A;B;Same\na.jpg;b.jpg;1\n", "pairs.tsv"))
    assert pairs.same.tolist() == [True]
    photos = read_photo_set(table(tmp_path, head + "Path;Person\na.jpg;Ada\nb.jpg;ADA\n"))
    assert (photos.people, photos.labels.tolist()) == (("Ada",), [0, 0])
    answers = read_answers(table(tmp_path, head + "Person;Age\nAda;36\nada;36\n"), "Age")
    assert answers.of == {"Ada": "36", "ada": "36"}


def test_a_person_has_one_spelling_in_a_table(tmp_path: Path) -> None:
    requests = read_source(table(tmp_path, "Zoë,a.jpg\nZoë,b.jpg\nZOË,c.jpg\n"))
    assert [one.person for one in requests if isinstance(one, EnrollmentRequest)] == ["Zoë"] * 3


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d", "#", "'=", "''-"])
def test_no_cell_begins_a_formula_and_all_are_read_back(tmp_path: Path, start: str) -> None:
    name = f"{start}cmd|' /C calc'!A0"
    text = table_text(("name", "path"), [(name, "a.jpg"), ("Bob", "b.jpg")])
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not any(cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\uff1d"} for cell in cells)
    assert rows(table(tmp_path, text))[0][0] == name


def test_numbers_stay_numbers() -> None:
    assert table_text(("box",), [(-1.5,), (-2,)]) == "box\n-1.5\n-2\n"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip))
def test_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("t")
    if name:
        read = rows(table(folder, table_text(("name", "path"), [("first", "x"), (name, "a.jpg")])))
        assert read[-1] == [name, "a.jpg"]
