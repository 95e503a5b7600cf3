"""Given a CSV file; when it is read; then it is the list, or every fault is named by its line."""

from __future__ import annotations

import pytest

from tillstream.stores import csv_file
from tillstream.stores.csv_file import WrongList, is_zone, read, write
from tillstream.stores.model import Store, StoreList
from tillstream.stores.opening_hours import HINT, parse

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse("Mo-Sa 07:00-19:30; Su 07:00-13:00"))
REUNION = Store("97411", "Saint-Denis", "Saint-Denis", "La Réunion", "Indian/Reunion", 2)


def faults(text: str | bytes) -> list[str]:
    with pytest.raises(WrongList) as caught:
        read(text if isinstance(text, bytes) else text.encode())
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("start", ["", "\ufeff", "\r\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_columns_may_stand_in_any_order_and_files_come_from_any_spreadsheet(
    start: str, line_end: str, delimiter: str
) -> None:
    lines = [
        ("Region", "ID", " tills", "name", "hours", "city", "ZONE"),
        ("Île-de-France", "12", "3", "Paris\xa0Opéra ", '"Mo-Sa 07:00-19:30; Su 07:00-13:00"', "Paris", ""),
        ("",) * 7,
        ("La Réunion", " 97411", "2", "Saint-Denis", "", "Saint-Denis", "Indian/Reunion"),
    ]
    text = start + "".join(delimiter.join(line) + line_end for line in lines)
    found = read(text.encode())
    assert list(found.by_id) == ["12", "97411"]
    assert (found.get("12"), found.get("97411")) == (OPERA, REUNION)


def test_all_but_the_id_may_be_missing() -> None:
    assert read(b"id\n7\n").by_id == {"7": Store("7")}


def test_a_list_is_written_as_it_is_read() -> None:
    shops = StoreList({"12": OPERA, "97411": REUNION})
    assert write(shops).splitlines() == [
        "id,name,city,region,hours,zone,tills",
        "12,Paris Opéra,Paris,Île-de-France,Mo-Sa 07:00-19:30; Su 07:00-13:00,,3",
        "97411,Saint-Denis,Saint-Denis,La Réunion,,Indian/Reunion,2",
    ]
    assert read(write(shops).encode()).by_id == shops.by_id


def test_every_fault_is_named_by_its_line() -> None:
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
        "line 4, tills: 'four' is no number of tills; write 0 to 999, or nothing",
        f"line 4, hours: '7am' is no opening hours; {HINT}",
        "line 6, id: '1' stands in line 2 already",
        "line 7, id: it is missing",
        "line 7, tills: '1000' is no number of tills; write 0 to 999, or nothing",
        "line 8: it has 2 cells, and the first line names 5",
    ]


@pytest.mark.parametrize("tills", ["-1", "2.5", "²", "٣"])
def test_a_number_of_tills_is_a_plain_one(tills: str) -> None:
    (fault,) = faults(f"id,tills\n1,{tills}\n")
    assert fault.startswith(f"line 2, tills: {tills!r} is no number")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,nom\n1,x\n", ["line 1: there is no column 'nom'; columns are id, name, city, region, hours, zone, tills"]),
        ("id,name,Name\n1,x,y\n", ["line 1: the column name comes twice"]),
        ("name\nx\n", ["line 1: the column id is missing; the first line names the columns"]),
        ("", ["line 1: the column id is missing; the first line names the columns"]),
        ("id,name\n\n", ["line 2: there is no shop in it; write a line for each"]),
        ('"id', ["line 1: it cannot be read on from here: unexpected end of data; look for a quote too many"]),
        ('id\n1\n"2', ["line 3: it cannot be read on from here: unexpected end of data; look for a quote too many"]),
        ("id\n" + 129 * "1" + "\n", ["line 2, id: it has 129 characters, more than 128"]),
        ("id\n1\x07\n", ["line 2, id: '1\\x07' has characters that cannot be shown"]),
        ("id,name\n1,été\n".encode("latin-1"), ["line 2: it is not in UTF-8; save it as CSV in UTF-8"]),
    ],
)
def test_what_is_no_list_says_why(text: str | bytes, told: list[str]) -> None:
    assert faults(text) == told


def test_a_list_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "SHOP_LIMIT", 2)
    assert len(read(b"id\n1\n2\n").by_id) == 2
    assert faults("id\n1\n2\n3\n") == ["line 1: it has 3 shops, more than 2"]


@pytest.mark.parametrize(
    ("name", "there_is"), [("Europe/Paris", True), ("Mars", False), ("../etc/passwd", False), ("Europe", False)]
)
def test_a_zone_is_known_by_its_iana_name(name: str, there_is: bool) -> None:
    assert is_zone(name) is there_is
