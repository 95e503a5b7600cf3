"""What a schema cannot say: schemathesis loads this to know what is right in each format, and which dates there are."""

from __future__ import annotations

from datetime import date, datetime

import schemathesis
from hypothesis import strategies as st

from tests.support import documents
from tillstream.formats import registry
from tillstream.formats.base import Decoder, Record
from tillstream.settings import Settings
from tillstream.validation import ReceiptError, Validator

RECEIVED_US = 1_795_435_200_000_000
_validator = Validator(Settings())


def is_one_receipt(decoder: Decoder, document: bytes) -> bool:
    decoded = decoder.one(document)
    try:
        return isinstance(decoded, Record) and bool(
            _validator.check(decoded.body, RECEIVED_US, "test/http", decoded.day)
        )
    except ReceiptError:
        return False


for each in registry.load(Settings()):
    right = [document for document in documents.of(each) if is_one_receipt(each, document)]
    for media_type in each.media_types:
        if media_type != "application/json" and not media_type.startswith("+"):
            schemathesis.openapi.media_type(media_type, st.sampled_from(right))

_FIRST, _LAST = datetime(1970, 1, 3), datetime(9998, 12, 29)
schemathesis.openapi.format(
    "date-time-local",
    st.builds(lambda moment, sep: moment.isoformat(sep, "seconds"), st.datetimes(_FIRST, _LAST), st.sampled_from("T ")),
)
schemathesis.openapi.format("date", st.dates(date(1, 1, 1), date(9999, 12, 31)).map(date.isoformat))
