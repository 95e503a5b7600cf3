import pytest

from tillstream.client.tally import Tally
from tillstream.generator.report import report


def test_without_latencies_a_report_says_zero() -> None:
    outcome = report(Tally(), seed=3, seconds=0)

    assert (outcome.latency_p99_ms, outcome.receipts_per_second, outcome.clean) == (0, 0, True)


@pytest.mark.parametrize(("accepted", "refused", "clean"), [(5, 0, True), (4, 1, False), (4, 0, False)])
def test_a_run_is_clean_when_all_that_was_sent_was_accepted(accepted: int, refused: int, clean: bool) -> None:
    outcome = report(Tally(sent=5, accepted=accepted, refused=refused), seed=3, seconds=2)

    assert outcome.clean is clean
    assert outcome.unacknowledged == 5 - accepted - refused
    assert outcome.receipts_per_second == accepted / 2
