"""Every number of an overview equals a recount, for all scopes, periods and clock changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import to_builtins

from tests.inprocess.overview import ExpectedOverview, Sale, sale
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries
from tillstream.stores.model import Store, StoreList

PARIS = ZoneInfo("Europe/Paris")
DAY = timedelta(days=1)
SOUTH = ("2", "3", "5")
PRODUCTS = [(f"P{number}", f"Product {number}", ("Pain", "Menu", "Boisson")[number % 3]) for number in range(18)]
SCOPES: tuple[dict[str, str], ...] = (
    {},
    {"region": "South"},
    {"store": "2"},
    {"store": "3", "till": "1"},
    {"store": "99"},
    {"category": "Menu"},
    {"product": "P4"},
    {"category": "(unallocated)"},
)


@dataclass(frozen=True)
class Case:
    """A wall-clock time, a request, and the periods that it selects."""

    name: str
    now: str
    query: dict[str, str]
    requested: tuple[str, str]
    before: tuple[str, str]
    live: bool = True
    day_start: str = "00:00"
    fold: int = 0
    sells_before: bool = True


CASES = (
    Case("noon", "2026-11-23 12:00:30", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2),
    Case("late", "2026-11-23 21:47:59", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2),
    Case("midnight", "2026-11-23 00:00:10", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2),
    Case("23 hours", "2026-03-29 14:20:00", {}, ("2026-03-29",) * 2, ("2026-03-22",) * 2),
    Case("before 23 hours", "2026-04-05 02:30:00", {}, ("2026-04-05",) * 2, ("2026-03-29",) * 2),
    Case("25 hours", "2026-10-25 02:30:15", {}, ("2026-10-25",) * 2, ("2026-10-18",) * 2, fold=1),
    Case("before 25 hours", "2026-11-01 02:31:00", {}, ("2026-11-01",) * 2, ("2026-10-25",) * 2),
    Case("night", "2026-11-24 01:10:05", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2, day_start="04:00"),
    Case("25 hours of the night", "2026-10-25 02:30:00", {}, ("2026-10-24",) * 2, ("2026-10-17",) * 2, day_start="04:00"),
    Case("first half hour", "2026-11-23 04:50:00", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2, day_start="04:30"),
    Case("last half hour", "2026-11-24 04:20:00", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2, day_start="04:30"),
    Case("a past day", "2026-11-23 12:00:30", {"day": "2026-11-20"}, ("2026-11-20",) * 2, ("2026-11-13",) * 2, live=False),
    Case("another day to compare with", "2026-11-23 12:00:30", {"vs": "2026-11-21"}, ("2026-11-23",) * 2, ("2026-11-21",) * 2),
    Case("three days", "2026-11-23 12:00:30", {"from": "2026-11-21", "to": "2026-11-23"},
         ("2026-11-21", "2026-11-23"), ("2026-11-14", "2026-11-16")),
    Case("ten days", "2026-11-23 12:00:30", {"from": "2026-11-12", "to": "2026-11-21"},
         ("2026-11-12", "2026-11-21"), ("2026-10-29", "2026-11-07"), live=False),
    Case("nothing to compare with", "2026-11-23 12:00:30", {}, ("2026-11-23",) * 2, ("2026-11-16",) * 2, sells_before=False),
)  # fmt: skip


class World:
    """A chain with random sales on the days of a case."""

    def __init__(self, path: Path, case: Case, seed: int) -> None:
        self.case = case
        self.random = Random(seed)
        self.start = timedelta(hours=int(case.day_start[:2]), minutes=int(case.day_start[3:]))
        self.requested, self.before = (tuple(map(date.fromisoformat, each)) for each in (case.requested, case.before))
        self.pipeline = Pipeline(path, Settings(day_start=case.day_start))
        local = datetime.fromisoformat(case.now).replace(tzinfo=PARIS, fold=case.fold)
        self.now = local.replace(tzinfo=None)
        self.pipeline.clock.advance((local.astimezone(UTC) - datetime.fromtimestamp(0, UTC)).total_seconds()
                                    - self.pipeline.clock.now_us() / 1e6)  # fmt: skip
        self.sales: list[Sale] = []
        self.shops = StoreList(
            {"2": Store("2", region="South"), "3": Store("3", region="South"), "5": Store("5", region="South")}
        )
        self.queries = Queries(self.pipeline.database, self.pipeline.log, self.pipeline.metrics, self.pipeline.settings,
                           self.pipeline.clock, stores=lambda: self.shops)  # fmt: skip

    def sell(self, count: int) -> None:
        """Sell on the requested days, on the earlier days and on some in between, in a few commits of mixed days."""
        days = [self.requested[0] + number * DAY for number in range((self.requested[1] - self.requested[0]).days + 1)]
        if self.case.sells_before:
            days += [self.before[0] + number * DAY for number in range((self.before[1] - self.before[0]).days + 1)]
        days += [self.requested[1] - 5 * DAY, self.requested[1] - 20 * DAY]
        if not self.case.sells_before:
            days = [day for day in days if not self.before[0] <= day <= self.before[1]]
        by_day: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for _ in range(count):
            day = self.random.choice(days)
            by_day[day.isoformat()].append(self._receipt(day))
        for day_text, receipts in by_day.items():
            self.pipeline.append(*receipts, day=day_text)
            for receipt in receipts:
                self.sales.append(sale(receipt, date.fromisoformat(day_text), len(self.sales)))
            self.pipeline.clock.advance(0.001)
        self.pipeline.drain()

    def _receipt(self, day: date) -> dict[str, Any]:
        random = self.random
        start = datetime.combine(day, datetime.min.time()) + self.start
        offset = self.now - (datetime.combine(self.requested[1], datetime.min.time()) + self.start)
        kind = random.random()
        if kind < 0.35:  # about the cutoff, where a second decides
            moment = start + offset + timedelta(seconds=random.randint(-150, 150))
        elif kind < 0.42:  # dated beyond or before its day, as a format with a business day of its own may be
            moment = start + timedelta(days=random.choice([-2, 1, 3]), minutes=random.randrange(1440))
        else:
            moment = start + timedelta(seconds=random.randrange(86_400))
        sign = -1 if random.random() < 0.15 else 1
        lines = [self._line(sign) for _ in range(random.randint(0, 3))]
        gross = sum(round(line["settlementAmount"] * 100) for line in lines) + random.choice([0, 0, 0, 17])
        return body(
            cashReceiptID=str(len(self.sales) * 1000 + random.randrange(10**12)),
            storeID=random.choice(["1", "2", "2", "3", "4", *(str(each) for each in range(20, 40))]),
            terminalID=random.choice("12"),
            date=f"{moment:%Y-%m-%d %H:%M:%S}",
            lines=lines,
            documentTotal={"grossTotal": gross / 100},
            settlements=[{"paymentMechanism": random.choice(["CB", "ES", " "]), "settlementAmount": gross / 100}],
        )

    def _line(self, sign: int) -> dict[str, Any]:
        code, description, category = self.random.choice(PRODUCTS)
        return {
            "productCode": code, "productDescription": description + self.random.choice(["", " bio"]),
            "productCategoryName": category, "quantity": sign * self.random.choice([1, 1, 2, 0.35]),
            "taxPercentage": self.random.choice([5.5, 10, None]),
            "settlementAmount": sign * self.random.randrange(0, 900) / 100,
        }  # fmt: skip

    def expected(self, scope: dict[str, str]) -> ExpectedOverview:
        cutoff = self.now.replace(second=0) - datetime.combine(self.requested[1], datetime.min.time()) - self.start
        requested, before = (self.requested[0], self.requested[1]), (self.before[0], self.before[1])
        return ExpectedOverview(
            self.sales, requested, before, cutoff if self.case.live else None, self.start, scope, SOUTH
        )


every_case = pytest.mark.parametrize("world", CASES, ids=lambda case: case.name, indirect=True)
days_only = pytest.mark.parametrize(
    "world",
    [case for case in CASES if case.requested[0] == case.requested[1]],
    ids=lambda case: case.name,
    indirect=True,
)


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, request.param, seed=20261124)
    yield world
    world.pipeline.close()


@every_case
def test_an_overview_equals_a_recount_as_receipts_come(world: World) -> None:
    """The second round adds late receipts, which must invalidate the cached figures of the earlier days."""
    for count in (240, 60):
        world.sell(count)
        for scope in SCOPES:
            assert_agrees(world, scope)


def assert_agrees(world: World, scope: dict[str, str]) -> None:
    overview = to_builtins(world.queries.overview({**world.case.query, **scope}))
    expected = world.expected(scope)
    assert overview["live"] is world.case.live
    until = f"{world.now:%H:%M}" if world.case.live else None
    assert overview["vs"] == {
        "from": world.case.before[0], "to": world.case.before[1], "until": until, "empty": expected.empty,
    }  # fmt: skip
    tiles = {name: overview["tiles"][name] for name in expected.tiles()}
    assert tiles == expected.tiles()
    for name in ("categories", "hours", "payments", "vat", "products", "tills"):
        assert overview[name] == getattr(expected, name)(), name
    shops = overview["shops"]
    for row in [*shops["best"], *shops["worst"]] if shops else ():
        assert row.pop("title") == row["store"]
    assert shops == expected.shops()
    course = {name: overview["pace"][name] for name in ("offset", "revenue", "receipts", "before")}
    assert course == expected.pace()
    assert [row["key"] for row in overview["latest"]] == expected.latest()
    found = {each.key: each for each in expected.requested}
    for row in overview["latest"]:
        one = found[row["key"]]
        expected_row = (one.store, one.till, one.sold.isoformat(), str(one.figures.totals["revenue"]))
        assert (row["store"], row["till"], row["sold"], row["gross"]) == expected_row
    if expected.by_line:
        assert overview["tiles"]["shops"] is None
    elif not scope:
        world.shops = StoreList()
        tiles = to_builtins(world.queries.overview(world.case.query))["tiles"]
        assert (tiles["shops"], tiles["tills"]) == expected.reporting(world.queries.local_now())
        world.shops = StoreList({each: Store(each, region="South") for each in SOUTH})


@days_only
def test_the_tiles_of_a_day_are_those_of_its_summary(world: World) -> None:
    world.sell(120)
    overview = to_builtins(world.queries.overview(world.case.query))
    summary = to_builtins(world.queries.summary(world.case.requested[0]))
    for name in ("revenue", "net", "tax", "receipts", "average_ticket"):
        assert overview["tiles"][name]["value"] == summary[name]
    assert overview["tiles"]["quantity"]["value"] == summary["items"]
    assert overview["tiles"]["shops"]["value"] == summary["stores_active"]
    assert overview["tiles"]["tills"]["value"] == summary["tills_active"]
    assert overview["tiles"]["receipts_per_minute"]["value"] == summary["receipts_per_minute"]
    assert overview["as_of"] == summary["as_of"]
    for name in ("ingest_delay_ms", "till_delay_s"):
        assert overview["tiles"][name] == summary[name]
