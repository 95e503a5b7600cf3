"""The embedded engine passes the suite of the engine port with the log on RabbitMQ."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.engine.suite import EngineSuite
from tests.inprocess.clock import ManualClock
from tests.inprocess.pipeline import Pipeline
from tests.support.rabbitmq import Node
from tests.support.receipts import NOON_US
from tillstream.config.settings import Settings
from tillstream.generator.schedule import Options, phases
from tillstream.log.base import Batch
from tillstream.log.rabbitmq.log import RabbitLog
from tillstream.receipt.validation import Validator


class TestEmbeddedEngineOnRabbitMQ(EngineSuite):
    @pytest.fixture(autouse=True)
    def take_node(self, node: Node) -> None:
        self.node = node

    def make(self, path: Path, settings: Settings | None = None) -> Pipeline:
        return on_rabbitmq(path, self.node, settings or Settings(), partitions=1)


def on_rabbitmq(path: Path, node: Node, settings: Settings, partitions: int) -> Pipeline:
    settings = replace(settings, rabbitmq_url=node.url(node.fresh_vhost()), rabbitmq_partitions=partitions)
    log = RabbitLog(settings, Validator(settings), ManualClock(NOON_US), writer=True)
    return Pipeline(path, settings, log=log)


def test_a_chain_of_bakeries_has_the_same_figures_on_either_log(node: Node, tmp_path: Path) -> None:
    settings = Settings(engine_batch_receipts=500)
    options = Options(url="http://127.0.0.1:1", seed=7, burst=1_500)
    printed = [
        phase.receipt_at(local_s) for phase in phases(options, ManualClock(NOON_US)) for _, local_s in phase.moments
    ]
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "rabbitmq").mkdir()
    pipelines = [Pipeline(tmp_path / "sqlite", settings), on_rabbitmq(tmp_path / "rabbitmq", node, settings, 4)]
    validator = Validator(settings)
    for pipeline in pipelines:
        for start in range(0, len(printed), 97):
            batch = Batch()
            for each in printed[start : start + 97]:
                batch.add(validator.check(each, NOON_US, "json/http")[0], each)
            pipeline.log.append(batch)
        pipeline.drain()
    for metric in pipelines[0].metrics:
        # The delay of a receipt depends on the log.
        if metric.name != "delays":
            assert pipelines[0].rows(metric.name) == pipelines[1].rows(metric.name), metric.name
    assert sum(row["receipts"] for row in pipelines[1].rows("sales")) == 1_500
    for pipeline in pipelines:
        pipeline.close()
