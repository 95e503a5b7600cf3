"""A till as a separate process. It stores receipts with `examples/till_client.py`, prints each, and forwards them.

    python -m tests.support.till_process SPOOL URL FIRST LAST

It ends once the receipt LAST is stored and all receipts are forwarded.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from examples.till_client import Forwarder, Spool

DAY = "2026-03-02"
_PACE_S = 0.003


def receipt(number: int) -> dict[str, Any]:
    return {
        "cashReceiptID": number,
        "storeID": "12",
        "terminalID": "1",
        "date": f"{DAY} {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
        "documentTotal": {"grossTotal": f"{cents(number) // 100}.{cents(number) % 100:02}"},
    }


def cents(number: int) -> int:
    return number * 37 % 1000 + 1


def forward(spool: Path, url: str) -> None:
    Forwarder(Spool(spool), url, max_pause_s=0.5).run()


def main(spool: str, url: str, first: str, last: str) -> None:
    threading.Thread(target=forward, args=(Path(spool), url), daemon=True).start()
    with closing(Spool(spool)) as stored:
        for number in range(int(first), int(last) + 1):
            stored.store(receipt(number))
            sys.stdout.write(f"stored {number}\n")
            sys.stdout.flush()
            time.sleep(_PACE_S)
        while stored.waiting():
            time.sleep(_PACE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
