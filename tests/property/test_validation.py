"""The fast check accepts only what the full check accepts, and DuckDB reads all accepted receipts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.receipt_strategies import receipt_shapes
from tillstream.config.settings import Settings
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.normalization import BODY_SCHEMA
from tillstream.receipt.validation import ReceiptError, Validator, parse

RECEIVED_US = 1_795_435_200_000_000
SHAPE = json.dumps({"documentTotal": {"grossTotal": "DECIMAL(19,6)"}})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["", "1_0", "NaN", "Infinity", "0.3", "1e2", " 1", "1.", ".5", "+1", "-", "1,5", "\u0661", "\u00a0"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
plain_amounts = st.decimals(-(10**13), 10**13, allow_nan=False, allow_infinity=False, places=2).map(str)
digits = st.from_regex(r"-?(0|[1-9][0-9]{0,12})(\.[0-9]{1,30})?", fullmatch=True)
exponents = st.from_regex(r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?[eE][+-]?[0-7]", fullmatch=True)
amounts = plain_amounts | digits | exponents
ids = st.text(max_size=130) | st.integers(-(10**20), 10**20)
dates = st.one_of(
    st.datetimes().map(str),
    st.datetimes(timezones=st.timezones()).map(str),
    st.sampled_from(["2026-11-23 10:15:00", "2026-11-23T10:15:00Z", "20261123T101500", "2026-W47-1 10:00"]),
    st.text(max_size=25),
)


class Digits(str):
    """A number that is written into JSON with these digits."""

    __slots__ = ()


HEAD_FIELDS = frozenset({"cashReceiptID", "storeID", "terminalID", "date"})


class Pairs(list[tuple[str, Any]]):
    """A JSON object in which names may repeat."""

    def without_repeats(self, last: bool) -> dict[str, Any]:
        """The first or the last value of each name. Fields of the head always have the last one."""
        found: dict[str, Any] = {}
        for name, value in self:
            if last or name in HEAD_FIELDS or name not in found:
                found[name] = value
        return {name: remove_repeats(value, last) for name, value in found.items()}


def remove_repeats(value: Any, last: bool) -> Any:
    if isinstance(value, Pairs):
        return value.without_repeats(last)
    return [remove_repeats(item, last) for item in value] if isinstance(value, list) else value


def encode(value: Any) -> bytes:
    """Encode as JSON, with `Digits` as numbers."""
    if isinstance(value, Digits):
        return value.encode()
    if isinstance(value, Pairs):
        return b"{" + b",".join(encode(name) + b":" + encode(part) for name, part in value) + b"}"
    if isinstance(value, dict):
        return b"{" + b",".join(encode(str(name)) + b":" + encode(part) for name, part in value.items()) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(encode, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


texts = st.none() | st.text(max_size=8) | st.integers(-(10**20), 10**20)
needed = st.builds(Digits, amounts) | amounts
receipts = receipt_shapes(
    ids=ids,
    dates=dates,
    texts=texts,
    amounts=st.none() | needed,
    needed=needed,
    note=anything,
    terminalID=st.none() | ids,
    currency=st.sampled_from([None, "EUR", "USD", ""]),
)
FIELDS = ["cashReceiptID", "storeID", "terminalID", "date", "documentTotal", "lines", "settlements", "currency", "x"]


@st.composite
def broken_receipts(draw: st.DrawFn) -> dict[str, Any]:
    receipt: dict[str, Any] = dict(draw(receipts))
    for name in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        receipt[name] = draw(anything)
    return receipt


@st.composite
def broken_bytes(draw: st.DrawFn) -> bytes:
    body = bytearray(encode(draw(receipts)))
    for _ in range(draw(st.integers(0, 3))):
        index = draw(st.integers(0, len(body) - 1))
        body[index : index + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=2) | st.sampled_from([b"\\", b"}", b"e", b"0"])
        )
    return bytes(body)


bodies = st.one_of(receipts.map(encode), broken_receipts().map(encode), broken_bytes(), st.binary(max_size=40))

untimed = settings(deadline=None)
fast_validator = Validator(Settings())


class SlowValidator(Validator):
    """A validator that always uses the full check."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._decode = self._reject  # type: ignore[assignment]

    def _reject(self, body: bytes) -> Any:
        raise ValueError


slow_validator = SlowValidator(Settings())


def outcome(validator: Validator, body: bytes) -> tuple[Any, ...]:
    """Head, key and day, or the faults and whether the body could be parsed."""
    try:
        return validator.check(body, RECEIVED_US, "json/http")
    except ReceiptError as error:
        return list(error.faults), error.parseable


@untimed
@given(bodies)
def test_both_checks_agree(body: bytes) -> None:
    assert outcome(fast_validator, body) == outcome(slow_validator, body)


@untimed
@given(bodies)
def test_a_body_makes_one_head_line_or_faults(body: bytes) -> None:
    found = outcome(fast_validator, body)
    if len(found) == 3:
        head, key, _ = found
        columns = head.decode().split("\t")
        assert len(columns) == len(HEAD_COLUMNS)
        assert head.count(b"\n") == 1
        assert columns[1] == key
    else:
        assert found[0]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def accepted_gross(body: bytes) -> Decimal:
    with localcontext(prec=80):
        given_total = parse(body)["documentTotal"]["grossTotal"]
        return Decimal(given_total).quantize(Decimal("0.000001"), ROUND_HALF_UP)


@untimed
@given(bodies)
@example(
    encode({"cashReceiptID": 1, "storeID": 1, "date": "2026-11-23 10:15:00", "documentTotal": {"grossTotal": " 1.5 "}})
)
def test_duckdb_reads_the_same_amounts_from_accepted_receipts(engine: duckdb.DuckDBPyConnection, body: bytes) -> None:
    if len(outcome(fast_validator, body)) == 2:
        return
    valid, read = engine.execute(
        "SELECT json_valid($body), from_json($body, $shape).documentTotal.grossTotal",
        {"body": body.decode(), "shape": SHAPE},
    ).fetchall()[0]
    assert valid
    assert read == accepted_gross(body)


REPEATABLE: dict[str, tuple[str, ...]] = {
    "": ("cashReceiptID", "storeID", "terminalID", "date", "currency", "documentTotal", "lines", "settlements"),
    "documentTotal": ("grossTotal", "netTotal", "taxPayable"),
    "lines": ("quantity", "settlementAmount", "creditAmount", "productCode"),
    "settlements": ("settlementAmount", "paymentMechanism"),
}
"""Known fields by their level."""


valid_totals = st.builds(Digits, digits)
valid_receipts = receipt_shapes(
    ids=st.sampled_from(["17", 18]),
    dates=st.sampled_from(["2026-11-23 10:15:00", "2026-11-23T10:15:00Z"]),
    texts=texts,
    amounts=st.none() | needed,
    needed=valid_totals,
    note=anything,
    currency=st.sampled_from([None, "EUR", ""]),
)


@st.composite
def repeating_receipts(draw: st.DrawFn) -> Pairs:
    """Receipts with repeated known fields. Some of the repeated values are arbitrary."""
    other = draw(valid_receipts)

    def repeat(level: str, value: Any) -> Any:
        if isinstance(value, list):
            return [repeat(level, item) for item in value]
        if not isinstance(value, dict) or level not in REPEATABLE:
            return value
        pairs = [(name, part if level else repeat(name, part)) for name, part in value.items()]
        for name in draw(st.lists(st.sampled_from(REPEATABLE[level]), max_size=2)):
            valid = other.get(name) if not level else draw(valid_totals)
            repeated = draw(anything) if draw(st.integers(0, 3)) == 0 else valid
            pairs.insert(draw(st.integers(0, len(pairs))), (name, repeated))
        return Pairs(pairs)

    found: Pairs = repeat("", draw(valid_receipts))
    return found


@untimed
@given(repeating_receipts())
def test_a_repeated_field_is_refused_or_counts_as_checked(engine: duckdb.DuckDBPyConnection, receipt: Pairs) -> None:
    body = encode(receipt)
    found = outcome(fast_validator, body)
    assert found == outcome(slow_validator, body)
    single = [encode(receipt.without_repeats(last)) for last in (False, True)]
    if len(found) == 3:
        assert [outcome(fast_validator, each) for each in single] == [found, found]
        read = "SELECT from_json($body, $shape)"
        counted, first = [
            engine.execute(read, {"body": each.decode(), "shape": json.dumps(BODY_SCHEMA)}).fetchall()
            for each in (body, single[0])
        ]
        assert counted == first
    else:
        assert found[0]


@untimed
@given(receipts)
def test_the_order_of_fields_does_not_matter(receipt: dict[str, Any]) -> None:
    reversed_receipt = dict(reversed(receipt.items()))
    one, other = outcome(fast_validator, encode(receipt)), outcome(fast_validator, encode(reversed_receipt))
    if len(one) == 3:
        assert one == other
    else:
        assert len(other) == 2


@untimed
@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4))
def test_faults_can_always_be_encoded_as_json(value: object) -> None:
    with pytest.raises(ReceiptError) as caught:
        fast_validator.check(
            encode({"lines": value, "documentTotal": value, "storeID": value}), RECEIVED_US, "json/http"
        )
    msgspec.json.encode(caught.value.faults)
