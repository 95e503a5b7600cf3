"""The SQL of metrics: the columns of a metric's table, its fold over rows, and the merge of partial rows."""

from __future__ import annotations

from tillstream.metrics.catalogue import Metric


def metric_columns(metric: Metric, digits: int) -> dict[str, str]:
    """Column types of a metric's table: its keys, then its measures; `digits` are the decimals of the currency."""
    # Wide, because a sum may hold many of the largest accepted amounts.
    kinds = {"money": f"DECIMAL(38,{digits})", "count": "BIGINT", "text": "VARCHAR", "time": "TIMESTAMP"}
    keys = {key.name: key.type for key in metric.keys}
    return keys | {measure.name: kinds[measure.kind] for measure in metric.measures}


def metric_table(name: str) -> str:
    """The table of a metric: a name that no other table can have."""
    return f"metric_{name}"


def fold(metric: Metric, source: str, digits: int, where: str = "true") -> str:
    """SQL of the metric's partial rows over a relation that has the columns of its source."""
    types = metric_columns(metric, digits)
    keys = ", ".join(f"CAST({key.expression} AS {key.type}) AS {key.name}" for key in metric.keys)
    measures = ", ".join(
        f"CAST({measure.fold}({measure.expression}) AS {types[measure.name]}) AS {measure.name}"
        for measure in metric.measures
    )
    return f"SELECT {keys}, {measures} FROM {source} WHERE {where} GROUP BY ALL"


def merge(metric: Metric, parts: str, digits: int) -> str:
    """SQL of one row per key out of relations that `fold` made."""
    types = metric_columns(metric, digits)
    keys = ", ".join(key.name for key in metric.keys)
    measures = ", ".join(
        f"CAST({measure.merge}({measure.name}) AS {types[measure.name]}) AS {measure.name}"
        for measure in metric.measures
    )
    return f"SELECT {keys}, {measures} FROM ({parts}) AS parts GROUP BY ALL"
