"""The supervisor with small real processes as parts, which serve, die or hang."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO, TextIOWrapper
from pathlib import Path

import msgspec
import psutil
import pytest
import structlog.testing

from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.runtime import supervisor
from tillstream.runtime.supervisor import Part, Supervisor, ready_line, receive_settings

SERVING = """
import signal, sys
from tillstream.runtime.supervisor import ready_line, receive_settings
settings = receive_settings()
name, journal = sys.argv[1:]
def note(text):
    with open(journal, 'a') as file: print(name, text, file=file)
note(f'starts with {settings.ingest_port}')
port = settings.ingest_port or 4321
print('something else', flush=True)
print(ready_line(name, f'http://127.0.0.1:{port}'), flush=True)
number = signal.sigwait({signal.SIGTERM, signal.SIGINT})
note(f'ends by {number.name}')
"""
BLOCK = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})\n"
HANGING = (
    BLOCK
    + "import threading; from tillstream.runtime.supervisor import ready_line\n"
    + ("print(ready_line('hanging', 'http://127.0.0.1:1'), flush=True); threading.Event().wait()")
)


class Stage:
    """Runs a supervisor and an action on the same event loop."""

    def __init__(self, tmp_path: Path) -> None:
        self.journal = tmp_path / "journal"
        self.journal.touch()
        self.addresses: Mapping[str, str] = {}

    def part(self, name: str, program: str = BLOCK + SERVING, **options: object) -> Part:
        return Part(name, (sys.executable, "-c", program, name, str(self.journal)), **options)  # type: ignore[arg-type]

    def notes(self) -> list[str]:
        return self.journal.read_text().splitlines()

    def run(self, parts: list[Part], act: Callable[[], Awaitable[None]], settings: Settings | None = None) -> int:
        async def main() -> int:
            supervising = asyncio.create_task(
                Supervisor(settings or Settings(ingest_port=0), parts, self._on_ready).run()
            )
            acting = asyncio.ensure_future(act())
            code = await supervising
            await acting
            return code

        return asyncio.run(main())

    def _on_ready(self, addresses: Mapping[str, str]) -> None:
        self.addresses = addresses


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def soon(condition: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def process_of(part: Part) -> psutil.Process:
    assert part.process is not None
    return psutil.Process(part.process.pid)


def test_parts_get_the_settings_report_their_address_and_stop_in_order(stage: Stage) -> None:
    parts = [stage.part("first", port_setting="ingest_port"), stage.part("second")]

    async def act() -> None:
        await soon(lambda: stage.addresses and parts[1].ready.is_set(), "both are ready")
        stop()

    assert stage.run(parts, act) == 0
    assert stage.addresses == {"first": "http://127.0.0.1:4321"}
    assert stage.notes()[-2:] == ["first ends by SIGTERM", "second ends by SIGTERM"]


def test_a_killed_part_restarts_on_the_same_port(stage: Stage) -> None:
    part = stage.part("first", port_setting="ingest_port")

    async def act() -> None:
        await soon(part.ready.is_set, "it is ready")
        killed = process_of(part).pid
        os.kill(killed, signal.SIGKILL)
        await soon(lambda: part.ready.is_set() and part.process and part.process.pid != killed, "it is back")
        stop()

    with structlog.testing.capture_logs() as logged:
        assert stage.run([part], act) == 0
    assert stage.notes() == ["first starts with 0", "first starts with 4321", "first ends by SIGTERM"]
    (died,) = [line for line in logged if line["event"] == "supervisor.part_died"]
    assert (died["part"], died["code"], died["pause_s"]) == ("first", -signal.SIGKILL, supervisor.MIN_PAUSE_S)


def test_the_pauses_grow_while_a_part_keeps_dying(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "MIN_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "MAX_PAUSE_S", 0.04)
    with structlog.testing.capture_logs() as logged:

        async def act() -> None:
            await soon(lambda: len(logged) >= 5, "five deaths")
            stop()

        assert stage.run([stage.part("first", "raise SystemExit(1)")], act) == 0
    assert [line["pause_s"] for line in logged][:5] == [0.01, 0.02, 0.04, 0.04, 0.04]


def test_a_part_that_cannot_start_with_its_settings_ends_everything_with_its_code(stage: Stage) -> None:
    parts = [stage.part("first"), stage.part("second", "raise SystemExit(2)")]

    async def act() -> None:
        return

    assert stage.run(parts, act) == supervisor.CONFIGURATION_ERROR
    assert parts[0].process is None or parts[0].process.returncode is not None


def test_a_part_that_ran_before_is_restarted_even_if_it_cannot_start_now(stage: Stage) -> None:
    once = "import os, sys\nif os.path.getsize(sys.argv[2]): raise SystemExit(2)\n"
    part = stage.part("first", once + BLOCK + SERVING)
    with structlog.testing.capture_logs() as logged:

        async def act() -> None:
            await soon(part.ready.is_set, "it is ready")
            process_of(part).kill()
            await soon(lambda: len(logged) >= 3, "two more attempts")
            stop()

        assert stage.run([part], act) == 0
    assert [line["code"] for line in logged][:3] == [-signal.SIGKILL, 2, 2]


def test_a_part_starts_after_the_parts_it_needs(stage: Stage) -> None:
    first = stage.part("first")
    second = stage.part("second", after=(first,))

    async def act() -> None:
        await soon(second.ready.is_set, "the second is ready")
        stop()

    assert stage.run([first, second], act) == 0
    assert [note.split()[0] for note in stage.notes()][:2] == ["first", "second"]


def test_a_part_that_does_not_stop_is_killed_at_its_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_LIMIT_S", 0.5)
    hanging = stage.part("hanging", HANGING)

    async def act() -> None:
        await soon(hanging.ready.is_set, "it is ready")
        stop()

    with structlog.testing.capture_logs() as logged:
        assert stage.run([hanging], act) == 0
    assert [line["event"] for line in logged] == ["supervisor.part_killed"]


def test_a_second_signal_kills_at_once(stage: Stage) -> None:
    hanging = stage.part("hanging", HANGING)
    began = time.monotonic()

    async def act() -> None:
        await soon(hanging.ready.is_set, "it is ready")
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    assert stage.run([hanging], act) == 0
    assert time.monotonic() - began < supervisor.STOP_LIMIT_S


def test_a_ready_line_is_parsed_with_every_kind_of_address() -> None:
    for address in ("http://127.0.0.1:3000", "http://[::1]:3000", "http://till.example:3000"):
        found = supervisor.READY.fullmatch(ready_line("ingest", address))
        assert found is not None
        assert (found["name"], found["address"], found["port"]) == ("ingest", address, "3000")


def test_no_part_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from tillstream.config.settings import Settings\n"
        "from tillstream.runtime.supervisor import Part, Supervisor\n"
        "part = Part('orphan', (sys.executable, '-c', sys.argv[1]))\n"
        "asyncio.run(Supervisor(Settings(), [part], lambda addresses: None).run())"
    )
    orphan = (
        "import pathlib, threading; from tillstream.runtime.supervisor import receive_settings, watch_supervisor\n"
        "receive_settings(); watch_supervisor(lambda: None)\n"
        f"pathlib.Path({str(tmp_path / 'up')!r}).touch(); threading.Event().wait()"
    )
    with subprocess.Popen([sys.executable, "-c", program, orphan]) as process:
        wait_until((tmp_path / "up").exists, "the part is up")
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()


def test_settings_arrive_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Settings(
        data="d\nd", store_zones={"7": "Europe/London"}, vat_rates=["5.5"], metrics=[{"name": "x", "keys": ["day"]}]
    )
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(msgspec.json.encode(sent) + b"\n")))
    assert receive_settings() == sent


def test_the_end_of_the_pipe_without_settings_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    with pytest.raises(msgspec.DecodeError):
        receive_settings()


def test_a_hanging_part_ends_soon_after_its_supervisor() -> None:
    part = (
        "import threading; from tillstream.runtime.supervisor import watch_supervisor\n"
        "watch_supervisor(lambda: print('lost', flush=True))\n"
        "print('watching', flush=True); threading.Event().wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        assert process.poll() is None
        began = time.monotonic()
        process.stdin.close()
        assert process.stdout.readline() == "lost\n"
        assert process.wait(10) == 1
        assert time.monotonic() - began >= supervisor.ORPHAN_LIMIT_S * 0.9
