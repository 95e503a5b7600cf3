"""`python -m tests.conformance.http.compare [PAGE]`: run the cases against our server, granian and uvicorn.

Prints a table of their outcomes. With a page, also puts it between the page's marks.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx

from tests.conformance.http.app import app
from tests.conformance.http.cases import BODY_LIMIT_BYTES, CASES, HEADER_LIMIT_BYTES, TIMEOUT_MS, Case
from tests.conformance.http.client import run
from tests.inprocess.asgi import asgi_server
from tests.support.free_ports import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
APP = "tests.conformance.http.app:app"
PATIENCE_S = 3.0
BEGIN, END = "<!-- begin: compared -->", "<!-- end: compared -->"

COMMANDS = {
    "granian": ["--interface", "asgi", "--http", "1", "--http1-header-read-timeout", str(TIMEOUT_MS),
                "--http1-buffer-size", str(HEADER_LIMIT_BYTES), "--log-level", "error", "--port"],
    "uvicorn": ["--http", "httptools", "--ws", "none", "--log-level", "critical", "--timeout-keep-alive", "1", "--port"],
}  # fmt: skip
"""How the others are started: with every limit of the suite that they have."""


@contextmanager
def started(name: str) -> Iterator[int]:
    """The port of another server that serves the application."""
    port = free_port()
    command = [sys.executable, "-m", name, APP, *COMMANDS[name], str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/").status_code == 200, f"{name} answers")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def outcomes() -> dict[str, list[str]]:
    """The outcome of each case, by server."""
    milliseconds = {"header_timeout_ms": TIMEOUT_MS, "body_timeout_ms": TIMEOUT_MS}
    with ExitStack() as stack:
        own = asgi_server(app, header_limit_bytes=HEADER_LIMIT_BYTES, body_limit_bytes=BODY_LIMIT_BYTES, **milliseconds)
        ports = {"tillstream": stack.enter_context(own).port}
        ports |= {name: stack.enter_context(started(name)) for name in COMMANDS}
        return {name: [_outcome(case, port) for case in CASES] for name, port in ports.items()}


def _outcome(case: Case, port: int) -> str:
    found = run(case, port, PATIENCE_S)
    # A body that the application misreads is worth telling: that is how requests are smuggled.
    wrong = case.seen is not None and any(body not in (b"", case.seen) for body in found.bodies)
    return f"{found.text}, another body" if wrong else found.text


def table(found: Mapping[str, list[str]]) -> str:
    """The table in Markdown. Outcomes that differ from the expected one are bold."""
    lines = [f"| case | RFC | {' | '.join(found)} |", "| --- " * (len(found) + 2) + "|"]
    for case, *others in zip(CASES, *found.values(), strict=True):
        cells = [each if each == case.expected else f"**{each}**" for each in others]
        lines.append(f"| {case.group}: {case.name} | {case.section} | {' | '.join(cells)} |")
    same = [sum(map(str.__eq__, each, (case.expected for case in CASES))) for each in found.values()]
    lines.append(f"| as expected | | {' | '.join(f'{number} of {len(CASES)}' for number in same)} |")
    return "\n".join(lines)


def main() -> None:
    others = ", ".join(f"{name} {version(name)}" for name in COMMANDS)
    text = f"Compared with {others}.\n\n{table(outcomes())}"
    print(text)  # noqa: T201
    for page in map(Path, sys.argv[1:]):
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
