"""Who is to be enrolled: folders and tables as people make them, hostile names included."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecli.errors import FacecliError
from facecli.recognition.roster import EnrollmentRequest, named_photos
from facecli.recognition.roster_files import read_source
from facecli.types import Failure

HOSTILE = 'Zoë <b>O\'Neil "Z" \U0001f600'


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "people.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_folder_gives_names_by_folder_and_by_file(tmp_path: Path) -> None:
    one = touch(tmp_path / "Ada_L" / "1.jpg")
    deep = touch(tmp_path / "Ada_L" / "old" / "2.PNG")
    alone = touch(tmp_path / f"{HOSTILE}.jpeg")
    touch(tmp_path / "notes.txt")
    touch(tmp_path / ".hidden" / "3.jpg")
    assert read_source(tmp_path) == [
        EnrollmentRequest("Ada_L", one),
        EnrollmentRequest("Ada_L", deep),
        EnrollmentRequest(HOSTILE, alone),
    ]


def test_a_persons_folder_without_pictures_is_named_not_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "Ada" / "readme.txt")
    touch(tmp_path / "Bob.jpg")
    failure, request = read_source(tmp_path)
    assert failure == Failure(str(tmp_path / "Ada"), "no pictures in this folder")
    assert request == EnrollmentRequest("Bob", tmp_path / "Bob.jpg")


def test_an_empty_folder_or_table_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FacecliError, match="no folder or picture in it"):
        read_source(tmp_path)
    with pytest.raises(FacecliError, match=r"people\.csv: no row in it"):
        read_source(table(tmp_path, "name,path\n\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "text",
    [
        "Ada,a.jpg\nZoë,sub/z.jpg,17\n",
        "name,path,external_id\r\nAda,a.jpg,\r\nZoë,sub/z.jpg,17\r\n",
        "Path;Department;External_ID;NAME\na.jpg;x;;Ada\nsub/z.jpg;;17;Zoë",
        "\n name\tpath\texternal_id \n\nAda\ta.jpg\n Zoë \tsub/z.jpg\t17\n",
    ],
    ids=["bare", "windows", "semicolons in any order", "tabs and blanks"],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_source(table(tmp_path, text, encoding)) == [
        EnrollmentRequest("Ada", tmp_path / "a.jpg"),
        EnrollmentRequest("Zoë", tmp_path / "sub" / "z.jpg", "17"),
    ]


def test_quoted_cells_keep_delimiters_and_quotes(tmp_path: Path) -> None:
    (request,) = read_source(table(tmp_path, '"O\'Neil, ""Z""","a,b.jpg"\n'))
    assert request == EnrollmentRequest('O\'Neil, "Z"', tmp_path / "a,b.jpg")


def test_an_absolute_path_stays_as_it_is(tmp_path: Path) -> None:
    (request,) = read_source(table(tmp_path, f"Ada,{tmp_path / 'x' / 'a.jpg'}"))
    assert request == EnrollmentRequest("Ada", tmp_path / "x" / "a.jpg")


def test_bad_rows_are_named_by_line_and_the_others_go_on(tmp_path: Path) -> None:
    text = 'Ada,a.jpg\n,b.jpg\nCleo\n"two\nlines",d.jpg\n,,\nEve,e.jpg,1,surplus\nFay,f.jpg\n'
    where = f"{tmp_path / 'people.csv'} line "
    assert read_source(table(tmp_path, text)) == [
        EnrollmentRequest("Ada", tmp_path / "a.jpg"),
        Failure(where + "2", "no name"),
        Failure(where + "3", "no path"),
        EnrollmentRequest("two\nlines", tmp_path / "d.jpg"),
        Failure(where + "7", "more than 3 cells; quote those that hold a delimiter"),
        EnrollmentRequest("Fay", tmp_path / "f.jpg"),
    ]


def test_a_broken_quote_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(FacecliError, match=r"people\.csv line 2: "):
        read_source(table(tmp_path, 'Ada,a.jpg\n"Bob" x,b.jpg\n'))


def test_a_table_that_is_not_utf_8_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FacecliError, match=r"people\.csv: not UTF-8 text; save .* as UTF-8"):
        read_source(table(tmp_path, "Zoë,z.jpg", "latin-1"))


def test_photos_of_one_person_may_come_as_files_and_folders(tmp_path: Path) -> None:
    inside = touch(tmp_path / "more" / "2.jpg")
    paths = [tmp_path / "missing.jpg", tmp_path / "more"]
    assert named_photos("Ada", paths, "17") == [
        EnrollmentRequest("Ada", tmp_path / "missing.jpg", "17"),
        EnrollmentRequest("Ada", inside, "17"),
    ]
