"""`python -m benchmarks [BENCH…]`: runs the benches one after the other, prints a table, writes JSON."""

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
from benchmarks.harness import CannotRun, Plan
from benchmarks.result import Report, Result

BENCHES: dict[str, tuple[str, Callable[[Plan], Result]]] = {
    module.__name__.rpartition(".")[2]: (module.TITLE, module.run)
    for module in (single, batches, sustained, gentle, viewers, large, generator, formats, importing, rabbitmq)
}
DEFAULT_JSON = Path("build/benchmarks.json")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("benches", nargs=-1, type=click.Choice(list(BENCHES)))
@click.option("--list", "listed", is_flag=True, help="List the benches.")
@click.option("--quick", is_flag=True, help="Few, short runs: shows that everything works, measures nothing well.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), default=DEFAULT_JSON, show_default=True,
    help="Where the figures go.",
)  # fmt: skip
@click.option("--markdown", type=click.Path(path_type=Path), help="Put the table into this document as well.")
@click.option(
    "--from",
    "sources",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Measure nothing: take the figures of this JSON. Of several, in the order of their runs, the last counts.",
)
@click.option(
    "--directory", type=click.Path(path_type=Path, exists=True, file_okay=False), default=tempfile.gettempdir(),
    show_default=True, help="Where data is written: on the disk to be measured.",
)  # fmt: skip
def main(
    benches: tuple[str, ...], listed: bool, quick: bool, json_file: Path, markdown: Path | None,
    sources: tuple[Path, ...], directory: Path,
) -> None:  # fmt: skip
    """Measure BENCHES (all of them unless named), each against its targets.

    A missed target is a result and no failure; a bench that could not run says why.
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
        markdown.write_text(result.put_into(text, result.markdown(reports)), encoding="utf-8")
        console.print(f"table in {markdown}", highlight=False)


def _measure(names: tuple[str, ...], quick: bool, directory: Path, json_file: Path, console: Console) -> Report:
    """Run them all; the JSON is written after each, so that a long run that breaks off leaves what it had."""
    plan = Plan(quick, directory, lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    report = Report(
        began=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        quick=quick,
        machine=machine.describe(directory),
        load_before=machine.load(),
    )
    if machine.file_system(directory) in machine.MEMORY_FILE_SYSTEMS:
        plan.say(f"{directory} is in memory, where a sync costs nothing: choose a disk with --directory")
    json_file.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        title, run = BENCHES[name]
        plan.say(f"{name}: {title}")
        started = time.monotonic()
        try:
            found = run(plan)
        except CannotRun as problem:
            found = Result(bench=name, title=title, problem=str(problem))
        except Exception as problem:  # noqa: BLE001 - the other benches go on, and the table tells of this one
            console.print_exception()
            found = Result(bench=name, title=title, problem=f"{type(problem).__name__}: {problem}")
        found.seconds = round(time.monotonic() - started, 1)
        report.results.append(found)
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result.as_dict(report)), indent=2) + b"\n")
    plan.say(f"figures in {json_file}")
    return report


def _show(report: Report, console: Console) -> None:
    wide = console if console.is_terminal else Console(width=160)
    for name, value in report.machine.items():
        wide.print(f"{name:<12}{value}", highlight=False)
    kind = "quick run, measures nothing well" if report.quick else "full run"
    took = sum(each.seconds for each in report.results)
    wide.print(f"{'began':<12}{report.began}, {kind}, took {took / 60:.1f} minutes", highlight=False)
    result.show(report.results, wide)


if __name__ == "__main__":
    main()
