"""A receipt is either accepted, or refused with every fault."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tillstream.config.settings import Settings
from tillstream.receipt.model import HEAD_COLUMNS, Fault, receipt_key
from tillstream.receipt.reasons import is_truncated
from tillstream.receipt.validation import (
    CLOCK_AHEAD_A_DAY,
    FAULTS_LIMIT,
    ID_LIMIT,
    ITEMS_LIMIT,
    ReceiptError,
    Validator,
)

RECEIVED_US = int(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()) * 1_000_000
"""13:00 in Paris."""

RECEIPT: dict[str, Any] = {
    "cashReceiptID": "17",
    "storeID": "S-1",
    "terminalID": "2",
    "date": "2026-11-23 12:59:58",
    "lines": [{"productCode": "b", "quantity": 2, "settlementAmount": 2.4, "creditAmount": 2.27}],
    "documentTotal": {"grossTotal": 2.4, "netTotal": 2.27, "taxPayable": 0.13},
    "settlements": [{"settlementAmount": 2.4, "paymentMechanism": "CB"}],
}


def changed(**fields: Any) -> bytes:
    return json.dumps({**RECEIPT, **fields}, ensure_ascii=False).encode()


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in RECEIPT.items() if name not in names}).encode()


def check(body: bytes, received_us: int = RECEIVED_US, **settings: Any) -> dict[str, str]:
    validator = Validator(msgspec.structs.replace(Settings(), **settings))
    head, key, day = validator.check(body, received_us, "json/http")
    assert head.endswith(b"\n")
    found = dict(zip(HEAD_COLUMNS, head.decode().removesuffix("\n").split("\t"), strict=True))
    assert (found["key"], found["day"]) == (key, day)
    return found


def faults(body: bytes, **settings: Any) -> list[Fault]:
    with pytest.raises(ReceiptError) as caught:
        check(body, **settings)
    return list(caught.value.faults)


def fault(body: bytes, **settings: Any) -> tuple[str, str]:
    (only,) = faults(body, **settings)
    return only.path, only.error


def test_the_head_has_the_fields_of_the_receipt() -> None:
    assert check(changed()) == {
        "kind": "receipt",
        "key": receipt_key("S-1", "2", "17", "2026-11-23 12:59:58"),
        "received_us": str(RECEIVED_US),
        "day": "2026-11-23",
        "date": "2026-11-23 12:59:58",
        "store": "S-1",
        "terminal": "2",
        "receipt": "17",
        "source": "json/http",
        "notes": "",
    }


def test_ids_may_be_integers_and_mean_the_same() -> None:
    numbers = check(changed(cashReceiptID=17, storeID=3, terminalID=2))
    texts = check(changed(cashReceiptID="17", storeID="3", terminalID="2"))
    assert numbers == texts


@pytest.mark.parametrize("terminal", [None, ""])
def test_a_receipt_without_a_terminal_has_the_terminal_dash(terminal: str | None) -> None:
    assert check(changed(terminalID=terminal)) == check(without("terminalID"))
    assert check(without("terminalID"))["terminal"] == "-"


@pytest.mark.parametrize("missing", ["lines", "settlements", "terminalID"])
def test_optional_parts_may_be_missing(missing: str) -> None:
    assert check(without(missing))["receipt"] == "17"


def test_unknown_fields_and_integers_for_texts_are_accepted() -> None:
    lines = [{"productCode": 12, "lineNumber": "1", "note": {"deep": [1, None, 1e400]}}]
    body = changed(lines=lines, extra=[[[]]]).replace(b"Infinity", b"1e400")
    assert check(body)["receipt"] == "17"


@pytest.mark.parametrize(
    "amount", ["0.3", "1e2", " 12.50", "+1", "-0.05", ".5", "5.", 3.3600000000000003, 5.5e-17, -9999999999999.99]
)
def test_amounts_may_be_numbers_or_texts(amount: object) -> None:
    assert check(changed(documentTotal={"grossTotal": amount}))["receipt"] == "17"


@pytest.mark.parametrize(
    "amount",
    ["NaN", "Infinity", "-inf", "1_0", "١", "", " ", "abc", "0x10", "1,50", "--1", "1e", True, [], {}],
)
def test_an_invalid_amount_is_refused_with_its_path(amount: object) -> None:
    path, error = fault(changed(documentTotal={"grossTotal": amount}))
    assert path == "$.documentTotal.grossTotal"
    assert error.startswith("expected a number, got ")


@pytest.mark.parametrize(
    "digits", ["1e13", "-1e13", "1e400", "9999999999999.9999999", '"1e13"', '"1e99999999999"', "9" * 400]
)
def test_amounts_of_ten_billions_and_beyond_are_refused(digits: str) -> None:
    body = changed(lines=[{"quantity": "AMOUNT"}]).replace(b'"AMOUNT"', digits.encode())
    path, error = fault(body)
    assert path == "$.lines[0].quantity"
    assert "between -10^13 and 10^13" in error


def test_the_amount_just_under_the_limit_is_accepted() -> None:
    body = changed(documentTotal={"grossTotal": "AMOUNT"})
    assert check(body.replace(b'"AMOUNT"', b"9999999999999.9999994"))
    assert check(body.replace(b'"AMOUNT"', b"-9999999999999.99"))


def test_every_fault_is_named_by_its_path() -> None:
    body = changed(
        storeID="a\tb",
        cashReceiptID=True,
        date="yesterday",
        currency="USD",
        lines=[{}, {"productCode": 1.5}, {"settlementAmount": "abc"}, 7],
        documentTotal={"netTotal": "1,50"},
        settlements=[{}, {"settlementAmount": None}],
    )
    assert [(found.path, found.error) for found in faults(body)] == [
        ("$.cashReceiptID", "expected a text or an integer, got true"),
        ("$.documentTotal.grossTotal", "it is missing"),
        ("$.documentTotal.netTotal", 'expected a number, got "1,50"'),
        ("$.lines[1].productCode", "expected a text or an integer, got 1.5"),
        ("$.lines[2].settlementAmount", 'expected a number, got "abc"'),
        ("$.lines[3]", "expected an object, got 7"),
        ("$.settlements[0].settlementAmount", "it is missing"),
        ("$.settlements[1].settlementAmount", "expected a number, got null"),
        ("$.storeID", "it has a control character"),
        ("$.date", 'expected a date and time, got "yesterday"'),
        ("$.currency", 'expected EUR, got "USD"'),
    ]


@pytest.mark.parametrize("name", ["cashReceiptID", "storeID", "date", "documentTotal"])
def test_a_required_field_that_is_missing_or_null_is_a_fault(name: str) -> None:
    assert fault(without(name)) == (f"$.{name}", "it is missing")
    assert fault(changed(**{name: None}))[0] == f"$.{name}"


@pytest.mark.parametrize("name", ["cashReceiptID", "storeID", "terminalID"])
@pytest.mark.parametrize("value", ["x" * (ID_LIMIT + 1), "a\x00", "line\nbreak", "tab\t", "\x85", 10**ID_LIMIT])
def test_ids_too_long_or_with_control_characters_are_refused(name: str, value: object) -> None:
    assert fault(changed(**{name: value}))[0] == f"$.{name}"


@pytest.mark.parametrize("value", ["é", "x" * ID_LIMIT, "non\u00a0breaking", "日本", "𝕏", " "])
def test_ids_of_any_script_are_accepted(value: str) -> None:
    assert check(changed(storeID=value))["store"] == value


@pytest.mark.parametrize("name", ["cashReceiptID", "storeID"])
def test_empty_ids_are_refused(name: str) -> None:
    assert fault(changed(**{name: ""})) == (f"$.{name}", "it is empty")


@pytest.mark.parametrize(
    ("given", "local"),
    [
        ("2026-11-23T12:59:58", "2026-11-23 12:59:58"),
        ("2026-11-23t12:59:58", "2026-11-23 12:59:58"),
        ("2026-11-23T11:59:58Z", "2026-11-23 12:59:58"),
        ("2026-11-23 17:29:58+05:30", "2026-11-23 12:59:58"),
        ("2026-11-23T12:59:58.999999+0100", "2026-11-23 12:59:58"),
        ("2026-11-23 12:59:58,5", "2026-11-23 12:59:58"),
        ("20261123T125958", "2026-11-23 12:59:58"),
        ("2026-11-23 12:59", "2026-11-23 12:59:00"),
        ("2026-07-01T12:00:00Z", "2026-07-01 14:00:00"),
        ("1970-01-01 00:00:00", "1970-01-01 00:00:00"),
    ],
)
def test_dates_become_local_time_to_the_second(given: str, local: str) -> None:
    found = check(changed(date=given))
    assert (found["date"], found["day"]) == (local, local[:10])
    assert check(changed(date=local))["key"] == found["key"]


@pytest.mark.parametrize(
    "date",
    [
        "",
        "2026-11-23",
        "2026-02-30 10:00:00",
        "2026-11-23 25:00:00",
        "2026-11-23 10:00:60",
        "2026-11-23x10:00:00",
        "2026-11-23 10:00:00 ",
        "２026-11-23 10:00:00",
        "1969-12-31 23:59:59",
        "9999-01-01 00:00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "1763900000",
    ],
)
def test_an_invalid_date_is_refused(date: str) -> None:
    assert fault(changed(date=date))[0] == "$.date"


def test_an_offset_is_converted_to_the_stores_own_zone() -> None:
    found = check(changed(date="2026-11-23T11:00:00Z"), store_zones={"S-1": "America/Martinique"})
    assert found["date"] == "2026-11-23 07:00:00"


@pytest.mark.parametrize(
    ("date", "day"), [("2026-11-23 04:59:59", "2026-11-22"), ("2026-11-23 05:00:00", "2026-11-23")]
)
def test_the_business_day_begins_at_day_start(date: str, day: str) -> None:
    assert check(changed(date=date), day_start="05:00")["day"] == day


def test_a_date_up_to_a_day_ahead_counts_on_its_own_day() -> None:
    found = check(changed(date="2026-11-24 13:00:00"))
    assert (found["day"], found["notes"]) == ("2026-11-24", "")


def test_a_date_over_a_day_ahead_counts_on_the_day_received_and_is_noted() -> None:
    found = check(changed(date="2026-11-24 13:00:01"))
    assert (found["day"], found["notes"]) == ("2026-11-23", CLOCK_AHEAD_A_DAY)
    assert found["date"] == "2026-11-24 13:00:01"


def test_the_tills_own_business_day_overrides_the_date() -> None:
    _, _, day = Validator(Settings()).check(changed(), RECEIVED_US, "poslog/http", "2026-11-22")
    assert day == "2026-11-22"


@pytest.mark.parametrize(
    "day", ["2026-02-30", "0000-00-00", "9999-12-31", "1969-12-31", "20261123", "2026-11-23 ", "x"]
)
def test_an_invalid_business_day_is_refused(day: str) -> None:
    with pytest.raises(ReceiptError) as caught:
        Validator(Settings()).check(changed(), RECEIVED_US, "poslog/http", day)
    (only,) = caught.value.faults
    assert (only.path, only.error) == ("$.day", f'expected a day, got "{day}"')


def test_the_day_received_is_the_stores_own_business_day() -> None:
    settings: dict[str, Any] = {"store_zones": {"S-1": "Pacific/Auckland"}, "day_start": "02:00"}
    assert check(changed(date="2030-01-01 00:00:00"), **settings)["day"] == "2026-11-23"
    assert check(changed(date="2030-01-01 00:00:00"), RECEIVED_US + 3_600_000_000, **settings)["day"] == "2026-11-24"


def test_late_receipts_count_in_their_own_day() -> None:
    assert check(changed(date="2017-11-18 20:39:32"))["day"] == "2017-11-18"


def test_only_the_chains_currency_is_accepted() -> None:
    assert check(changed(currency="JPY"), currency="JPY")
    assert check(changed(currency=None))
    assert check(changed(currency=""))
    assert fault(changed(currency="EUR"), currency="JPY") == ("$.currency", 'expected JPY, got "EUR"')


@pytest.mark.parametrize(
    ("path", "field", "bad", "error"),
    [
        ("$.currency", "currency", '"USD"', 'expected EUR, got "USD"'),
        ("$.storeID", "storeID", "true", "expected a text or an integer, got true"),
        ("$.documentTotal", "documentTotal", "7", "expected an object, got 7"),
        ("$.documentTotal.grossTotal", "documentTotal", '{"grossTotal":"abc"}', 'expected a number, got "abc"'),
        ("$.documentTotal.grossTotal", "documentTotal", "{}", "it is missing"),
        ("$.documentTotal.netTotal", "documentTotal", '{"grossTotal":1,"netTotal":"x","netTotal":1}', 'expected a number, got "x"'),
        ("$.lines[0].quantity", "lines", '[{"quantity":"x","quantity":1}]', 'expected a number, got "x"'),
        ("$.settlements[0].settlementAmount", "settlements", '[{"settlementAmount":null}]', "expected a number, got null"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("amount", ["2.4", '"2.4"'])
def test_a_repeated_field_is_checked_twice(path: str, field: str, bad: str, error: str, amount: str) -> None:
    sound = changed(currency="EUR", documentTotal={"grossTotal": "AMOUNT"}).replace(b'"AMOUNT"', amount.encode())
    for name in (field, f"\\u{ord(field[0]):04x}{field[1:]}"):
        extra = f'"{name}":{bad}'.encode()
        assert (path, error) in [(each.path, each.error) for each in faults(b"{" + extra + b"," + sound[1:])]
        assert (path, error) in [(each.path, each.error) for each in faults(sound[:-1] + b"," + extra + b"}")]


def test_the_head_has_the_last_value_of_a_repeated_field() -> None:
    again = changed()[:-1] + b',"storeID":"S-2","documentTotal":{"grossTotal":"7","grossTotal":8}}'
    assert check(again) == check(changed(storeID="S-2"))


@pytest.mark.parametrize("name", ["lines", "settlements"])
def test_more_entries_than_the_limit_are_refused(name: str) -> None:
    entry = {"settlementAmount": 1}
    assert check(changed(**{name: [entry] * ITEMS_LIMIT}))
    path, error = fault(changed(**{name: [entry] * (ITEMS_LIMIT + 1)}))
    assert (path, error) == (f"$.{name}", f"it has {ITEMS_LIMIT + 1} entries, more than {ITEMS_LIMIT}")


def test_a_receipt_over_the_size_limit_is_refused() -> None:
    body = changed()
    assert check(body, receipt_limit_bytes=len(body))
    assert "more than" in fault(body, receipt_limit_bytes=len(body) - 1)[1]


def test_a_receipt_over_the_limit_is_not_decoded() -> None:
    body = without("lines")[:-1] + b',"lines":[' + b"{}," * 1_000_000 + b"{}]}"
    tracemalloc.start()
    assert "more than" in fault(body)[1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(body)


def test_the_number_of_reported_faults_is_limited() -> None:
    found = faults(changed(lines=[{"quantity": "x"}] * (FAULTS_LIMIT + 5)))
    assert len(found) == FAULTS_LIMIT + 1
    assert found[-1].error == "there are 5 more faults"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not JSON"),
        (b"rubbish", "not JSON"),
        (b'{"storeID":"\xff"}', "not UTF-8"),
        (changed(extra="\xe9").decode().encode("latin-1"), "not UTF-8"),
        (changed(extra="X").replace(b'"X"', b'"\\ud800"'), "not JSON"),
        (changed(extra="X").replace(b'"X"', b"NaN"), "not JSON"),
        (changed(extra="X").replace(b'"X"', b"01"), "not JSON"),
        (changed(extra="X").replace(b'"X"', b"[1,]"), "not JSON"),
        (changed(extra="X").replace(b'"X"', b"[" * 10_000 + b"]" * 10_000), "nested too deeply"),
        (b"[" * 10_000, "nested too deeply"),
        (changed() + changed(), "not JSON"),
    ],
)
def test_invalid_json_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(ReceiptError) as caught:
        check(body)
    assert not caught.value.parseable
    assert reason in caught.value.faults[0].error


@pytest.mark.parametrize(("body", "got"), [(b"[]", "an array"), (b"null", "null"), (b'"x"', '"x"'), (b"7", "7")])
def test_other_json_is_refused(body: bytes, got: str) -> None:
    with pytest.raises(ReceiptError) as caught:
        check(body)
    assert caught.value.parseable
    assert caught.value.faults[0].error == f"expected an object, got {got}"


def test_a_refusal_has_its_faults_and_the_day_of_receipt() -> None:
    late = int(datetime(2026, 11, 23, 23, 30, tzinfo=UTC).timestamp()) * 1_000_000
    head, stored = Validator(Settings()).refusal([Fault("$.x", 'a\t"b"', "c\n")], b"came", late, "json/http")
    assert stored == b"came"
    found = dict(zip(HEAD_COLUMNS, head.decode().removesuffix("\n").split("\t"), strict=True))
    assert (found["kind"], found["key"], found["date"], found["day"]) == ("refusal", "", "", "2026-11-24")
    assert json.loads(found["notes"]) == [{"path": "$.x", "error": 'a\t"b"', "hint": "c\n"}]


@pytest.mark.parametrize("came", [b"x" * 100, b"x" * 101, b"x" * 5_000])
def test_a_truncated_refusal_has_a_fault_that_says_so(came: bytes) -> None:
    head, stored = Validator(Settings(receipt_limit_bytes=100)).refusal(
        [Fault("$", "no")], came, RECEIVED_US, "csv/http"
    )
    assert stored == came[:100]
    reasons = json.loads(head.decode().split("\t")[-1])
    assert is_truncated(reasons)
    assert not is_truncated(reasons[:1])


@pytest.mark.parametrize(
    "faults",
    [[Fault("$", "x" * 3_000_000)], [Fault("", "")] * 50_000, [Fault("$.y" * 9_000, "\0" * 9_000, "z" * 9_000)] * 99],
)
def test_faults_from_other_programs_are_limited(faults: list[Fault]) -> None:
    head, _ = Validator(Settings()).refusal(faults, b"", RECEIVED_US, "mine/gateway")
    assert len(head) < 2_000_000
    reasons = json.loads(head.decode().split("\t")[-1])
    assert (
        len(reasons) == len(faults) or reasons[-1]["error"] == f"there are {len(faults) - len(reasons) + 1} more faults"
    )


UNWIELDY = ["24000000000000e-13", "0.01E14", "-12345678901234567.0E-10"]


@pytest.mark.parametrize("written", [*UNWIELDY, *(f'" {number} "' for number in (*UNWIELDY, "00000000000024e0"))])
def test_a_number_that_duckdb_cannot_read_is_refused(written: str) -> None:
    path, error = fault(changed(lines=[{"settlementAmount": 1, "quantity": "@"}]).replace(b'"@"', written.encode()))
    assert path == "$.lines[0].quantity"
    assert error.startswith("expected a number that is written plainly, got ")
    assert written.strip('" ') in error


@pytest.mark.parametrize(
    "written", [*UNWIELDY, '"3e5"', '"a1b2c3e4-0000-0000-0000-0000000000e0"', "5.551115123125783e-17"]
)
def test_an_unreadable_number_in_an_unknown_field_is_accepted(written: str) -> None:
    assert check(changed(mine="@").replace(b'"@"', written.encode()))["receipt"] == "17"


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.booleans(),
)
@example("0.01E14", False)
@example("0.0e14", False)
def test_duckdb_reads_an_accepted_amount_to_the_cent(number: str, as_text: bool) -> None:
    written = (f'"{number}"' if as_text else number).encode()
    body = changed(documentTotal={"grossTotal": "@"}).replace(b'"@"', written)
    try:
        check(body)
    except ReceiptError:
        return
    sql = 'SELECT CAST(from_json(?, \'{"documentTotal":{"grossTotal":"DECIMAL(19,6)"}}\').documentTotal.grossTotal AS VARCHAR)'
    [(read,)] = duckdb.execute(sql, [body.decode()]).fetchall()
    assert Decimal(read) == Decimal(number).quantize(Decimal("0.000001"), ROUND_HALF_UP)
