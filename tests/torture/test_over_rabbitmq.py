"""End-to-end tests from `tests/e2e` that also run with the log on RabbitMQ, set through the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import test_generate, test_repeat, test_up

pytestmark = pytest.mark.torture

TESTS_WITH_FOLDER = (
    test_generate.test_receipts_sent_while_ingest_is_killed_count_once_each_and_to_the_cent,
    test_repeat.test_receipts_that_come_three_times_out_of_order_change_only_the_duplicates,
)
"""Tests whose argument is a working folder."""

TESTS_WITH_DATA_DIRECTORY = (
    test_up.test_a_receipt_is_seen_and_still_there_after_a_restart,
    test_up.test_what_was_accepted_just_before_the_stop_is_there_afterwards,
    test_up.test_the_address_stays_the_same_when_a_part_is_killed,
    test_up.test_a_killed_supervisor_leaves_no_orphans_and_its_directory_free,
    test_up.test_a_second_interrupt_harms_nothing,
    test_up.test_each_role_runs_by_itself,
    test_up.test_a_dead_engine_does_not_stop_ingest,
    test_up.test_rebuild_makes_the_same_figures,
    test_up.test_what_is_shown_differs_from_the_recount_ends_check_with_1,
)
"""Tests whose argument is the data directory."""


@pytest.fixture(autouse=True)
def over_rabbitmq(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLSTREAM_LOG", "rabbitmq")
    monkeypatch.setenv("TILLSTREAM_RABBITMQ_URL", broker_url)


@pytest.mark.parametrize("test", TESTS_WITH_FOLDER, ids=lambda test: test.__name__.removeprefix("test_"))
def test_with_a_working_folder(test: Callable[[Path], None], tmp_path: Path) -> None:
    test(tmp_path)


@pytest.mark.parametrize("test", TESTS_WITH_DATA_DIRECTORY, ids=lambda test: test.__name__.removeprefix("test_"))
def test_with_a_data_directory(test: Callable[[Path], None], tmp_path: Path) -> None:
    test(tmp_path / "data")
    assert not (tmp_path / "data" / "log.sqlite3").exists()
