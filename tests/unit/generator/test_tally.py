from random import Random

import pytest

from tillstream.generator.tally import Latency, Tally, report


def test_percentiles_are_upper_bounds_within_a_sixteenth_of_an_octave() -> None:
    random = Random(1)
    values = sorted(int(random.lognormvariate(8, 2)) for _ in range(10_000))
    latency = Latency()
    for value in values:
        latency.add(value)

    for percent in (10, 50, 90, 99):
        exact = values[int(len(values) * percent / 100) - 1]
        assert exact <= latency.percentile_us(percent) <= exact * 1.07 + 1
    assert latency.max_us == values[-1]
    assert latency.percentile_us(100) == values[-1]


@pytest.mark.parametrize("value", [0, 1, 2, 15, 16, 17, 31, 32, 33, 1000, 123_456_789])
def test_a_single_latency_is_its_own_percentile(value: int) -> None:
    latency = Latency()
    latency.add(value)

    assert latency.percentile_us(50) == value


def test_without_latencies_a_report_says_zero() -> None:
    outcome = report(Tally(), seed=3, seconds=0)

    assert (outcome.latency_p99_ms, outcome.receipts_per_second, outcome.clean) == (0, 0, True)


@pytest.mark.parametrize(("accepted", "refused", "clean"), [(5, 0, True), (4, 1, False), (4, 0, False)])
def test_a_run_is_clean_when_all_that_was_sent_was_accepted(accepted: int, refused: int, clean: bool) -> None:
    outcome = report(Tally(sent=5, accepted=accepted, refused=refused), seed=3, seconds=2)

    assert outcome.clean is clean
    assert outcome.unacknowledged == 5 - accepted - refused
    assert outcome.receipts_per_second == accepted / 2
