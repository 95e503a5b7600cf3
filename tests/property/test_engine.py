"""For any receipts in any batches, the figures of the engine equal a recount in Python."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.stored_metrics import assert_metrics_equal
from tests.support.recount import recount

TEXTS = st.one_of(
    st.none(),
    st.integers(0, 10**9),
    st.text(st.characters(exclude_categories=["C", "Z"]), max_size=12),
    st.sampled_from(["Pain", " Pain ", "", "<script>", "Pâtisserie", "a'b\"c\\d", "\t"]),
)


@st.composite
def amounts(draw: st.DrawFn, limit: int = 10**12) -> Any:
    """Amounts as tills write them: as numbers or text, with exponents, one decimal, float noise or too many decimals."""
    cents = draw(st.one_of(st.integers(-5000, 5000), st.integers(-limit * 100 + 1, limit * 100 - 1)))
    value = Decimal(cents) / 100
    form = draw(st.sampled_from(["float", "text", "short", "fine", "exponent"]))
    if form == "text":
        return f"{value:f}"
    if form == "fine":
        return json.loads(f"{value:.2f}5")
    if form == "exponent" and cents % 100 == 0:
        return f"{cents // 100}e0"
    # A binary float keeps fifteen significant digits. Larger amounts are sent as text.
    return float(value) if abs(cents) < 10**15 else f"{value:f}"


LINES = st.fixed_dictionaries(
    {},
    optional={
        "lineNumber": st.integers(1, 9),
        "productCode": TEXTS,
        "productDescription": TEXTS,
        "productCategoryCode": TEXTS,
        "productCategoryName": TEXTS,
        "quantity": st.one_of(st.none(), st.integers(-5, 50), st.sampled_from([0.42, "1.5", -0.3, 0])),
        "unitOfMeasure": st.sampled_from([None, "piece", "kg", " KG "]),
        "unitPrice": st.one_of(st.none(), amounts()),
        "creditAmount": st.one_of(st.none(), amounts()),
        "taxPercentage": st.sampled_from([None, 0, 5.5, 10, "20.0", 2.1, -1]),
        "settlementAmount": st.one_of(st.none(), amounts()),
        "unknown": st.just({"kept": [1, 2]}),
    },
)
RECEIPTS = st.fixed_dictionaries(
    {
        "cashReceiptID": st.one_of(st.integers(1, 10**6), st.text("abc0123456789-", min_size=1, max_size=8)),
        "storeID": st.sampled_from(["1", 1, "été"]),
        "date": st.datetimes().map(lambda each: f"2026-11-23 {each:%H:%M:%S}"),
        "documentTotal": st.fixed_dictionaries(
            {"grossTotal": amounts()},
            optional={"netTotal": st.one_of(st.none(), amounts()), "taxPayable": st.one_of(st.none(), amounts())},
        ),
    },
    optional={
        "terminalID": st.sampled_from([None, "1", 2]),
        "lines": st.one_of(st.none(), st.lists(LINES, max_size=4)),
        "settlements": st.one_of(
            st.none(),
            st.lists(
                st.fixed_dictionaries({"settlementAmount": amounts()}, optional={"paymentMechanism": TEXTS}),
                max_size=3,
            ),
        ),
    },
)


def identity(receipt: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(receipt["storeID"]),
        str(receipt.get("terminalID") or "-"),
        str(receipt["cashReceiptID"]),
        receipt["date"],
    )


@settings(deadline=None, max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.lists(RECEIPTS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_figures_equal_a_recount_in_python(commits: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(Path(folder))
        first: dict[tuple[str, ...], dict[str, Any]] = {}
        repeated = 0
        for commit in commits:
            pipeline.append(*commit)
            for receipt in commit:
                repeated += identity(receipt) in first
                first.setdefault(identity(receipt), receipt)
        pipeline.drain()

        counted = [(json.dumps(receipt).encode(), receipt["date"][:10]) for receipt in first.values()]
        assert_metrics_equal(pipeline, recount(counted))
        assert pipeline.counter("duplicates") + pipeline.counter("conflicts") == repeated
        assert all(not pipeline.verify(metric.name) for metric in pipeline.metrics)
        pipeline.close()
