"""Metric tables in DuckDB: merged from time to time, and aggregated at read time in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tillstream.errors import UnknownMetric
from tillstream.metrics.catalogue import Metric, aggregate, merge, metric_columns, metric_table

Run = Callable[..., Any]
"""Runs one statement within the current transaction. The result has `fetchall`."""


class MetricTables:
    """Each metric is a view over its merged table and the aggregate of the rows stored since the last merge.

    A merge takes some milliseconds per metric, even for few rows. With a merge in every commit, a commit
    of fifty receipts would spend nearly all its time there. `step` is the number of a commit. The merged
    tables include all steps up to the `merged` step of the database.
    """

    def __init__(self, catalogue: Sequence[Metric], digits: int) -> None:
        self._digits = digits
        self._metrics: Mapping[str, Metric] = {metric.name: metric for metric in catalogue}

    def _metric(self, name: str) -> Metric:
        if name not in self._metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self._metrics)}")
        return self._metrics[name]

    def _aggregate(self, metric: Metric, where: str = "true") -> str:
        return aggregate(metric, metric.source, self._digits, where)

    def rebuild_changed(self, run: Run, merged: int) -> None:
        """Rebuild the metrics that are new or whose declaration has changed."""
        digests = dict(run("SELECT metric, digest FROM catalogue").fetchall())
        for name, metric in self._metrics.items():
            if digests.get(name) != metric.digest:
                self.rebuild(run, name, merged)

    def rebuild(self, run: Run, name: str, merged: int) -> int:
        """Recompute one metric from the stored rows. Returns its number of rows. Raises `UnknownMetric`."""
        metric = self._metric(name)
        self._drop(run, name)
        columns = metric_columns(metric, self._digits)
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        run(f"CREATE TABLE {_merged(name)} ({declared}, PRIMARY KEY ({_keys(metric)}))")
        run(f"INSERT INTO {_merged(name)} BY NAME {self._aggregate(metric, f'step <= {merged}')}")
        self._create_view(run, metric, merged)
        run("INSERT INTO catalogue VALUES (?, ?)", [name, metric.digest])
        count: int = run(f"SELECT count(*) FROM {metric_table(name)}").fetchone()[0]
        return count

    def merge(self, run: Run, merged: int, step: int) -> None:
        """Merge the rows of the steps after `merged`, up to and including `step`."""
        # Metrics that left the catalogue are dropped here and not when the database is opened,
        # because a reader with other settings opens it too.
        for (name,) in run("SELECT metric FROM catalogue").fetchall():
            if name not in self._metrics:
                self._drop(run, name)
        for metric in self._metrics.values():
            table = _merged(metric.name)
            rows = self._aggregate(metric, f"step > {merged} AND step <= {step}")
            sums = ", ".join(f"{m.name} = {_MERGE[m.merge].format(table=table, name=m.name)}" for m in metric.measures)
            run(f"INSERT INTO {table} BY NAME {rows} ON CONFLICT ({_keys(metric)}) DO UPDATE SET {sums}")
            self._create_view(run, metric, step)

    def differences(self, name: str, limit: int) -> str:
        """SQL of the rows in which the metric and a recount of all stored rows differ."""
        metric = self._metric(name)
        columns = ", ".join(metric_columns(metric, self._digits))
        return f"""
            WITH recount AS ({self._aggregate(metric)}), shown AS (FROM {metric_table(name)}),
            differing AS (
                SELECT 'recount' AS side, * FROM (SELECT {columns} FROM recount EXCEPT SELECT {columns} FROM shown)
                UNION ALL
                SELECT 'metric' AS side, * FROM (SELECT {columns} FROM shown EXCEPT SELECT {columns} FROM recount))
            SELECT * FROM differing ORDER BY {_keys(metric)}, side LIMIT {int(limit)}"""

    def _create_view(self, run: Run, metric: Metric, merged: int) -> None:
        columns = ", ".join(metric_columns(metric, self._digits))
        # The view has the step as a literal number, so that DuckDB skips merged rows by its zone maps.
        unmerged = self._aggregate(metric, f"step > {merged}")
        parts = f"SELECT {columns} FROM {_merged(metric.name)} UNION ALL {unmerged}"
        run(f"CREATE OR REPLACE VIEW {metric_table(metric.name)} AS {merge(metric, parts, self._digits)}")

    def _drop(self, run: Run, name: str) -> None:
        run(f"DROP VIEW IF EXISTS {metric_table(name)}")
        run(f"DROP TABLE IF EXISTS {_merged(name)}")
        run("DELETE FROM catalogue WHERE metric = ?", [name])


_MERGE = {
    "sum": "{table}.{name} + excluded.{name}",
    "min": "least({table}.{name}, excluded.{name})",
    "max": "greatest({table}.{name}, excluded.{name})",
}


def _keys(metric: Metric) -> str:
    return ", ".join(key.name for key in metric.keys)


def _merged(name: str) -> str:
    return f"merged_{name}"
