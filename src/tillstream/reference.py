"""Reference pages written from the declarations themselves: `python -m tillstream.reference DIRECTORY`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tillstream.alerts import rules
from tillstream.config import settings as declared
from tillstream.config.options import flag, text
from tillstream.config.settings import ENVIRONMENT_PREFIX, Settings
from tillstream.format_page import formats_page
from tillstream.markdown import names, table
from tillstream.metrics.catalogue import BUILT_IN, COLUMNS, KEYS, MEASURES, Metric

_METRICS_HEAD = """\
# Metrics

A metric is one declaration: a source, keys and measures. Its table, its fold, its place in
`tillstream check` and `rebuild`, its answer at `/api/v1/metrics/NAME` and its row below follow
from it. This page is written from the declarations by `make docs`.

"""

_METRICS_TAIL = """
## A metric of your own

In the settings file (`tillstream up --config tillstream.toml`):

```toml
[[metrics]]
name = "sales_by_till_and_hour"
help = "Sales of each till and hour"
source = "receipts"
keys = ["day", "store", "till", "hour"]
measures = ["revenue", "receipts", { name = "largest", fold = "max", column = "gross" }]
```

At the next start it is filled from the stored receipts, kept up from then on, and answered at
`/api/v1/metrics/sales_by_till_and_hour`, with a page at `/figures/sales_by_till_and_hour`. While the
engine is stopped, `tillstream rebuild sales_by_till_and_hour --config tillstream.toml` makes it anew. Keys begin with `day`. A measure is a name of the table below, or spelt out with
`sum`, `min`, `max` over a column, or `count`.

A package can bring metrics too, by an entry point of the group `tillstream.metrics` that names a
`tillstream.metrics.Metric` (made with `declare`) or a sequence of them.

"""

_SETTINGS_HEAD = """\
# Settings

Each setting can stand in a TOML file (`--config FILE`), in an environment variable, or on the
command line; the later wins over the earlier. `tillstream settings` shows the values in force and
where each comes from; the variable `TILLSTREAM_CONFIG` names the file too. This page is written from the declarations by `make docs`.

"""

_ALERTS_HEAD = f"""\
# Alerts

An alert fires where a figure reaches its threshold, and stands until the figure is below
{rules.CLEAR_PERCENT} % of it, or nobody sells there any more: a shop that has closed has no alerts. Thresholds are settings; 0 turns a
rule off. The rules are evaluated every {rules.INTERVAL_S} seconds. `/api/v1/alerts` answers the worst {rules.LIMIT} and how
many more there are, `/metrics` of the dashboard's port has the gauge `tillstream_alerts{{rule="…"}}`.
This page is written from the declarations by `make docs`.

"""

_ALERTS_USUAL = f"""
## What is usual

Usual is the mean of the same weekday of up to {rules.WEEKS} past weeks, hour by hour, over the weeks in which the
shop or the chain sold at all. A shop sells usually in an hour in which it sold in at least half of
them. Who sold nothing on the last of these days and nothing today is not waited for: a shop that is
being rebuilt, a till that is gone, a product of last month. Silence counts by when receipts arrive,
so a till's wrong clock neither hides nor makes it. While the whole chain is silent no shop, till or product
fires, and it is not held against them afterwards; nor are the first two minutes after a start. A shop of the list that has no past yet counts as silent by its opening
hours alone, once it has sold today.

"""

_ALERTS_TAIL = """
## The webhook

With `alert_webhook_url` set, each alert is posted there as it fires and as it clears:

```json
{"event": "fired", "at": "2026-11-24T13:06:00.000Z", "page": "http://127.0.0.1:8050/shops/12?day=2026-11-24",
 "alert": {"rule": "silent_shop", "level": "bad", "since": "2026-11-24T14:06:00", "subject": "12",
           "title": "Rennes Sainte-Anne", "values": {"minutes": 26}, "link": "/shops/12?day=2026-11-24"}}
```

`since` is in the chain's zone, `at` in UTC. What `alert_webhook_url` does not answer within
`alert_webhook_timeout_ms`, or answers with 408, 429 or 5xx, is sent again, in order, with longer and longer
pauses, for an hour; any other answer than 2xx, a redirect too, drops it. Up to 1,000 wait; the oldest go first. Nothing
waits for the webhook. An alert that stands over a restart is posted once, and its clearing too.
"""


def alerts_page() -> str:
    rows = [
        (
            f"`{rule.name}`",
            rule.level,
            f"{rule.figure} ≥ `{rule.setting}`",
            f"{rule.default} {rule.unit}",
            rule.help,
            names(rule.values),
        )
        for rule in rules.RULES
    ]
    columns = ("rule", "level", "fires where", "default", "when and why", "`values`")
    return _ALERTS_HEAD + table(columns, rows) + _ALERTS_USUAL + _ALERTS_TAIL.lstrip("\n")


def metrics_page() -> str:
    rows = [
        (f"`{metric.name}`", metric.help, metric.source, names(key.name for key in metric.keys), measures(metric))
        for metric in BUILT_IN
    ]
    sources = [
        (
            source,
            names(key.name for key in KEYS.values() if source in key.sources),
            names(MEASURES[source]),
            names(columns),
        )
        for source, columns in COLUMNS.items()
    ]
    return (
        _METRICS_HEAD
        + table(("metric", "what it is", "source", "keys", "measures"), rows)
        + _METRICS_TAIL
        + table(("source", "keys", "measures", "columns"), sources)
    )


def settings_page() -> str:
    rows = [
        (
            f"`{name}`",
            f"`{text(declared.default(name))}`" if text(declared.default(name)) else "none",
            declared.describe(name),
            f"`{flag(name)}`, `{ENVIRONMENT_PREFIX}{name.upper()}`" if name != "metrics" else "TOML only",
        )
        for name in Settings.__struct_fields__
    ]
    return _SETTINGS_HEAD + table(("setting", "default", "what it is", "option and variable"), rows)


PAGES: dict[str, Callable[[], str]] = {
    "alerts.md": alerts_page,
    "formats.md": formats_page,
    "metrics.md": metrics_page,
    "settings.md": settings_page,
}


def measures(metric: Metric) -> str:
    return names(measure.name for measure in metric.measures)


def write(directory: Path) -> None:
    """Write every page into the directory."""
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
