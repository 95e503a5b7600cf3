"""The page of the formats, written from their registry."""

from __future__ import annotations

from tillstream.config.settings import Settings
from tillstream.formats import envelope, registry
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.ingest.content_encoding import ENCODINGS
from tillstream.ingest.openapi import OPERATIONS
from tillstream.markdown import anchor, code, names, table

_HEAD = """\
# Formats

A receipt may come in any of these formats, over HTTP or in a file. Whatever it comes in, it becomes one
canonical receipt, the object that JSON shows below, and what came is kept beside it. This page is written
from the registry of formats by `make docs`.

"""

_CHOICE = f"""
## How a format is chosen

A request names its format with `Content-Type`; letter case and parameters don't matter, but a `charset` must be
UTF-8. A type that is listed wins over `application/*+json` and the like. A request without `Content-Type`, and a file,
are recognised by what they begin with (their first {HEAD_BYTES} bytes), the narrowest format first; a file of which
that is not sure goes by the end of its name. An unknown type is answered with 415 and the list of those known. Where
nothing of a request can be taken and it looks like another format than its header says, the answer names that one.

`POST /receipt` takes one receipt and says its key, `POST /receipts` any number. Bodies may be compressed:
`Content-Encoding` {{encodings}}. Limits count the bytes behind it.

## What comes of it

A format yields, in order, three things, and a bad record doesn't stop those behind it:

- **a receipt**, which is then checked against the canonical form;
- **a skip**: a record that is rightly no sale, such as an order that is still open. It is counted by its kind
  (`skipped` in the answer, `tillstream_skipped_total` in `/metrics`) and is nothing to mend;
- **a fault**: a part that no receipt can be made of, with its path, the reason and what would be right. It is kept
  whole in quarantine, up to the limit of a receipt (`receipt_limit_bytes`).

```json
{{{{"accepted": 2, "skipped": {{{{"OPEN": 1}}}}, "rejected": [
  {{{{"index": 3, "errors": [{{{{"path": "$.date", "error": "it is missing", "hint": "a receipt needs it"}}}}]}}}}]}}}}
```

`index` counts all that came in the request from 0, skips too. `accepted` is on disk; nothing of it needs to be sent again.

"""

_ENVELOPE = f"""
## The envelope

A gateway that decodes a format of its own can hand over receipts with their originals as `{envelope.MEDIA_TYPE}`,
one object a line:

| field | |
| --- | --- |
| `source` | format and entrance in small letters: `mine/gateway`; shown with each receipt |
| `receipt` | the canonical receipt |
| `original` | what came, in base64; kept beside the receipt |
| `day` | the till's own business day, `YYYY-MM-DD`, where the format has one: it wins over `day_start` |
| `faults` | instead of `receipt`, why it is none: a list of `path`, `error` and `hint`; `original` goes to quarantine |

## A format of your own

A package adds a format with a class that derives from `tillstream.formats.base.Decoder` and an entry point that names it;
nothing here needs to change:

```toml
[project.entry-points."tillstream.formats"]
oldtill = "oldtill_format:OldTillDecoder"
```

Installed beside tillstream, it is taken over HTTP and from files, told in 415 and at `/docs`, and recognised where it says
how. [`examples/format-package`](../examples/format-package/README.md) is such a package, whole. What a decoder promises stands
in `src/tillstream/formats/base.py`: it holds little, however large the source is, and never raises for what the bytes say.
Its `personal` names the fields that tell who bought or sold, which the page and the API hide in what came; empty: there are none.
"""


def formats_page() -> str:
    """Every format of this installation, those of other packages too."""
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
    """The media types as people write them."""
    return [f"application/*{each}" if each.startswith("+") else each for each in decoder.media_types]


def example(decoder: Decoder) -> str:
    """The format's example as a block of code, if it has one."""
    language = next((each for each in ("json", "xml", "csv") if each in decoder.media_types[0]), "text")
    return code(decoder.example, language) if decoder.example else ""
