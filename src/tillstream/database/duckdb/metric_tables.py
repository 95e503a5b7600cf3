"""Metrics over stored rows in DuckDB: merged now and then, and folded at the reading in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tillstream.errors import UnknownMetric
from tillstream.metrics.catalogue import Metric
from tillstream.metrics.folding import fold, merge, metric_columns, metric_table

Run = Callable[..., Any]
"""Runs one statement within the database's transaction; returns what has `fetchall`."""


class MetricTables:
    """Each metric is a view over its merged rows and the fold of the rows stored since.

    A merge costs some milliseconds a metric however few the rows are, so a commit of fifty receipts
    would be nearly all merging. `step` numbers the commits; rows of the steps up to the database's
    `merged` step are in the merged tables, and the views fold the few that came later.
    """

    def __init__(self, catalogue: Sequence[Metric], digits: int) -> None:
        self._digits = digits
        self.metrics: Mapping[str, Metric] = {metric.name: metric for metric in catalogue}

    def named(self, name: str) -> Metric:
        """Raises `UnknownMetric`."""
        if name not in self.metrics:
            raise UnknownMetric(f"there is no metric {name!r}; there are {', '.join(self.metrics)}")
        return self.metrics[name]

    def _fold(self, metric: Metric, where: str = "true") -> str:
        return fold(metric, metric.source, self._digits, where)

    def align(self, run: Run, merged: int) -> None:
        """Make the tables of new or changed metrics from the stored rows."""
        stored = dict(run("SELECT metric, digest FROM catalogue").fetchall())
        for name, metric in self.metrics.items():
            if stored.get(name) != metric.digest:
                self.rebuild(run, name, merged)

    def rebuild(self, run: Run, name: str, merged: int) -> int:
        """Make one metric anew from the stored rows; how many rows it has."""
        metric = self.named(name)
        self._drop(run, name)
        columns = metric_columns(metric, self._digits)
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        run(f"CREATE TABLE {_merged(name)} ({declared}, PRIMARY KEY ({_keys(metric)}))")
        run(f"INSERT INTO {_merged(name)} BY NAME {self._fold(metric, f'step <= {merged}')}")
        self._show(run, metric, merged)
        run("INSERT INTO catalogue VALUES (?, ?)", [name, metric.digest])
        count: int = run(f"SELECT count(*) FROM {metric_table(name)}").fetchone()[0]
        return count

    def merge(self, run: Run, merged: int, step: int) -> None:
        """Move the rows of the steps behind `merged`, up to and with `step`, into the merged tables.

        A metric that the catalogue has no more would be left behind: it is dropped, here and not at
        the opening, which a mere reader with other settings does too.
        """
        for (name,) in run("SELECT metric FROM catalogue").fetchall():
            if name not in self.metrics:
                self._drop(run, name)
        for metric in self.metrics.values():
            table = _merged(metric.name)
            folded = self._fold(metric, f"step > {merged} AND step <= {step}")
            sums = ", ".join(f"{m.name} = {_MERGE[m.merge].format(table=table, name=m.name)}" for m in metric.measures)
            run(f"INSERT INTO {table} BY NAME {folded} ON CONFLICT ({_keys(metric)}) DO UPDATE SET {sums}")
            self._show(run, metric, step)

    def differences(self, name: str, limit: int) -> str:
        """SQL of the rows in which the metric and a recount of all stored rows differ."""
        metric = self.named(name)
        columns = ", ".join(metric_columns(metric, self._digits))
        return f"""
            WITH recount AS ({self._fold(metric)}), kept AS (FROM {metric_table(name)}),
            differing AS (
                SELECT 'recount' AS side, * FROM (SELECT {columns} FROM recount EXCEPT SELECT {columns} FROM kept)
                UNION ALL
                SELECT 'metric' AS side, * FROM (SELECT {columns} FROM kept EXCEPT SELECT {columns} FROM recount))
            SELECT * FROM differing ORDER BY {_keys(metric)}, side LIMIT {int(limit)}"""

    def _show(self, run: Run, metric: Metric, merged: int) -> None:
        """The step stands in the view as a number, so that a reader's scan skips all that is merged."""
        columns = ", ".join(metric_columns(metric, self._digits))
        tail = self._fold(metric, f"step > {merged}")
        parts = f"SELECT {columns} FROM {_merged(metric.name)} UNION ALL {tail}"
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
