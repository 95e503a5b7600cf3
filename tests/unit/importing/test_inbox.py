"""Given an inbox and ingest; when files come, change or cannot be moved; then nothing is lost, and trouble told once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file
from tests.support.scripted_ingest import scripted_ingest
from tests.support.waiting import wait_until
from tillstream.clock import ManualClock, SystemClock
from tillstream.config.settings import Settings
from tillstream.formats.xml import XmlDecoder
from tillstream.importing import inbox as module
from tillstream.importing.destination import Destination
from tillstream.importing.folder import SETTLED_US, Folder
from tillstream.importing.inbox import AGAIN_US, Inbox, serve
from tillstream.importing.taking import Taker


class Stage:
    """An inbox that looks when a test says so; time stands still otherwise."""

    def __init__(self, path: Path, taker: Callable[..., Taker], url: str) -> None:
        path.mkdir(parents=True)
        self.path = path
        self.clock = ManualClock(1)
        self._folder = Folder(path)
        self._taker = taker(state=self._folder.state, entrance="inbox")
        self._url = url
        self.inbox = self.new()

    def new(self) -> Inbox:
        """As another process would have it."""
        self._folder = Folder(self.path)
        self.inbox = Inbox(self._folder, self._taker, Destination(self._url), self.clock, asyncio.Event())
        return self.inbox

    def look(self, after_us: int = SETTLED_US) -> list[dict[str, Any]]:
        """Two looks with so much time between them; what was logged."""
        with structlog.testing.capture_logs() as logged:
            asyncio.run(self.inbox.look())
            self.clock.advance(after_us / 1e6)
            asyncio.run(self.inbox.look())
        return [dict(entry) for entry in logged]

    def report(self, target: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.path / f"{target}.report.json").read_bytes())
        return report


@pytest.fixture
def stage(tmp_path: Path, taker: Callable[..., Taker], url: str) -> Stage:
    return Stage(tmp_path / "in", taker, url)


def test_a_complete_file_is_taken_filed_away_and_forgotten(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / "a.ndjson", range(5))
    (told,) = stage.look()
    assert (told["event"], told["to"], told["receipts"]) == ("inbox file taken", "done/a.ndjson", 5)
    assert stage.report("done/a.ndjson")["receipts"] == 5
    assert (stage.path / "done" / "a.ndjson").read_bytes() == ndjson(range(5))
    assert list((stage.path / ".tillstream").iterdir()) == []
    assert {record["source"] for record in ingest.records()} == {"json/inbox"}
    assert stage.look() == []


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.ndjson", ndjson(range(1)) + b"{}\n", "done"),
        ("a.json", b"[]", "done"),
        ("a.ndjson", b"{}\n", "failed"),
        ("a.xyz", b"who knows", "failed"),
    ],
)
def test_it_is_failed_where_nothing_of_it_could_be_taken(
    ingest: Ingest, stage: Stage, name: str, content: bytes, where: str
) -> None:
    (stage.path / name).write_bytes(content)
    stage.look()
    assert (stage.path / where / name).exists()
    assert stage.report(f"{where}/{name}")["file"] == name


def test_a_name_that_is_no_utf_8_is_filed_away_readable(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / os.fsdecode(b"caf\xe9.ndjson"), range(2))
    (stage.path / os.fsdecode(b"\xe9.xyz")).write_bytes(b"who knows")
    ndjson_file(stage.path / "z.ndjson", range(2, 3))
    assert {told["to"] for told in stage.look()} == {"done/caf\\xe9.ndjson", "failed/\\xe9.xyz", "done/z.ndjson"}
    assert stage.report("done/caf\\xe9.ndjson")["file"] == "caf\\xe9.ndjson"
    assert len(ingest.records()) == 3


def test_a_crash_before_it_is_moved_sends_nothing_again(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ndjson_file(stage.path / "a.ndjson", range(5))
    (stage.path / "done").mkdir()
    (stage.path / "done" / "a.ndjson").touch()

    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crash)
        with pytest.raises(Crash):
            stage.look()
    assert stage.report("done/a (2).ndjson")["receipts"] == 5
    stage.new()
    stage.look()
    assert sorted(path.name for path in (stage.path / "done").iterdir()) == [
        "a (2).ndjson",
        "a (2).ndjson.report.json",
        "a.ndjson",
    ]
    assert len(ingest.records()) == 5


def test_a_file_that_grew_while_it_was_read_waits_and_is_taken_whole(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ndjson_file(stage.path / "a.ndjson", range(3))
    take = Taker.take

    async def grow(self: Taker, *arguments: Any) -> Any:
        with path.open("ab") as file:
            file.write(ndjson(range(3, 4)))
        return await take(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Taker, "take", grow)
        (told,) = stage.look()
    assert told["event"] == "inbox file changed while it was read"
    stage.look()
    assert stage.report("done/a.ndjson")["receipts"] == 4


@pytest.mark.parametrize("then", [range(0), range(6, 9)], ids=["once", "twice"])
def test_a_file_that_takes_the_name_while_it_is_filed_away_is_taken_too(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch, then: range
) -> None:
    path = ndjson_file(stage.path / "a.ndjson", range(3))
    rename = Path.rename

    def replaced(moving: Path, target: Path) -> Path:
        if moving == path:
            ndjson_file(stage.path / ".fresh", range(3, 6)).replace(path)
        moved = rename(moving, target)
        if moving == path and then:
            ndjson_file(path, then)
        return moved

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", replaced)
        (told,) = stage.look()
    assert told["event"] == "inbox file was replaced while it was filed away"
    assert list((stage.path / "done").iterdir()) == []
    stage.look()
    assert list(stage.path.glob("*.ndjson")) == []
    assert {record["receipt"] for record in ingest.records()} == {str(number) for number in [*range(6), *then]}


def test_a_file_that_cannot_be_moved_stays_is_told_once_and_tried_again_later(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / "a.ndjson", range(2))
    (stage.path / "done").write_bytes(b"in the way")
    (told,) = stage.look()
    assert (told["event"], "File exists" in told["reason"]) == ("inbox has trouble", True)
    assert stage.look(AGAIN_US) == []
    (stage.path / "done").unlink()
    over, taken = stage.look(AGAIN_US)
    assert (over["event"], taken["event"]) == ("inbox trouble is over", "inbox file taken")
    assert len(ingest.records()) == 2


def test_a_file_with_trouble_of_its_own_waits_a_while_and_holds_up_no_other(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ndjson_file(stage.path / "a.ndjson", range(2))
    ndjson_file(stage.path / "b.ndjson", range(2, 4))
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "a.ndjson":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        trouble, taken = stage.look()
        assert (trouble["reason"].endswith("a.ndjson: Permission denied"), taken["file"]) == (True, "b.ndjson")
        assert stage.look(AGAIN_US) == []
    told = stage.look(AGAIN_US)
    assert [each["event"] for each in told] == ["inbox file taken", "inbox trouble is over"]
    assert len(ingest.records()) == 4


def test_a_format_that_fails_holds_up_no_other_file(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a package's")

    monkeypatch.setattr(XmlDecoder, "decode", fail)
    (stage.path / "a.xml").write_text(XmlDecoder.example)
    ndjson_file(stage.path / "b.ndjson", range(2))
    told, taken = stage.look()
    assert told["reason"].endswith('a.xml: ZeroDivisionError("a package\'s")')
    assert (told["exc_info"], taken["file"]) == (True, "b.ndjson")
    assert stage.look(AGAIN_US) == []
    assert (stage.path / "a.xml").exists()


def test_an_ingest_that_is_none_is_told_and_the_next_try_begins_anew(
    taker: Callable[..., Taker], tmp_path: Path
) -> None:
    taken = '202 - {"accepted":2}'
    with scripted_ingest("404 - x", taken) as other:
        stage = Stage(tmp_path / "in", taker, other.url)
        ndjson_file(stage.path / "a.ndjson", range(2))
        (told,) = stage.look()
        assert "it answered 404, and not as ingest does" in told["reason"]
        assert stage.look(AGAIN_US)[0]["event"] == "inbox file taken"


def test_it_looks_until_it_is_told_to_stop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    looks: list[int] = []

    async def main() -> None:
        stop = asyncio.Event()
        inbox = Inbox(Folder(stage.path), stage._taker, Destination(stage._url), stage.clock, stop)

        async def look() -> None:
            looks.append(1)
            if len(looks) == 3:
                stop.set()

        monkeypatch.setattr(inbox, "look", look)
        await asyncio.wait_for(inbox.run(), 20)

    asyncio.run(main())
    assert len(looks) == 3


def test_the_role_takes_files_with_the_settings_it_was_given(
    ingest: Ingest, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.05)
    path = tmp_path / "in"
    settings = Settings(inbox=str(path), data=str(tmp_path / "none"))

    async def main() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(settings, Destination(url, "here"), SystemClock(), stop))
        await asyncio.to_thread(wait_until, (path / "failed").exists, "the inbox is there")
        ndjson_file(path / "a.ndjson", range(2))
        await asyncio.to_thread(wait_until, (path / "done" / "a.ndjson").exists, "it is filed away")
        stop.set()
        await serving

    asyncio.run(main())
    assert len(ingest.records()) == 2
