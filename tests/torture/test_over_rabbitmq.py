"""Tests from `tests/e2e` with the log on RabbitMQ, which environment variables select."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import test_generate, test_repeat, test_up

pytestmark = pytest.mark.torture

TESTS_WITH_FOLDER = (
    test_generate.test_given_a_killed_ingest_then_every_generated_receipt_counts_once_and_to_the_cent,
    test_repeat.test_given_receipts_sent_three_times_out_of_order_then_only_the_duplicates_change,
)
"""Tests with a working folder as their argument."""

TESTS_WITH_DATA_DIRECTORY = (
    test_up.test_a_receipt_is_shown_before_and_after_a_restart,
    test_up.test_receipts_accepted_just_before_a_stop_are_shown_after_a_restart,
    test_up.test_the_addresses_stay_the_same_when_a_role_is_killed,
    test_up.test_a_killed_supervisor_leaves_no_orphans_and_no_lock,
    test_up.test_a_second_interrupt_does_not_disturb_the_stop,
    test_up.test_each_role_runs_separately,
    test_up.test_a_dead_engine_does_not_stop_ingest,
    test_up.test_a_rebuild_has_equal_figures,
    test_up.test_given_a_figure_that_differs_from_the_recount_then_check_exits_with_code_1,
)
"""Tests with a data directory as their argument."""


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
