"""Metric tables in DuckDB. Receipts are merged into them at intervals. Queries also read the unmerged receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tillstream.errors import UnknownMetric
from tillstream.metrics.catalogue import Metric, aggregate, merge, metric_columns, metric_table

Run = Callable[..., Any]
"""A function that runs one statement in the current transaction. Its result has `fetchone` and `fetchall`."""

_MERGE = {
    "sum": "{table}.{name} + excluded.{name}",
    "min": "least({table}.{name}, excluded.{name})",
    "max": "greatest({table}.{name}, excluded.{name})",
}


class MetricTables:
    """A merged table and a view for each metric. The view combines the merged table with the rows not yet merged.

    A merge takes some milliseconds per metric, even for few rows. If every commit merged, a commit of fifty receipts
    would spend nearly all its time on the merge. `step` is the number of a commit, and `merged` is the number of the
    last commit whose rows are in the merged tables.
    """

    def __init__(self, catalogue: Sequence[Metric], digits: int) -> None:
        self._digits = digits
        self._metrics = {metric.name: metric for metric in catalogue}

    def _metric(self, name: str) -> Metric:
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        return self._metrics[name]

    def rebuild_changed(self, run: Run, merged: int) -> None:
        """Rebuild the metrics that are new or have a changed declaration."""
        digests = dict(run("SELECT metric, digest FROM catalogue").fetchall())
        for name, metric in self._metrics.items():
            if digests.get(name) != metric.digest:
                self.rebuild(run, name, merged)

    def rebuild(self, run: Run, name: str, merged: int) -> int:
        """Recompute one metric from the stored rows. Returns the number of its rows. Raises `UnknownMetric`."""
        metric = self._metric(name)
        self._drop(run, name)
        columns = metric_columns(metric, self._digits)
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        run(f"CREATE TABLE {_merged(name)} ({declared}, PRIMARY KEY ({_keys(metric)}))")
        run(f"INSERT INTO {_merged(name)} BY NAME {aggregate(metric, self._digits, f'step <= {merged}')}")
        self._create_view(run, metric, merged)
        run("INSERT INTO catalogue VALUES (?, ?)", [name, metric.digest])
        count: int = run(f"SELECT count(*) FROM {metric_table(name)}").fetchone()[0]
        return count

    def merge(self, run: Run, merged: int, step: int) -> None:
        """Merge the rows of the steps after `merged`, up to and including `step`."""
        # Drop the metrics that are no longer in the catalogue. The database does not drop them when it is opened: a
        # command may open it with other settings, and the catalogue of the command may lack metrics of the engine.
        for (name,) in run("SELECT metric FROM catalogue").fetchall():
            if name not in self._metrics:
                self._drop(run, name)
        for metric in self._metrics.values():
            table = _merged(metric.name)
            rows = aggregate(metric, self._digits, f"step > {merged} AND step <= {step}")
            sums = ", ".join(f"{m.name} = {_MERGE[m.merge].format(table=table, name=m.name)}" for m in metric.measures)
            run(f"INSERT INTO {table} BY NAME {rows} ON CONFLICT ({_keys(metric)}) DO UPDATE SET {sums}")
            self._create_view(run, metric, step)

    def differences(self, name: str) -> str:
        """Return a query for rows in which the metric and a recount of all stored rows differ."""
        metric = self._metric(name)
        columns = ", ".join(metric_columns(metric, self._digits))
        return f"""
            WITH recount AS ({aggregate(metric, self._digits)}), shown AS (FROM {metric_table(name)}),
            differing AS (
                SELECT 'recount' AS side, * FROM (SELECT {columns} FROM recount EXCEPT SELECT {columns} FROM shown)
                UNION ALL
                SELECT 'metric' AS side, * FROM (SELECT {columns} FROM shown EXCEPT SELECT {columns} FROM recount))
            SELECT * FROM differing ORDER BY {_keys(metric)}, side LIMIT 20"""

    def _create_view(self, run: Run, metric: Metric, merged: int) -> None:
        columns = ", ".join(metric_columns(metric, self._digits))
        # The view contains the step as a literal number, so DuckDB can skip the blocks of rows that are merged.
        unmerged = aggregate(metric, self._digits, f"step > {merged}")
        parts = f"SELECT {columns} FROM {_merged(metric.name)} UNION ALL {unmerged}"
        run(f"CREATE OR REPLACE VIEW {metric_table(metric.name)} AS {merge(metric, parts, self._digits)}")

    def _drop(self, run: Run, name: str) -> None:
        run(f"DROP VIEW IF EXISTS {metric_table(name)}")
        run(f"DROP TABLE IF EXISTS {_merged(name)}")
        run("DELETE FROM catalogue WHERE metric = ?", [name])


def _keys(metric: Metric) -> str:
    return ", ".join(key.name for key in metric.keys)


def _merged(name: str) -> str:
    return f"merged_{name}"
