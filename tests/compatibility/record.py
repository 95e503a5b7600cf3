"""Record the expected results: `python -m tests.compatibility.record [NAME…]`. Read `README.md` first."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.compatibility import broker, corpus, data_directory


def record_corpus() -> None:
    with tempfile.TemporaryDirectory() as directory, corpus.ingest(Path(directory) / "data") as ingest:
        corpus.RECORDED.mkdir(exist_ok=True)
        for name in corpus.NAMES:
            results = {each["name"]: ingest.result(each) for each in corpus.inputs(name)}
            corpus.write_lines(corpus.RECORDED / f"{name}.json", results)


def record_data_directory() -> None:
    with tempfile.TemporaryDirectory() as directory:
        data_directory.record(Path(directory))


def record_rabbitmq() -> None:
    with tempfile.TemporaryDirectory() as directory:
        broker.record(Path(directory))


RECORDERS = {"corpus": record_corpus, "data-directory": record_data_directory, "rabbitmq": record_rabbitmq}

if __name__ == "__main__":
    for each in sys.argv[1:] or RECORDERS:
        RECORDERS[each]()
