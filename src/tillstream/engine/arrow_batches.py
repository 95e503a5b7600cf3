"""Chunks of the log as Arrow tables: the engine's columns without a Python object per receipt."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from itertools import chain

import pyarrow as pa
import pyarrow.csv as csv

from tillstream.errors import TillstreamError
from tillstream.log.base import Chunk, Frame
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.time_zones import offsets

_HEAD_PARSE = csv.ParseOptions(delimiter="\t", quote_char=False, escape_char=False, newlines_in_values=False)
_HEAD_CONVERT = csv.ConvertOptions(
    column_types={name: pa.int64() if name == "received_us" else pa.string() for name in HEAD_COLUMNS},
    null_values=[],
    strings_can_be_null=False,
)

RECORD_COLUMNS = ("place", *HEAD_COLUMNS, "body")


class ChunkError(TillstreamError):
    """The chunk's heads or bodies are not what ingest writes, although its checksum is right."""


def records(chunks: Sequence[Chunk]) -> pa.Table:
    """One row a record, with the columns `RECORD_COLUMNS`. Raises `ChunkError`.

    The bodies stay where they are: their column has the chunks' own buffers.
    """
    count = sum(chunk.count for chunk in chunks)
    written = b"".join(chunk.heads.data for chunk in chunks)
    try:
        heads = csv.read_csv(io.BytesIO(written), _reading(len(written)), _HEAD_PARSE, _HEAD_CONVERT)
        bodies = pa.chunked_array([_strings(chunk.bodies) for chunk in chunks])
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ChunkError(str(error)) from error
    if heads.num_rows != count or len(bodies) != count:
        raise ChunkError(f"{heads.num_rows} heads and {len(bodies)} bodies for {count} records")
    places = pa.array(chain.from_iterable(chunk.record_ids for chunk in chunks), pa.int64())
    return heads.add_column(0, "place", places).append_column("body", bodies)


def _reading(size_bytes: int) -> csv.ReadOptions:
    # A line may not reach over a whole block, and the reasons of a refusal are one.
    block_size = max(csv.ReadOptions().block_size, size_bytes + 1)
    return csv.ReadOptions(column_names=list(HEAD_COLUMNS), use_threads=False, block_size=block_size)


def _strings(frame: Frame) -> pa.Array:
    """The frame as an Arrow string column over the frame's own buffers."""
    column = pa.StringArray.from_buffers(len(frame), pa.py_buffer(frame.offsets), pa.py_buffer(frame.data))
    column.validate(full=True)
    return column


def zone_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """The UTC offsets of each (zone, local date as YYYY-MM-DD), as `Normalization.sales` joins them."""
    found = [offsets(zone, date.fromisoformat(day)) for zone, day in pairs]
    return pa.table(
        {
            "zone_name": pa.array([zone for zone, _ in pairs], pa.string()),
            "local_date": pa.array([day for _, day in pairs], pa.string()),
            "before_seconds": pa.array([int(each.before.total_seconds()) for each in found], pa.int64()),
            "after_seconds": pa.array([int(each.after.total_seconds()) for each in found], pa.int64()),
            "from_local": pa.array([each.from_local for each in found], pa.timestamp("us")),
            "to_local": pa.array([each.to_local for each in found], pa.timestamp("us")),
        }
    )
