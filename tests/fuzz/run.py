"""Fuzz the decoders on all cores: `python -m tests.fuzz.run`. Inputs that cause errors are saved."""

from __future__ import annotations

import os
import secrets
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.inprocess.decoder_fuzzing import SETTINGS, Fuzz
from tillstream.formats import registry

CHUNK = 2_000
FINDINGS_LIMIT = 20
"""The maximum number of findings per format. The run of a format ends when it is reached."""

SHOWN_BYTES = 400


def kinds() -> dict[str, int]:
    """The index of every format in the registry, by its main media type."""
    return {decoder.media_types[0]: position for position, decoder in enumerate(registry.load(SETTINGS))}


def chunk(position: int, seed: str, numbers: range) -> list[tuple[int, bytes, str]]:
    """The findings of these mutations: the number, the minimized input and the traceback."""
    fuzz = Fuzz(type(list(registry.load(SETTINGS))[position]), seed)
    findings = filter(None, map(fuzz.finding, numbers))
    return [(each.number, each.payload, "".join(traceback.format_exception(each.error))) for each in findings]


def chunks(mutations: int, only: int | None) -> Sequence[range]:
    if only is not None:
        return [range(only, only + 1)]
    return [range(first, min(first + CHUNK, mutations)) for first in range(0, mutations, CHUNK)]


@click.command()
@click.option("--mutations", default=1_000_000, show_default=True, help="mutations of each format")
@click.option("--seed", default=lambda: secrets.token_hex(4), help="seed of the run [default: random]")
@click.option("--format", "formats", multiple=True, type=click.Choice(list(kinds())), help="only this format")
@click.option("--number", type=int, help="only this mutation")
@click.option("--findings", default=Path(".fuzz"), type=click.Path(path_type=Path), help="folder for findings")
def main(mutations: int, seed: str, formats: Sequence[str], number: int | None, findings: Path) -> None:
    """Mutate valid files, and check that the decoders handle them without errors."""
    console = Console()
    console.print(f"seed {seed}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found = 0
    with (
        ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool,
        Progress(*columns, console=console) as progress,
    ):
        for media_type in formats or kinds():
            parts = chunks(mutations, number)
            task = progress.add_task(media_type, total=sum(map(len, parts)))
            waiting = {pool.submit(chunk, kinds()[media_type], seed, part): len(part) for part in parts}
            count = 0
            for done in as_completed(waiting):
                for mutation, payload, error in done.result():
                    count += 1
                    _save(console, findings, f"{media_type} --seed {seed} --number {mutation}", payload, error)
                progress.advance(task, waiting[done])
                if count >= FINDINGS_LIMIT:
                    for each in waiting:
                        each.cancel()
                    break
            found += count
    if found:
        raise SystemExit(f"{found} findings, saved in {findings}/")


def _save(console: Console, findings: Path, repeat: str, payload: bytes, error: str) -> None:
    """Save the input of a finding, and print the command that repeats it."""
    findings.mkdir(exist_ok=True)
    path = findings / f"{repeat.replace('/', '-').replace(' --', '-').replace(' ', '-')}.bin"
    path.write_bytes(payload)
    console.print(escape(f"python -m tests.fuzz.run --format {repeat}\n{path}: {payload[:SHOWN_BYTES]!r}\n{error}"))


if __name__ == "__main__":
    main()
