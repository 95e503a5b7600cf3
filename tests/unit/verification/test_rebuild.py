"""Given a data directory with receipts; when its database is rebuilt; then it has the same figures, and only then is swapped."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.inprocess.dashboard import quarantine_service_of, queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.clock import SystemClock
from tillstream.composition import open_read_side
from tillstream.config import data_directory
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, UnknownMetric
from tillstream.runtime.roles import ReadSide
from tillstream.verification import check, rebuild

METRICS = ("sales", "sales_by_product", "vat_by_rate", "payments_by_mechanism", "sales_by_minute")


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """Receipts 1 to 3, of which the first came twice."""
    directory = open_directory(tmp_path / "data")
    pipeline = Pipeline(directory.path)
    pipeline.append(body(), body(cashReceiptID="2"), body(cashReceiptID="3"))
    pipeline.append(body())
    pipeline.drain()
    pipeline.close()
    return directory


def figures(directory: DataDirectory) -> dict[str, object]:
    pipeline = Pipeline(directory.path)
    try:
        return {name: pipeline.rows(name) for name in METRICS} | {"duplicates": pipeline.counter("duplicates")}
    finally:
        pipeline.close()


def settings(directory: DataDirectory) -> Settings:
    return Settings(data=str(directory.path))


def stored(directory: DataDirectory) -> Callable[[], AbstractContextManager[ReadSide]]:
    return partial(open_read_side, directory, settings(directory), SystemClock())


def new(directory: DataDirectory) -> Callable[[], AbstractContextManager[ReadSide]]:
    return partial(open_read_side, directory, settings(directory), SystemClock(), rebuilding=True)


def test_the_new_database_has_the_figures_of_the_old_one(directory: DataDirectory) -> None:
    before = figures(directory)
    progress: list[tuple[int, int]] = []
    done = rebuild.rebuild_database(directory, new(directory), lambda *at: progress.append(at))
    assert (done, progress[-1]) == (4, (4, 4))
    assert figures(directory) == before
    assert check.check(settings(directory), open_read_side).agrees
    assert not directory.new_database.exists()


def test_a_rebuild_leaves_the_ingest_delay_empty(directory: DataDirectory) -> None:
    rebuild.rebuild_database(directory, new(directory), lambda *_: None)
    pipeline = Pipeline(directory.path)
    try:
        assert {row["ingest_bucket"] for row in pipeline.rows("delays")} == {-1}
    finally:
        pipeline.close()


def test_a_lost_database_and_its_write_ahead_log_are_rebuilt(directory: DataDirectory) -> None:
    before = figures(directory)
    directory.database.write_bytes(b"no database")
    wal = directory.path / "store.duckdb.wal"
    wal.write_bytes(b"of another file")
    rebuild.rebuild_database(directory, new(directory), lambda *_: None)
    assert figures(directory) == before


def test_the_rest_of_a_crashed_rebuild_is_removed(directory: DataDirectory) -> None:
    before = figures(directory)
    directory.new_database.write_bytes(b"half of it")
    rebuild.rebuild_database(directory, new(directory), lambda *_: None)
    assert figures(directory) == before


def test_a_crashed_rebuild_leaves_the_old_database(directory: DataDirectory) -> None:
    before = figures(directory)

    def die(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild_database(directory, new(directory), die)
    assert figures(directory) == before


def test_decisions_survive_a_lost_database(directory: DataDirectory) -> None:
    pipeline = Pipeline(directory.path)
    for number in range(3):
        pipeline.refuse(b"x" * 100, [{"path": "$", "error": str(number), "hint": ""}])
    pipeline.drain()
    quarantine_service = quarantine_service_of(pipeline, queries_of(pipeline))
    waiting = [entry.id for entry in quarantine_service.page({}).entries]
    quarantine_service.discard(waiting[1:])
    before = quarantine_service.page({"settled": "1"})
    pipeline.close()
    directory.database.write_bytes(b"no database")
    rebuild.rebuild_database(directory, new(directory), lambda *_: None)
    pipeline = Pipeline(directory.path)
    quarantine_service = quarantine_service_of(pipeline, queries_of(pipeline))
    assert [entry.id for entry in quarantine_service.page({}).entries] == waiting[:1]
    assert quarantine_service.page({"settled": "1"}) == before
    pipeline.close()
    assert check.check(settings(directory), open_read_side).agrees


def test_a_database_is_not_rebuilt_while_an_engine_runs(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_directory, "LOCK_WAIT_S", 0.1)
    with directory.lock("engine"):
        with pytest.raises(DataDirectoryError, match="already uses it"):
            rebuild.rebuild_database(directory, new(directory), lambda *_: None)
        with pytest.raises(DataDirectoryError, match="already uses it"):
            rebuild.rebuild_metric(directory, stored(directory), "sales")


def test_one_metric_is_rebuilt_from_the_stored_receipts(directory: DataDirectory) -> None:
    before = figures(directory)
    pipeline = Pipeline(directory.path)
    pipeline.tamper("DELETE FROM merged_sales_by_product")
    pipeline.close()
    assert not check.check(settings(directory), open_read_side).agrees
    assert rebuild.rebuild_metric(directory, stored(directory), "sales_by_product") == 2
    assert figures(directory) == before
    assert check.check(settings(directory), open_read_side).agrees


def test_an_unknown_metric_is_refused(directory: DataDirectory) -> None:
    with pytest.raises(UnknownMetric, match="sales_by_moon"):
        rebuild.rebuild_metric(directory, stored(directory), "sales_by_moon")
