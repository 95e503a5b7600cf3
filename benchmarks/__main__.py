"""Command line: `python -m benchmarks [BENCH…]` runs benches, prints a table and writes JSON."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console

from benchmarks import (
    batches,
    formats,
    generator,
    gentle,
    importing,
    large,
    machine,
    rabbitmq,
    result,
    single,
    sustained,
    viewers,
)
from benchmarks.harness import BenchmarkError, Plan
from benchmarks.result import Report, Result

BENCHES: dict[str, tuple[str, Callable[[Plan], Result]]] = {
    module.__name__.rpartition(".")[2]: (module.TITLE, module.run)
    for module in (single, batches, sustained, gentle, viewers, large, generator, formats, importing, rabbitmq)
}
DEFAULT_JSON = Path("build/benchmarks.json")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("benches", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--list", "listed", is_flag=True, help="List the benches.")
@click.option(
    "--quick", is_flag=True, help="Do few, short runs. They show that everything works, but the figures vary widely."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), default=DEFAULT_JSON, show_default=True,
    help="File for the figures.",
)  # fmt: skip
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write the table into this document.")
@click.option(
    "--from",
    "sources",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Read the figures from this JSON file instead of measuring. A later file replaces the benches of an earlier one.",
)
@click.option(
    "--directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=tempfile.gettempdir(),
    show_default=True, help="Directory for the data, on the disk to be measured.",
)  # fmt: skip
def main(
    benches: tuple[str, ...], listed: bool, quick: bool, json_file: Path, markdown: Path | None,
    sources: tuple[Path, ...], directory: Path,
) -> None:  # fmt: skip
    """Run BENCHES (all by default) and compare the figures with their targets.

    The exit code is 0 even if a target is missed. If a bench cannot run, the table shows the reason.
    """
    console = Console()
    if listed:
        for name, (title, _) in BENCHES.items():
            console.print(f"{name:<11}{title}", highlight=False)
        return
    reports = [msgspec.json.decode(source.read_bytes(), type=Report) for source in sources]
    reports = reports or [_measure(benches or tuple(BENCHES), quick, directory, json_file, console)]
    for report in reports:
        _show(report, console)
    if markdown is not None:
        text = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
        markdown.write_text(result.insert_table(text, result.markdown(reports)), encoding="utf-8")
        console.print(f"wrote the table to {markdown}", highlight=False)


def _measure(names: tuple[str, ...], quick: bool, directory: Path, json_file: Path, console: Console) -> Report:
    """Run the benches. The JSON is written after each bench, so an interrupted run keeps the finished ones."""
    plan = Plan(quick, directory, lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    report = Report(
        began=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        quick=quick,
        machine=machine.describe(directory),
        load_before=machine.load(),
    )
    if machine.file_system(directory) in machine.MEMORY_FILE_SYSTEMS:
        plan.log(f"{directory} is in memory, where a sync takes no time: choose a directory on a disk with --directory")
    json_file.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        title, run = BENCHES[name]
        plan.log(f"{name}: {title}")
        started = time.monotonic()
        try:
            found = run(plan)
        except BenchmarkError as error:
            found = Result(bench=name, title=title, problem=str(error))
        except Exception as error:  # noqa: BLE001 - the table shows the error, and the other benches still run
            console.print_exception()
            found = Result(bench=name, title=title, problem=f"{type(error).__name__}: {error}")
        found.seconds = round(time.monotonic() - started, 1)
        report.results.append(found)
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result.as_dict(report)), indent=2) + b"\n")
    plan.log(f"wrote the figures to {json_file}")
    return report


def _show(report: Report, console: Console) -> None:
    wide = console if console.is_terminal else Console(width=160)
    for name, value in report.machine.items():
        wide.print(f"{name:<12}{value}", highlight=False)
    kind = "quick run with imprecise figures" if report.quick else "full run"
    minutes = sum(each.seconds for each in report.results) / 60
    wide.print(f"{'began':<12}{report.began}, {kind}, {minutes:.1f} minutes", highlight=False)
    result.show(report.results, wide)


if __name__ == "__main__":
    main()
