"""A till process that uses `examples/till_client.py`. It stores numbered receipts, prints their numbers, and sends them.

    python -m tests.support.till_process SPOOL URL FIRST LAST

It ends as soon as all receipts are sent.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from examples.till_client import Forwarder, Spool
from tests.support.decimal_receipts import euros

DAY = "2026-03-02"
_PAUSE_S = 0.003


def receipt(number: int) -> dict[str, Any]:
    return {
        "cashReceiptID": number,
        "storeID": "12",
        "terminalID": "1",
        "date": f"{DAY} {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
        "documentTotal": {"grossTotal": euros(cents(number))},
    }


def cents(number: int) -> int:
    return number * 37 % 1000 + 1


def forward(spool: Path, url: str) -> None:
    Forwarder(Spool(spool), url, max_pause_s=0.5).run()


def main(spool: str, url: str, first: str, last: str) -> None:
    threading.Thread(target=forward, args=(Path(spool), url), daemon=True).start()
    with closing(Spool(spool)) as opened:
        for number in range(int(first), int(last) + 1):
            opened.store(receipt(number))
            sys.stdout.write(f"stored {number}\n")
            sys.stdout.flush()
            time.sleep(_PAUSE_S)
        while opened.waiting():
            time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
