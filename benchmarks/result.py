"""The results of benches: figures and targets, shown as a table, as JSON, and as Markdown for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct, to_builtins
from rich.console import Console
from rich.table import Table

Compare = Literal[">=", "<=", "<", "=="]

BEGIN = "<!-- results: written by python -m benchmarks --markdown, from its JSON -->"
END = "<!-- end of results -->"


class Figure(Struct, frozen=True):
    """A measured value. With `compare` it also has a target, and `note` gives details."""

    name: str
    value: float
    unit: str = ""
    compare: Compare | None = None
    target: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met, or None without a target."""
        if self.compare is None or self.target is None:
            return None
        return {
            ">=": self.value >= self.target,
            "<=": self.value <= self.target,
            "<": self.value < self.target,
            "==": self.value == self.target,
        }[self.compare]


class Result(Struct, kw_only=True):
    """The result of one bench. `problem` is the reason if it could not run, or could run only in part."""

    bench: str
    title: str
    seconds: float = 0.0
    figures: list[Figure] = []
    runs: dict[str, Any] = {}
    problem: str = ""


class Report(Struct, kw_only=True):
    """The results of one call of `python -m benchmarks`."""

    began: str
    quick: bool
    machine: dict[str, str]
    load_before: float
    results: list[Result] = []


def as_dict(report: Report) -> dict[str, Any]:
    """The report for JSON. Each figure also has its `met`."""
    document: dict[str, Any] = to_builtins(report)
    for result, result_document in zip(report.results, document["results"], strict=True):
        for figure, entry in zip(result.figures, result_document["figures"], strict=True):
            entry["met"] = figure.met
    return document


def number(value: float, unit: str) -> str:
    """The value with its unit and about three significant digits."""
    if unit in ("", "times") or abs(value) < 10:
        shown = f"{value:,.2f}"
        if unit == "" and value == int(value):
            shown = f"{value:,.0f}"
    else:
        shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
    return f"{shown} {unit}".strip() if unit != "times" else f"{shown} ×"


def target(figure: Figure) -> str:
    sign = {">=": "≥", "<=": "≤", "<": "<", "==": "="}
    if figure.compare is None or figure.target is None:
        return ""
    return f"{sign[figure.compare]} {number(figure.target, figure.unit)}"


def verdict(figure: Figure) -> str:
    return {True: "yes", False: "NO", None: ""}[figure.met]


def show(results: Sequence[Result], console: Console) -> None:
    """Print a table of all figures."""
    table = Table("bench", "figure", "measured", "target", "met", "note", title="tillstream", title_justify="left")
    for result in results:
        if result.problem:
            table.add_row(result.bench, "could not run", "", "", "[red]?[/]", result.problem)
        for index, figure in enumerate(result.figures):
            colour = {True: "green", False: "red", None: "default"}[figure.met]
            table.add_row(
                "" if index else result.bench,
                figure.name,
                number(figure.value, figure.unit),
                target(figure),
                f"[{colour}]{verdict(figure)}[/]",
                figure.note,
            )
        table.add_section()
    console.print(table)


def markdown(reports: Sequence[Report]) -> str:
    """A Markdown table for each report, with its date and machine. It omits benches that a later report repeats."""
    parts = [BEGIN, ""]
    for number, report in enumerate(reports, 1):
        later = {result.bench for each in reports[number:] for result in each.results}
        parts += [*_table(report, [result for result in report.results if result.bench not in later]), ""]
    return "\n".join([*parts, END])


def _table(report: Report, results: Sequence[Result]) -> list[str]:
    kind = "This quick run is too short for reliable figures. " if report.quick else ""
    lines = [
        f"{kind}Measured on {report.began}, with a load average of {report.load_before:.2f} before the run.",
        "",
        "; ".join(f"{name}: {value}" for name, value in report.machine.items()) + ".",
        "",
        "| bench | figure | measured | target | met |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for result in results:
        if result.problem:
            lines.append(f"| {result.bench} | could not run: {_cell(result.problem)} | | | |")
        for figure in result.figures:
            name = f"{figure.name} ({figure.note})" if figure.note else figure.name
            shown = (number(figure.value, figure.unit), target(figure), verdict(figure))
            lines.append(f"| {result.bench} | {_cell(name)} | {' | '.join(shown)} |")
    return lines


def insert_table(text: str, table: str) -> str:
    """Replace the tables of a document, or append them if it has none."""
    before, begin, rest = text.partition(BEGIN)
    if not begin:
        return f"{text.rstrip()}\n\n{table}\n" if text else f"{table}\n"
    return before + table + rest.partition(END)[2]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
