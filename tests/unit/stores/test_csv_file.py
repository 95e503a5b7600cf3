"""Reading a CSV file gives the list of stores or every fault with its line; writing gives the same file."""

from __future__ import annotations

import pytest

from tillstream.stores import csv_file
from tillstream.stores.csv_file import InvalidStoreList, read, write
from tillstream.stores.model import HOURS_HINT, Store, StoreList, parse_hours

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse_hours("Mo-Sa 07:00-19:30; Su 07:00-13:00"))
REUNION = Store("97411", "Saint-Denis", "Saint-Denis", "La Réunion", "Indian/Reunion", 2)


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidStoreList) as caught:
        read(text if isinstance(text, bytes) else text.encode())
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("start", ["", "\ufeff", "\r\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_columns_may_have_any_order_and_files_may_come_from_any_spreadsheet(
    start: str, line_end: str, delimiter: str
) -> None:
    lines = [
        ("Region", "ID", " tills", "name", "hours", "city", "ZONE"),
        ("Île-de-France", "12", "3", "Paris\xa0Opéra ", '"Mo-Sa 07:00-19:30; Su 07:00-13:00"', "Paris", ""),
        ("",) * 7,
        ("La Réunion", " 97411", "2", "Saint-Denis", "", "Saint-Denis", "Indian/Reunion"),
    ]
    text = start + "".join(delimiter.join(line) + line_end for line in lines)
    store_list = read(text.encode())
    assert list(store_list.by_id) == ["12", "97411"]
    assert (store_list.get("12"), store_list.get("97411")) == (OPERA, REUNION)


def test_every_column_except_the_id_may_be_missing() -> None:
    assert read(b"id\n7\n").by_id == {"7": Store("7")}


def test_a_written_list_reads_back_equal() -> None:
    store_list = StoreList({"12": OPERA, "97411": REUNION})
    assert write(store_list).splitlines() == [
        "id,name,city,region,hours,zone,tills",
        "12,Paris Opéra,Paris,Île-de-France,Mo-Sa 07:00-19:30; Su 07:00-13:00,,3",
        "97411,Saint-Denis,Saint-Denis,La Réunion,,Indian/Reunion,2",
    ]
    assert read(write(store_list).encode()).by_id == store_list.by_id


def test_every_fault_is_reported_with_its_line() -> None:
    text = (
        "id,name,hours,zone,tills\n"
        '1,"two\nlines",07:00-13:00,Europe/Paris,4\n'
        "2,,7am,Mars,four\n"
        "\n"
        "1,again,,,\n"
        ",nameless,,,1000\n"
        "3,short\n"
    )
    assert faults(text) == [
        "line 4, zone: 'Mars' is not a time zone; use an IANA name such as Europe/Paris",
        "line 4, tills: 'four' is not a number of tills; write 0 to 999, or nothing",
        f"line 4, hours: '7am' does not look like opening hours; {HOURS_HINT}",
        "line 6, id: '1' is already in line 2",
        "line 7, id: it is missing",
        "line 7, tills: '1000' is not a number of tills; write 0 to 999, or nothing",
        "line 8: it has 2 cells, and the first line has 5",
    ]


@pytest.mark.parametrize("tills", ["-1", "2.5", "²", "٣"])
def test_a_number_of_tills_has_ascii_digits_only(tills: str) -> None:
    (fault,) = faults(f"id,tills\n1,{tills}\n")
    assert fault.startswith(f"line 2, tills: {tills!r} is not a number")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "id,nom\n1,x\n",
            ["line 1: the column 'nom' does not exist; columns are id, name, city, region, hours, zone, tills"],
        ),
        ("id,name,Name\n1,x,y\n", ["line 1: the column name occurs twice"]),
        ("name\nx\n", ["line 1: the column id is missing; the first line names the columns"]),
        ("", ["line 1: the column id is missing; the first line names the columns"]),
        ("id,name\n\n", ["line 2: it contains no store; write one line for each store"]),
        ('"id', ["line 1: the rest of the file is unreadable: unexpected end of data; look for an extra quote"]),
        ('id\n1\n"2', ["line 3: the rest of the file is unreadable: unexpected end of data; look for an extra quote"]),
        ("id\n" + 129 * "1" + "\n", ["line 2, id: it has 129 characters, more than 128"]),
        ("id\n1\x07\n", ["line 2, id: '1\\x07' contains unprintable characters"]),
        ("id,name\n1,été\n".encode("latin-1"), ["line 2: it is not in UTF-8; save it as CSV in UTF-8"]),
    ],
)
def test_an_invalid_file_is_refused_with_its_faults(text: str | bytes, expected: list[str]) -> None:
    assert faults(text) == expected


def test_the_number_of_stores_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "STORES_LIMIT", 2)
    assert len(read(b"id\n1\n2\n").by_id) == 2
    assert faults("id\n1\n2\n3\n") == ["line 1: it has 3 stores, more than 2"]
