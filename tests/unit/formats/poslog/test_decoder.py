"""Transactions of a POSLog: sales become receipts, other transactions are skipped by kind."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Record, Skip, Unreadable
from tillstream.formats.poslog.decoder import PoslogDecoder
from tillstream.receipt.validation import ReceiptError, Validator

ONE_SALE = Path(__file__).parents[4].parent / "shared" / "formats" / "poslog" / "one-sale.xml"
NAMESPACE = "http://www.nrf-arts.org/IXRetail/namespace/"
RECEIVED_US = 1_795_435_200_000_000

HEADER = (
    "<RetailStoreID>12</RetailStoreID><WorkstationID>2</WorkstationID><SequenceNumber>7</SequenceNumber>"
    "<BusinessDayDate>2026-11-23</BusinessDayDate><EndDateTime>2026-11-24T00:15:00</EndDateTime>"
)
SALE = (
    "<RetailTransaction><LineItem><Sale><ItemID>1</ItemID><ExtendedAmount>2.28</ExtendedAmount></Sale></LineItem>"
    "<Total TotalType='TransactionGrandAmount'>2.28</Total></RetailTransaction>"
)

poslog = PoslogDecoder(Settings())


def many(document: str) -> list[Decoded]:
    return list(poslog.decode(io.BytesIO(document.encode())))


def transaction(inside: str, attributes: str = "") -> Decoded:
    (decoded,) = many(f"<POSLog xmlns='{NAMESPACE}'><Transaction {attributes}>{inside}</Transaction></POSLog>")
    return decoded


def receipt(inside: str) -> Any:
    decoded = transaction(inside)
    assert isinstance(decoded, Record), decoded
    return json.loads(decoded.body, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.skipif(not ONE_SALE.exists(), reason="the published sample is not here")
def test_a_real_log_of_one_sale_has_that_sale_and_a_sign_on() -> None:
    settings = Settings(currency="USD", zone="America/New_York")
    decoder = PoslogDecoder(settings)
    with ONE_SALE.open("rb") as file:
        skip, record = decoder.decode(file)
    assert skip == Skip("ControlTransaction")
    assert isinstance(record, Record)
    assert record.day == "2017-09-30"
    assert record.original.startswith(b"<Transaction><RetailStoreID>9</RetailStoreID>")
    assert record.original in ONE_SALE.read_bytes()
    assert json.loads(record.body, parse_float=Decimal, parse_int=Decimal) == {
        "cashReceiptID": "2017-09-30-161",
        "storeID": "9",
        "terminalID": "34",
        "agentID": "94",
        "date": "2017-10-01 02:02:54",
        "currency": "USD",
        "lines": [
            {
                "lineNumber": "1",
                "productCode": "00000000067591",
                "productDescription": "APPLE HONEYCRISP ORG",
                "productCategoryCode": "6",
                "productCategoryName": "Department6",
                "quantity": Decimal("0.42"),
                "unitPrice": Decimal("2.99"),
                "creditAmount": Decimal("1.26"),
                "settlementAmount": Decimal("1.26"),
            },
            {
                "lineNumber": "5",
                "productDescription": "Promotion 5123",
                "quantity": 0,
                "creditAmount": Decimal("-0.19"),
                "settlementAmount": Decimal("-0.19"),
            },
        ],
        "documentTotal": {"grossTotal": Decimal("1.07"), "netTotal": Decimal("1.07"), "taxPayable": 0},
        "settlements": [{"paymentMechanism": "CreditDebit", "settlementAmount": Decimal("1.07")}],
    }
    Validator(settings).check(record.body, RECEIVED_US, "poslog/import", record.day)
    with pytest.raises(ReceiptError, match="expected EUR"):
        Validator(Settings()).check(record.body, RECEIVED_US, "poslog/import", record.day)


@pytest.mark.parametrize(
    "kind",
    ["ControlTransaction", "TenderControlTransaction", "InventoryControlTransaction", "CustomerOrderTransaction"],
)
def test_other_transactions_are_skipped_by_kind(kind: str) -> None:
    assert transaction(f"{HEADER}<{kind}><ReasonCode>x</ReasonCode></{kind}>") == Skip(kind)


def test_the_kinds_of_skips_are_bounded() -> None:
    assert transaction(f"{HEADER}<InventedTransaction/>") == Skip("other transaction")
    assert transaction(f"{HEADER}<v:BrewTransaction xmlns:v='urn:v'/>") == Skip("other transaction")


def test_a_transaction_without_content_is_a_fault() -> None:
    decoded = transaction(HEADER)
    assert isinstance(decoded, Unreadable)
    assert decoded.faults[0].path == "$.RetailTransaction"


@pytest.mark.parametrize(
    ("attributes", "sale", "kind"),
    [
        ("VoidFlag='true'", SALE, "voided transaction"),
        ("VoidFlag='1'", SALE, "voided transaction"),
        ("CancelFlag='true'", SALE, "cancelled transaction"),
        ("TrainingModeFlag='True'", SALE, "training transaction"),
        (
            "",
            SALE.replace("<RetailTransaction>", "<RetailTransaction TransactionStatus='Suspended'>"),
            "suspended transaction",
        ),
        (
            "",
            SALE.replace("<RetailTransaction>", "<RetailTransaction TransactionStatus='Voided'>"),
            "voided transaction",
        ),
        (
            "",
            SALE.replace("<RetailTransaction>", "<RetailTransaction TransactionStatus='PostVoided'>"),
            "voided transaction",
        ),
        (
            "",
            SALE.replace("<RetailTransaction>", "<RetailTransaction TransactionStatus='Canceled'>"),
            "cancelled transaction",
        ),
        ("", SALE.replace("<RetailTransaction>", "<RetailTransaction VoidFlag='true'>"), "voided transaction"),
    ],
)
def test_voided_cancelled_suspended_and_training_transactions_are_skipped(
    attributes: str, sale: str, kind: str
) -> None:
    assert transaction(HEADER + sale, attributes) == Skip(kind)


@pytest.mark.parametrize("attributes", ["VoidFlag='false'", "CancelFlag='false' TrainingModeFlag='0'"])
def test_false_flags_are_ignored(attributes: str) -> None:
    finished = SALE.replace("<RetailTransaction>", "<RetailTransaction TransactionStatus='Delivered'>")
    assert isinstance(transaction(HEADER + finished, attributes), Record)


def test_the_receipt_number_is_the_business_day_and_the_sequence_number() -> None:
    found = receipt(HEADER + SALE)
    assert (found["cashReceiptID"], found["storeID"], found["terminalID"]) == ("2026-11-23-7", "12", "2")
    assert (found["date"], "agentID" in found) == ("2026-11-24 00:15:00", False)


@pytest.mark.parametrize(
    ("day", "number", "expected_day"),
    [
        ("<BusinessDayDate>2026-11-23Z</BusinessDayDate>", "2026-11-23-7", "2026-11-23"),
        ("<BusinessDayDate>2026-11-23+01:00</BusinessDayDate>", "2026-11-23-7", "2026-11-23"),
        ("<BusinessDayDate><Date>2026-11-23</Date></BusinessDayDate>", "2026-11-23-7", "2026-11-23"),
        ("<BusinessDayDate>yesterday</BusinessDayDate>", "7", ""),
        ("", "7", ""),
    ],
)
def test_the_business_day_may_have_a_zone_or_be_missing(day: str, number: str, expected_day: str) -> None:
    decoded = transaction(HEADER.replace("<BusinessDayDate>2026-11-23</BusinessDayDate>", day) + SALE)
    assert isinstance(decoded, Record)
    assert decoded.day == expected_day
    assert json.loads(decoded.body)["cashReceiptID"] == number


END = "<EndDateTime>2026-11-24T00:15:00</EndDateTime>"


@pytest.mark.parametrize(
    ("dates", "in_sale", "date"),
    [
        (END, "<ReceiptDateTime>2026-11-23T23:59:59</ReceiptDateTime>", "2026-11-23 23:59:59"),
        (END + "<ReceiptDateTime>2026-11-23T23:59:59.649</ReceiptDateTime>", "", "2026-11-23 23:59:59"),
        ("<EndDateTime>2026-11-23T23:15:00Z</EndDateTime>", "", "2026-11-24 00:15:00"),
        ("<EndDateTime>2026-11-23T18:15:00.4833703-05:00</EndDateTime>", "", "2026-11-24 00:15:00"),
        ("<POSLogDateTime>2026-11-24T00:15:00</POSLogDateTime>", "", "2026-11-24 00:15:00"),
        ("<BeginDateTime>2026-11-24T00:15:00</BeginDateTime>", "", "2026-11-24 00:15:00"),
        ("<EndDateTime>noon</EndDateTime>", "", "noon"),
    ],
)
def test_the_date_is_in_the_local_time_of_the_store(dates: str, in_sale: str, date: str) -> None:
    sale = SALE.replace("<RetailTransaction>", f"<RetailTransaction>{in_sale}")
    assert receipt(HEADER.replace(END, dates) + sale)["date"] == date


@pytest.mark.parametrize(
    "store",
    [
        "<BusinessUnit><UnitID TypeCode='RetailStore'>12</UnitID></BusinessUnit><BusinessUnit><UnitID>FR</UnitID></BusinessUnit>",
        "<BusinessUnit TypeCode='RetailStore'>12</BusinessUnit>",
    ],
)
def test_version_6_has_the_store_in_a_business_unit(store: str) -> None:
    assert receipt(HEADER.replace("<RetailStoreID>12</RetailStoreID>", store) + SALE)["storeID"] == "12"


@pytest.mark.parametrize(
    ("header", "total"),
    [
        ("<CurrencyCode>USD</CurrencyCode>", ""),
        ("", "CurrencyCode='USD'"),
        ("", "Currency='USD'"),
    ],
)
def test_the_currency_is_on_the_transaction_or_on_its_total(header: str, total: str) -> None:
    found = receipt(HEADER + header + SALE.replace("<Total ", f"<Total {total} "))
    assert found["currency"] == "USD"


@pytest.mark.parametrize(
    "document",
    [
        "<POSLog><Transaction>{}</Transaction></POSLog>",
        "<Transaction>{}</Transaction>",
        f"<POSLog xmlns='{NAMESPACE}'><Batch><BatchID>1</BatchID><Transaction>{{}}</Transaction></Batch></POSLog>",
        "<POSLog xmlns='http://www.nrf-arts.org/IXRetail/v6.0.0/poslog'><Transaction>{}</Transaction></POSLog>",
        f"<s:Envelope xmlns:s='urn:s'><s:Body><POSLog xmlns='{NAMESPACE}'><Transaction>{{}}</Transaction></POSLog></s:Body></s:Envelope>",
    ],
)
def test_transactions_are_found_at_any_depth(document: str) -> None:
    (decoded,) = many(document.format(HEADER + SALE))
    assert isinstance(decoded, Record)
    assert decoded.day == "2026-11-23"


def test_any_namespace_prefix_is_accepted() -> None:
    inside = (HEADER + SALE).replace("</", "</a:").replace("<", "<a:").replace("<a:/a:", "</a:")
    (decoded,) = many(f"<a:POSLog xmlns:a='{NAMESPACE}'><a:Transaction>{inside}</a:Transaction></a:POSLog>")
    (unprefixed,) = many(f"<POSLog xmlns='{NAMESPACE}'><Transaction>{HEADER + SALE}</Transaction></POSLog>")
    assert isinstance(decoded, Record)
    assert isinstance(unprefixed, Record)
    assert decoded.body == unprefixed.body


def test_elements_of_other_namespaces_are_ignored() -> None:
    ours = HEADER + SALE
    theirs = "<v:RetailStoreID>99</v:RetailStoreID><v:LineItem><v:Sale/></v:LineItem>"
    inside = f"<x xmlns:v='urn:v'>{theirs}</x>{ours.replace('<LineItem>', '<LineItem>' + theirs.replace('v:', ''))}"
    assert receipt(ours.replace("<RetailTransaction>", f"<RetailTransaction xmlns:v='urn:v'>{theirs}")) == receipt(ours)
    assert receipt(inside)["storeID"] == "12"


def test_an_invalid_amount_is_a_fault_and_the_next_sale_is_read() -> None:
    broken, valid = (HEADER + SALE.replace("2.28<", "2,28<", 1)), HEADER + SALE
    first, second = many(f"<POSLog><Transaction>{broken}</Transaction><Transaction>{valid}</Transaction></POSLog>")
    assert isinstance(first, Unreadable)
    assert (first.faults[0].path, first.faults[0].error) == ("$.ExtendedAmount", "expected a number, got '2,28'")
    assert first.where == "record 1"
    assert isinstance(second, Record)


@pytest.mark.parametrize("document", ["<POSLog/>", f"<a xmlns='{NAMESPACE}'/>", "<receipts><receipt/></receipts>"])
def test_a_document_without_transactions_is_a_fault(document: str) -> None:
    (decoded,) = many(document)
    assert isinstance(decoded, Unreadable)
    assert decoded.faults[0].error == "there is no receipt in it: no <Transaction>"


def test_a_sale_without_totals_and_lines_is_left_to_validation() -> None:
    assert "documentTotal" not in receipt(HEADER + "<RetailTransaction/>")


@pytest.mark.parametrize(
    ("head", "like"),
    [
        (b"<POSLog>", True),
        (b"<?xml version='1.0'?><!-- x --><p:POSLog xmlns:p='urn:p'>", True),
        (f"<DigitalReceipt xmlns='{NAMESPACE}'>".encode(), True),
        (b"<Transaction>", True),
        (b"<receipts>", False),
        (b"<?xml version='1.0'?>", False),
        (b"{}", False),
    ],
)
def test_a_poslog_is_recognised_by_its_root_or_its_namespace(head: bytes, like: bool) -> None:
    assert poslog.recognises(head) is like
