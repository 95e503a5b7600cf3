"""The command `tillstream generate`, its progress bar and its report."""

from __future__ import annotations

import math
import secrets
from typing import Any

import click
import msgspec

from tillstream.cli.options import Update, give_up, key_file, progress_bar
from tillstream.client.sender import Tally
from tillstream.config import settings
from tillstream.generator import run
from tillstream.generator.run import IngestTimeout, Progress, Report
from tillstream.generator.schedule import Options

EXAMPLES = """\b
Examples:
  tillstream generate                             one or two receipts a second
  tillstream generate --rate 7.5 --duration 60    five to ten a second for a minute
  tillstream generate --burst 10000               as fast as possible
  tillstream generate --profile day --speed 60    a whole day in twelve minutes
  tillstream generate --backfill 15 --live --stores 12 --tills 2-4
                                                  two weeks of a small chain, then live sales
  tillstream generate --burst 10000 --seed 7 --start-date 2026-03-02
                                                  the same receipts each time
"""

TILLS_LIMIT = 99


def _parse_tills(_context: click.Context, _option: click.Parameter, text: str) -> tuple[int, int]:
    first, _, second = text.partition("-")
    least, most = (int(part) if part.isdecimal() else 0 for part in (first, second or first))
    if not 1 <= least <= most <= TILLS_LIMIT:
        raise click.BadParameter(f"{text!r} is neither a number from 1 to {TILLS_LIMIT} nor a range such as 2-4")
    return least, most


def _check_zone(_context: click.Context, _option: click.Parameter, name: str) -> str:
    if not settings.is_zone(name):
        raise click.BadParameter(f"{name!r} is not a time zone; {settings.ZONE_HINT}")
    return name


positive = click.FloatRange(0, min_open=True)


@click.command(epilog=EXAMPLES)
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="URL of ingest.")
@click.option("--rate", type=positive, help="Receipts per second, with random gaps.")
@click.option("--burst", type=click.IntRange(1), metavar="N", help="Send N receipts as fast as possible.")
@click.option("--profile", type=click.Choice(["day"]), help="Send the receipts of a realistic trading day.")
@click.option(
    "--speed", type=positive, default=60.0, show_default=True, help="How much faster than real time --profile runs."
)
@click.option(
    "--backfill",
    "backfill_days",
    type=click.IntRange(1, 3660),
    metavar="DAYS",
    help="First send the receipts of the past days and today, as fast as possible.",
)
@click.option("--live", is_flag=True, help="Send current receipts at any hour of the day.  [default rate: 4]")
@click.option("--stores", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Stores of the chain.")
@click.option(
    "--tills", callback=_parse_tills, metavar="N|MIN-MAX", default="4", show_default=True, help="Tills per store."
)
@click.option("--seed", type=int, help="The same seed gives the same receipts. By default, it is random and printed.")
@click.option(
    "--duration",
    "duration_s",
    type=positive,
    default=math.inf,
    metavar="SECONDS",
    help="Stop after this time. --backfill is not limited.",
)
@click.option("--count", type=click.IntRange(0), help="Stop after this number of receipts. --backfill is not limited.")
@click.option(
    "--start-date",
    "--from",
    "start",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"]),
    metavar="DATE",
    help="Date of the first receipt, such as 2026-03-02 or '2026-03-02 09:30'. The receipts are marked as simulated."
    "  [default: now; for --profile: today, 07:00]",
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="Receipts in a request.")
@click.option("--connections", type=click.IntRange(1, 10_000), help="Number of connections.  [default: 64, batches: 4]")
@give_up
@click.option(
    "--zone",
    callback=_check_zone,
    metavar="ZONE",
    default=settings.default("zone"),
    show_default=True,
    help="Time zone of the chain, IANA name.",
)
@key_file
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
@click.pass_context
def generate(context: click.Context, /, as_json: bool, quiet: bool, **arguments: Any) -> None:
    """Send the receipts of an invented chain of French bakeries to ingest.

    A request that gets no response, or the status 429 or 503, is sent again unchanged. Each receipt counts once.
    A run ends with a report, even after Ctrl-C. The exit code is 1 if a receipt was refused or not acknowledged,
    and 2 if ingest acknowledged nothing for as long as --give-up allows.
    """
    options = _options(arguments)
    try:
        with progress_bar("accepted", quiet=quiet) as update:
            report = run.generate(options, _show_on(update))
    except IngestTimeout as error:
        if error.report is not None:
            _print(error.report, as_json)
        raise
    _print(report, as_json)
    if not report.clean:
        context.exit(1)


def _options(arguments: dict[str, Any]) -> Options:
    modes = (
        arguments["burst"] is not None,
        arguments["profile"] is not None,
        arguments["live"] or arguments["rate"] is not None,
    )
    if sum(modes) > 1:
        raise click.UsageError("choose one of --rate, --burst, --profile and --live; only --live allows --rate too")
    if arguments["live"] and arguments["start"] is not None:
        raise click.UsageError("--live sends current receipts and does not allow --start-date")
    if arguments["seed"] is None:
        arguments["seed"] = secrets.randbelow(2**32)
        click.echo(f"seed {arguments['seed']}", err=True)
    return Options(**arguments)


def _show_on(update: Update) -> Progress:
    """Return a function that shows the phase, the counts and the current problem of a run on the progress bar."""
    accepted = 0

    def show(tally: Tally) -> None:
        nonlocal accepted
        description = f"{tally.phase}: accepted"
        if tally.refused:
            description += f", {tally.refused:,} refused"
        if tally.accepted == accepted and tally.unacknowledged and tally.problem:
            description += f", {tally.problem}"
        accepted = tally.accepted
        update(tally.accepted, tally.expected, description)

    return show


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(report))
        return
    latency = (
        f"p50 {report.latency_p50_ms:,.1f} ms, p99 {report.latency_p99_ms:,.1f} ms, max {report.latency_max_ms:,.1f} ms"
    )
    rows = {
        "seed": report.seed,
        "sent": f"{report.sent:,}",
        "accepted": f"{report.accepted:,}",
        "refused": f"{report.refused:,}",
        "unanswered": f"{report.unacknowledged:,}",
        "sent again": f"{report.retried:,}",
        "rate": f"{report.receipts_per_second:,.1f} accepted/s over {report.seconds:,.1f} s",
        "latency": latency,
        "refusal": report.refusal,
        "problem": report.trouble,
    }
    for name, value in rows.items():
        if value != "":
            click.echo(f"{name:<11}{value}")
