"""Receipts with five lines and two settlements, about 1.5 KB each, and a script for wrk that posts them."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Paris")
STORES = 1_000
TILLS = 4
TEMPLATES = 500
LINES = 5

PRODUCTS = (
    ("Baguette tradition", "Pain", 130),
    ("Baguette", "Pain", 105),
    ("Pain aux céréales", "Pain", 295),
    ("Croissant", "Viennoiserie", 120),
    ("Pain au chocolat", "Viennoiserie", 135),
    ("Chausson aux pommes", "Viennoiserie", 210),
    ("Sandwich jambon beurre", "Sandwich Froid", 450),
    ("Sandwich poulet crudités", "Sandwich Froid", 520),
    ("Croque-monsieur", "Sandwich Chaud", 480),
    ("Panini trois fromages", "Sandwich Chaud", 550),
    ("Part de pizza reine", "Pizza", 390),
    ("Menu sandwich boisson dessert", "Menu", 890),
    ("Éclair au café", "Patisserie", 320),
    ("Tartelette aux fraises", "Patisserie", 410),
    ("Eau minérale 50 cl", "Boisson", 150),
    ("Jus d'orange pressé", "Boisson", 330),
    ("Sachet de bonbons", "Confiserie", 240),
)
CATEGORIES = sorted({category for _, category, _ in PRODUCTS})
VAT = {"Confiserie": 200, "Sandwich Froid": 100, "Sandwich Chaud": 100, "Pizza": 100, "Menu": 100}
"""VAT rates by category, in tenths of a percent."""

DEFAULT_VAT = 55

JSON = "application/json"
NDJSON = "application/x-ndjson"


def templates(seed: int = 1) -> list[str]:
    """The part of a receipt from `"lines"` to its end, for `TEMPLATES` receipts. The seed determines them."""
    random = Random(seed)
    return [_template(random) for _ in range(TEMPLATES)]


def _template(random: Random) -> str:
    lines = [_line(random, number) for number in range(1, LINES + 1)]
    gross = sum(line["settlementAmount"] for line in lines)
    net = sum(line["creditAmount"] for line in lines)
    card = random.randrange(gross // 2, gross)
    for line in lines:
        for name in ("settlementAmount", "creditAmount", "unitPrice"):
            line[name] /= 100
    receipt = {
        "lines": lines,
        "documentTotal": {"grossTotal": gross / 100, "taxPayable": (gross - net) / 100, "netTotal": net / 100},
        "settlements": [
            {"paymentMechanism": "CB", "settlementAmount": card / 100},
            {"paymentMechanism": "Especes", "settlementAmount": (gross - card) / 100},
        ],
    }
    return json.dumps(receipt, ensure_ascii=False, separators=(",", ":"))[1:]


def _line(random: Random, number: int) -> dict[str, Any]:
    """A line with its amounts in cents."""
    product = random.randrange(len(PRODUCTS))
    description, category, price = PRODUCTS[product]
    quantity = random.choice((1, 1, 2, 3))
    gross = price * quantity
    vat = VAT.get(category, DEFAULT_VAT)
    return {
        "unitOfMeasure": "unit",
        "settlementAmount": gross,
        "creditAmount": round(gross * 1_000 / (1_000 + vat)),
        "lineNumber": number,
        "unitPrice": price,
        "productCode": f"{product:08}",
        "taxPercentage": vat / 10,
        "productDescription": description,
        "productCategoryName": category,
        "productCategoryCode": str(CATEGORIES.index(category) + 1),
        "quantity": quantity,
    }


def run_id() -> str:
    """A prefix for receipt ids, so that runs have different keys."""
    return uuid.uuid4().hex[:8]


class Tills:
    """Receipts with unique keys. `clock` returns the local time of the n-th receipt, by default the current time."""

    def __init__(self, clock: Callable[[int], str] | None = None) -> None:
        self._templates = templates()
        self._run = run_id()
        self._numbers = itertools.count(1)
        self._clock = clock or (lambda _: now())

    def receipt(self) -> bytes:
        return self._write(next(self._numbers)).encode()

    def batch(self, size: int) -> bytes:
        """Receipts as NDJSON."""
        numbers = itertools.islice(self._numbers, size)
        return "\n".join(map(self._write, numbers)).encode()

    def _write(self, number: int) -> str:
        return (
            f'{{"cashReceiptID":"{self._run}-{number}","storeID":"{number % STORES + 1}",'
            f'"terminalID":"{number // STORES % TILLS + 1}","agentID":"{number % 97}",'
            f'"customerID":"{number % 9973}","date":"{self._clock(number)}",{self._templates[number % TEMPLATES]}'
        )


def now() -> str:
    """The current local time of the tills."""
    return _formatted(int(time.time()))


@lru_cache(8)
def _formatted(second: int) -> str:
    return datetime.fromtimestamp(second, ZONE).strftime("%Y-%m-%d %H:%M:%S")


def today() -> date:
    return datetime.now(ZONE).date()


def spread(day: date, count: int, opens_h: int = 7, closes_h: int = 20) -> Callable[[int], str]:
    """A clock for `Tills` that spreads `count` receipts evenly over the opening hours of a day."""
    open_s = (closes_h - opens_h) * 3_600

    def clock(number: int) -> str:
        second = opens_h * 3_600 + min(open_s - 1, number * open_s // count)
        return f"{day} {second // 3_600:02}:{second // 60 % 60:02}:{second % 60:02}"

    return clock


def write_script(directory: Path, path: str, batch: int = 1) -> Path:
    """Write a wrk script that posts `batch` receipts per request and prints its result as one line of JSON."""
    file = directory / "templates.txt"
    file.write_text("".join(f"{template}\n" for template in templates()), encoding="utf-8")
    offset = datetime.now(ZONE).utcoffset()
    values = {
        "TEMPLATES": str(file),
        "RUN": run_id(),
        "OFFSET": str(int(offset.total_seconds()) if offset else 0),
        "PATH": path,
        "TYPE": JSON if batch == 1 else NDJSON,
        "BATCH": str(batch),
        "STORES": str(STORES),
        "TILLS": str(TILLS),
    }
    text = SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    script = directory / f"post-{values['RUN']}.lua"
    script.write_text(text, encoding="utf-8")
    return script


SCRIPT = """\
local templates, run, number, second, now = {}, "@RUN@-", 0, 0, ""
for line in io.lines("@TEMPLATES@") do templates[#templates + 1] = line end
local floor, parts = math.floor, {}

-- wrk.format is not used, because it takes more time than the rest of the script.
local function head(length)
  return "POST @PATH@ HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nContent-Type: @TYPE@\\r\\nContent-Length: "
    .. length .. "\\r\\n\\r\\n"
end

local function clock()
  local time = os.time()
  if time ~= second then
    second = time
    now = os.date("!%Y-%m-%d %H:%M:%S", time + @OFFSET@)
  end
end

local function ids()
  number = number + 1
  return '{"cashReceiptID":"' .. run .. number .. '","storeID":"' .. (number % @STORES@ + 1)
    .. '","terminalID":"' .. (floor(number / @STORES@) % @TILLS@ + 1) .. '","agentID":"' .. (number % 97)
    .. '","customerID":"' .. (number % 9973) .. '","date":"' .. now .. '",'
end

-- The body is copied only once, because the client takes CPU time from the server.
function request()
  clock()
  local length = 0
  for index = 1, @BATCH@ do
    local start = (index == 1 and "" or "\\n") .. ids()
    local template = templates[number % #templates + 1]
    length = length + #start + #template
    parts[2 * index - 1], parts[2 * index] = start, template
  end
  parts[1] = head(length) .. parts[1]
  return table.concat(parts)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "rejected": %d, "errors": %d, "timeouts": %d, '
      .. '"p50_us": %d, "p99_us": %d, "max_us": %d}\\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write, errors.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""
