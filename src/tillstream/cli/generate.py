"""The command `tillstream generate`, its progress bar and its report."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tillstream.cli.options import give_up, key_file
from tillstream.client.sender import Tally
from tillstream.config import settings
from tillstream.generator import run
from tillstream.generator.plan import Options
from tillstream.generator.run import IngestTimeout, Report

EXAMPLES = """\b
Examples:
  tillstream generate                             one or two receipts a second
  tillstream generate --rate 7.5 --duration 60    five to ten a second, for a minute
  tillstream generate --burst 10000               as fast as possible
  tillstream generate --profile day --speed 60    a whole day in twelve minutes
  tillstream generate --backfill 15 --live --stores 12 --tills 2-4
                                                  two weeks of a small chain, then sales now
  tillstream generate --burst 10000 --seed 7 --start-date 2026-03-02
                                                  the very same receipts each time
"""


class _Tills(click.ParamType[tuple[int, int]]):
    name = "N|MIN-MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        least, _, most = str(value).partition("-")
        if not least.isdigit() or not (most or least).isdigit() or not 1 <= int(least) <= int(most or least) <= 99:
            self.fail(f"{value!r} is neither a number of tills nor a range such as 2-4", param, ctx)
        return int(least), int(most or least)


class _Zone(click.ParamType[str]):
    name = "ZONE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not settings.is_zone(value):
            self.fail(f"{value!r} is not a time zone; use an IANA name such as Europe/Paris", param, ctx)
        return str(value)


@click.command(epilog=EXAMPLES)
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="Address of ingest.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Receipts a second, in random gaps around 1/rate."
)
@click.option("--burst", type=click.IntRange(1), metavar="N", help="Send N receipts as fast as possible.")
@click.option("--profile", type=click.Choice(["day"]), help="A realistic trading day with its own clock.")
@click.option(
    "--speed", type=click.FloatRange(0, min_open=True), default=60.0, show_default=True, help="Of --profile's clock."
)
@click.option("--backfill", type=click.IntRange(1, 3660), metavar="DAYS", help="Load the past days up to now, quickly.")
@click.option("--live", is_flag=True, help="Sell now, at any hour of the day and night (4 a second unless --rate).")
@click.option("--stores", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Shops of the chain.")
@click.option("--tills", type=_Tills(), default="4", show_default=True, help="Tills of a shop.")
@click.option("--seed", type=int, help="Same seed, same receipts. Drawn and printed unless given.")
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop after that long, --backfill apart.",
)
@click.option("--count", type=click.IntRange(0), help="Stop after that many receipts, --backfill apart.")
@click.option(
    "--start-date",
    "--from",
    "start",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Date the receipts from here on (2026-03-02 or '2026-03-02 09:30') instead of now; marks them as simulated."
    "  [default for --profile: today, 07:00]",
)
@click.option(
    "--batch", type=click.IntRange(1), default=1, show_default=True, help="Receipts in a request; NDJSON above 1."
)
@click.option("--connections", type=click.IntRange(1, 10_000), help="Connections kept open.  [default: 64, batches: 4]")
@give_up
@click.option(
    "--zone",
    type=_Zone(),
    default=settings.default("zone"),
    show_default=True,
    help="The chain's time zone, by its IANA name.",
)
@key_file
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.pass_context
def generate(context: click.Context, /, as_json: bool, quiet: bool, **given: Any) -> None:
    """Send the receipts of a chain of French bakeries to ingest.

    A request that gets 429, 503 or no response is sent again unchanged, so that each receipt counts
    once. The run ends with a report. The exit code is 1 if a receipt was refused or not acknowledged,
    and 2 if the server acknowledged nothing for the time of --give-up. Ctrl-C ends the run early.
    """
    options = _options(**given)
    console = Console(stderr=True)
    if given["seed"] is None:
        click.echo(f"seed {options.seed}", err=True)
    shown = _Bar(console) if console.is_terminal and not quiet else nullcontext(_silent)
    try:
        with shown as progress:
            outcome = run.generate(options, progress)
    except IngestTimeout as error:
        if error.report is not None:
            _print(error.report, as_json)
        raise
    _print(outcome, as_json)
    if not outcome.clean:
        context.exit(1)


def _options(
    *,
    seed: int | None,
    profile: str | None,
    burst: int | None,
    rate: float | None,
    live: bool,
    backfill: int | None,
    duration: float | None,
    start: datetime | None,
    **others: Any,
) -> Options:
    if sum((burst is not None, profile is not None, live or rate is not None)) > 1:
        raise click.UsageError("choose one of --rate, --burst, --profile and --live; only --live takes a --rate")
    if live and start is not None:
        raise click.UsageError("--live sells now, so it takes no --start-date")
    return Options(
        seed=secrets.randbelow(2**32) if seed is None else seed,
        day=profile == "day",
        burst=burst,
        rate=rate,
        live=live,
        backfill_days=backfill or 0,
        duration_s=duration,
        start=start,
        **others,
    )


def _silent(_tally: Tally) -> None:
    """Show nothing."""


class _Bar(AbstractContextManager[run.Progress]):
    """A progress bar with the rate, the accepted receipts, and problems."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.1f}/s"),
            TimeElapsedColumn(),
            TextColumn("[yellow]{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("accepted", total=None, rate=0.0, note="")
        self._accepted = 0

    def __enter__(self) -> run.Progress:
        self._bar.start()
        return self.show

    def __exit__(self, *_exception: object) -> None:
        self._bar.stop()

    def show(self, tally: Tally) -> None:
        task = self._bar.tasks[self._task]
        note = tally.problem if tally.accepted == self._accepted and tally.unacknowledged else ""
        if tally.refused:
            note = f"{tally.refused:,} refused {note}"
        self._accepted = tally.accepted
        self._bar.update(
            self._task,
            description=f"{tally.phase}: accepted",
            completed=tally.accepted,
            total=tally.expected,
            rate=task.speed or 0.0,
            note=note,
        )


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(report))
        return
    rows = [
        ("seed", str(report.seed)),
        ("sent", f"{report.sent:,}"),
        ("accepted", f"{report.accepted:,}"),
        ("refused", f"{report.refused:,}"),
        ("unanswered", f"{report.unacknowledged:,}"),
        ("sent again", f"{report.retried:,}"),
        ("rate", f"{report.receipts_per_second:,.1f} accepted/s over {report.seconds:,.1f} s"),
        (
            "latency",
            f"p50 {report.latency_p50_ms:,.1f} ms, p99 {report.latency_p99_ms:,.1f} ms, max {report.latency_max_ms:,.1f} ms",
        ),
    ]
    if report.refusal:
        rows.append(("refusal", report.refusal))
    if report.trouble:
        rows.append(("trouble", report.trouble))
    for name, value in rows:
        click.echo(f"{name:<11}{value}")
