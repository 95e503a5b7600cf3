"""Latencies are counted in logarithmic buckets."""

from __future__ import annotations

from random import Random

import pytest

from tillstream.client.tally import Latency


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
