"""Generator of docs/formats.md from the registry of formats."""

from __future__ import annotations

from tillstream.config.settings import Settings
from tillstream.formats import envelope, registry
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.ingest.content_encoding import ENCODINGS
from tillstream.ingest.openapi import OPERATIONS
from tillstream.markdown import anchor, code, names, table

_HEAD = """\
# Formats

Receipts are accepted in these formats, over HTTP or in files. A receipt in any format becomes one canonical
receipt, which is the JSON object below, and its original is kept beside it. `make docs` writes this page from
the registry of formats.

"""

_CHOICE = f"""
## How a format is chosen

A request names its format with `Content-Type`. Letter case and parameters don't matter, but a `charset` must be
UTF-8. A listed type wins over patterns such as `application/*+json`. A request without `Content-Type`, and a file, are
recognised by their first {HEAD_BYTES} bytes, the narrowest format first. If the content of a file proves nothing, its
suffix decides. An unknown type is answered with 415 and the list of known types. If nothing in a request can be
accepted and it looks like another format than its header says, the answer names that format.

`POST /receipt` takes one receipt and returns its key. `POST /receipts` takes any number of receipts. Bodies may be
compressed: `Content-Encoding` {{encodings}}. Limits count the bytes after decompression.

## Results of decoding

A decoder yields three kinds of results, in order. A bad record does not affect the records after it.

- **A receipt**, which is then validated against the canonical form.
- **A skip**: a valid record that is not a sale, such as an order that is still open. Skips are counted by kind
  (`skipped` in the answer, `tillstream_skipped_total` in `/metrics`), and nothing has to be fixed.
- **A fault**: input that cannot become a receipt, with its path, the reason and a hint. The input is kept in
  quarantine, up to the size limit of a receipt (`receipt_limit_bytes`).

```json
{{{{"accepted": 2, "skipped": {{{{"OPEN": 1}}}}, "rejected": [
  {{{{"index": 3, "errors": [{{{{"path": "$.date", "error": "it is missing", "hint": "a receipt needs it"}}}}]}}}}]}}}}
```

`index` counts all records of the request from 0, including skips. `accepted` receipts are on disk and need not be sent
again.

"""

_ENVELOPE = f"""
## The envelope

A gateway that decodes its own format can send receipts with their originals as `{envelope.MEDIA_TYPE}`,
one object per line:

| field | |
| --- | --- |
| `source` | format and entrance in lower case, such as `mine/gateway`; shown with each receipt |
| `receipt` | the canonical receipt |
| `original` | the input as sent, in base64; kept beside the receipt |
| `day` | the till's own business day, `YYYY-MM-DD`, if the format has one; it overrides `day_start` |
| `faults` | instead of `receipt`, why the record is refused: a list of `path`, `error` and `hint`; `original` is quarantined |

## A format of your own

A package adds a format with a subclass of `tillstream.formats.base.Decoder` and an entry point that names the class.
tillstream itself does not change:

```toml
[project.entry-points."tillstream.formats"]
oldtill = "oldtill_format:OldTillDecoder"
```

Once the package is installed, its format is accepted over HTTP and from files, listed in 415 answers and at `/docs`, and
recognised by its content if the class implements that. [`examples/format-package`](../examples/format-package/README.md)
is a complete package. `src/tillstream/formats/base.py` documents the contract: a decoder uses constant memory for a source
of any size, and bad input never raises. `personal` names the fields that identify a customer or a cashier, which the page
and the API redact in originals. It may be empty.
"""


def formats_page() -> str:
    """The page with all formats of this installation, including those of other packages."""
    known = list(registry.load(Settings()))
    rows = [(f"[{each.title}](#{anchor(each.title)})", names(types(each)), names(each.suffixes)) for each in known]
    answers = [(f"`{status}`", meaning) for status, meaning in OPERATIONS["/receipts"][0].answers.items()]
    return (
        _HEAD
        + table(("format", "media types", "file names end with"), rows)
        + _CHOICE.format(encodings=" or ".join(f"`{each}`" for each in ENCODINGS if not each.startswith("x-")))
        + table(("answer", "meaning"), answers)
        + "".join(f"\n## {each.title}\n\n{names(types(each))}\n\n{each.help}\n{example(each)}" for each in known)
        + _ENVELOPE
    )


def types(decoder: Decoder) -> list[str]:
    """The media types of a format, as shown to people."""
    return [f"application/*{each}" if each.startswith("+") else each for each in decoder.media_types]


def example(decoder: Decoder) -> str:
    """The example of a format as a code block, if it has one."""
    language = next((each for each in ("json", "xml", "csv") if each in decoder.media_types[0]), "text")
    return code(decoder.example, language) if decoder.example else ""
