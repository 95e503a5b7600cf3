"""Hooks for schemathesis: valid documents of each format, and valid dates."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from datetime import date, datetime
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

_documents: dict[str, list[str]] = json.loads(Path(os.environ["VALID_DOCUMENTS"]).read_bytes())

for media_type, documents in _documents.items():
    if media_type != "application/json":
        schemathesis.openapi.media_type(media_type, st.sampled_from([b64decode(each) for each in documents]))

_FIRST, _LAST = datetime(1970, 1, 3), datetime(9998, 12, 29)
schemathesis.openapi.format(
    "date-time-local",
    st.builds(lambda moment, sep: moment.isoformat(sep, "seconds"), st.datetimes(_FIRST, _LAST), st.sampled_from("T ")),
)
schemathesis.openapi.format("date", st.dates(date(1, 1, 1), date(9999, 12, 31)).map(date.isoformat))
