"""The inbox imports complete files, moves them away, and loses nothing when a file changes or cannot be moved."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from tests.inprocess.clock import ManualClock
from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file
from tests.support.scripted_ingest import scripted_ingest
from tests.support.waiting import wait_until
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.errors import SettingsError
from tillstream.formats.xml import XmlDecoder
from tillstream.importing import inbox as module
from tillstream.importing.importer import Importer
from tillstream.importing.inbox import RETRY_US, STABLE_US, Folder, Inbox, fingerprint, inbox_folder, serve
from tillstream.importing.uploader import Destination


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "in")
    made.prepare()
    return made


def test_a_file_is_complete_once_it_has_not_changed_for_two_seconds(folder: Folder) -> None:
    path = folder.path / "a.json"
    path.write_bytes(b"1")
    assert folder.complete_files(0) == []
    assert folder.complete_files(STABLE_US - 1) == []
    path.write_bytes(b"12")
    assert folder.complete_files(STABLE_US) == []
    os.utime(path, ns=(5, 5))
    assert folder.complete_files(STABLE_US + 1) == []
    assert folder.complete_files(2 * STABLE_US) == []
    assert folder.complete_files(2 * STABLE_US + 1) == [path]


def test_a_file_that_replaces_another_waits_until_it_is_stable(folder: Folder) -> None:
    path, fresh = folder.path / "a.json", folder.path / ".a"
    for file in (path, fresh):
        file.write_bytes(b"1")
        os.utime(file, ns=(5, 5))
    folder.complete_files(0)
    fresh.rename(path)
    assert folder.complete_files(STABLE_US) == []
    assert folder.complete_files(2 * STABLE_US) == [path]


def test_a_clock_that_goes_back_restarts_the_wait(folder: Folder) -> None:
    (folder.path / "a.json").touch()
    folder.complete_files(10 * STABLE_US)
    assert folder.complete_files(0) == []
    assert folder.complete_files(STABLE_US) != []


def test_the_oldest_file_is_first_and_ignored_files_are_left_out(folder: Folder) -> None:
    for number, name in enumerate(("c.json", "a.json", "b.json", ".hidden", "d.part", "a.json.report.json")):
        (folder.path / name).touch()
        os.utime(folder.path / name, ns=(number, number))
    (folder.path / "sub").mkdir()
    (folder.path / "link.json").symlink_to(folder.path / "a.json")
    os.mkfifo(folder.path / "pipe.json")
    folder.complete_files(0)
    assert [path.name for path in folder.complete_files(STABLE_US)] == ["c.json", "a.json", "b.json"]


def test_a_name_in_use_by_a_file_or_its_report_gets_a_number(folder: Folder) -> None:
    assert folder.free_target("day.json.gz", failed=False) == "done/day.json.gz"
    (folder.path / "done" / "day.json.gz").touch()
    (folder.path / "done" / "day (2).json.gz.report.json").touch()
    assert folder.free_target("day.json.gz", failed=False) == "done/day (3).json.gz"
    assert folder.free_target("day.json.gz", failed=True) == "failed/day.json.gz"
    assert folder.exists("done/day.json.gz")
    assert folder.report("done/x").name == "x.report.json"
    (folder.path / "failed" / "day").touch()
    assert folder.free_target("day", failed=True) == "failed/day (2)"


def test_a_missing_file_has_no_fingerprint(folder: Folder) -> None:
    assert fingerprint(folder.path / "none") is None


def test_a_file_or_the_data_directory_cannot_be_an_inbox(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="it is a file"):
        inbox_folder(Settings(inbox=str(tmp_path / "file")))
    with pytest.raises(SettingsError, match="it is the data directory"):
        inbox_folder(Settings(inbox=str(tmp_path / "x" / ".."), data=str(tmp_path)))
    assert inbox_folder(Settings(inbox=str(tmp_path / "later"))).state == tmp_path / "later" / ".tillstream"


class Stage:
    """An inbox that scans on request, with a manual clock."""

    def __init__(self, path: Path, importer: Callable[..., Importer], url: str) -> None:
        path.mkdir(parents=True)
        self.path = path
        self.clock = ManualClock(1)
        self._folder = Folder(path)
        self._taker = importer(state=self._folder.state, channel="inbox")
        self._url = url
        self.inbox = self.new()

    def new(self) -> Inbox:
        """A second inbox, like that of another process."""
        self._folder = Folder(self.path)
        self.inbox = Inbox(self._folder, self._taker, Destination(self._url), self.clock, asyncio.Event())
        return self.inbox

    def scan(self, after_us: int = STABLE_US) -> list[dict[str, Any]]:
        """Scan twice with a pause of `after_us`. Returns the log events."""
        with structlog.testing.capture_logs() as logged:
            asyncio.run(self.inbox.scan())
            self.clock.advance(after_us / 1e6)
            asyncio.run(self.inbox.scan())
        return [dict(entry) for entry in logged]

    def report(self, target: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.path / f"{target}.report.json").read_bytes())
        return report


@pytest.fixture
def stage(tmp_path: Path, importer: Callable[..., Importer], url: str) -> Stage:
    return Stage(tmp_path / "in", importer, url)


def test_a_complete_file_is_imported_moved_and_its_checkpoint_removed(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / "a.ndjson", range(5))
    (event,) = stage.scan()
    assert (event["event"], event["to"], event["receipts"]) == ("inbox.file_imported", "done/a.ndjson", 5)
    assert stage.report("done/a.ndjson")["receipts"] == 5
    assert (stage.path / "done" / "a.ndjson").read_bytes() == ndjson(range(5))
    assert list((stage.path / ".tillstream").iterdir()) == []
    assert {record["source"] for record in ingest.records()} == {"json/inbox"}
    assert stage.scan() == []


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.ndjson", ndjson(range(1)) + b"{}\n", "done"),
        ("a.json", b"[]", "done"),
        ("a.ndjson", b"{}\n", "failed"),
        ("a.xyz", b"who knows", "failed"),
    ],
)
def test_a_file_without_a_usable_item_moves_to_failed(
    ingest: Ingest, stage: Stage, name: str, content: bytes, where: str
) -> None:
    (stage.path / name).write_bytes(content)
    stage.scan()
    assert (stage.path / where / name).exists()
    assert stage.report(f"{where}/{name}")["file"] == name


def test_a_name_that_is_not_utf_8_is_printable_after_the_move(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / os.fsdecode(b"caf\xe9.ndjson"), range(2))
    (stage.path / os.fsdecode(b"\xe9.xyz")).write_bytes(b"who knows")
    ndjson_file(stage.path / "z.ndjson", range(2, 3))
    assert {event["to"] for event in stage.scan()} == {"done/caf\\xe9.ndjson", "failed/\\xe9.xyz", "done/z.ndjson"}
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
            stage.scan()
    assert stage.report("done/a (2).ndjson")["receipts"] == 5
    stage.new()
    stage.scan()
    assert sorted(path.name for path in (stage.path / "done").iterdir()) == [
        "a (2).ndjson",
        "a (2).ndjson.report.json",
        "a.ndjson",
    ]
    assert len(ingest.records()) == 5


def test_a_file_that_grew_during_the_import_is_imported_again(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ndjson_file(stage.path / "a.ndjson", range(3))
    take = Importer.import_file

    async def grow(self: Importer, *arguments: Any) -> Any:
        with path.open("ab") as file:
            file.write(ndjson(range(3, 4)))
        return await take(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Importer, "import_file", grow)
        (event,) = stage.scan()
    assert event["event"] == "inbox.file_changed"
    stage.scan()
    assert stage.report("done/a.ndjson")["receipts"] == 4


@pytest.mark.parametrize("then", [range(0), range(6, 9)], ids=["once", "twice"])
def test_a_file_that_replaces_another_during_its_move_is_imported_too(
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
        (event,) = stage.scan()
    assert event["event"] == "inbox.file_replaced"
    assert list((stage.path / "done").iterdir()) == []
    stage.scan()
    assert list(stage.path.glob("*.ndjson")) == []
    assert {record["receipt"] for record in ingest.records()} == {str(number) for number in [*range(6), *then]}


def test_a_file_that_cannot_be_moved_is_logged_once_and_retried_later(ingest: Ingest, stage: Stage) -> None:
    ndjson_file(stage.path / "a.ndjson", range(2))
    (stage.path / "done").write_bytes(b"in the way")
    (event,) = stage.scan()
    assert (event["event"], "File exists" in event["reason"]) == ("inbox.problem", True)
    assert stage.scan(RETRY_US) == []
    (stage.path / "done").unlink()
    resolved, imported = stage.scan(RETRY_US)
    assert (resolved["event"], imported["event"]) == ("inbox.problem_resolved", "inbox.file_imported")
    assert len(ingest.records()) == 2


def test_a_file_with_a_problem_waits_and_does_not_block_the_others(
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
        problem, imported = stage.scan()
        assert (problem["reason"].endswith("a.ndjson: Permission denied"), imported["file"]) == (True, "b.ndjson")
        assert stage.scan(RETRY_US) == []
    event = stage.scan(RETRY_US)
    assert [each["event"] for each in event] == ["inbox.file_imported", "inbox.problem_resolved"]
    assert len(ingest.records()) == 4


def test_a_format_that_raises_an_error_does_not_block_other_files(
    ingest: Ingest, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a package's")

    monkeypatch.setattr(XmlDecoder, "decode", fail)
    (stage.path / "a.xml").write_text(XmlDecoder.example)
    ndjson_file(stage.path / "b.ndjson", range(2))
    event, imported = stage.scan()
    assert event["reason"].endswith('a.xml: ZeroDivisionError("a package\'s")')
    assert (event["exc_info"], imported["file"]) == (True, "b.ndjson")
    assert stage.scan(RETRY_US) == []
    assert (stage.path / "a.xml").exists()


def test_an_unexpected_response_is_logged_and_the_next_attempt_can_succeed(
    importer: Callable[..., Importer], tmp_path: Path
) -> None:
    accepted = '202 - {"accepted":2}'
    with scripted_ingest("404 - x", accepted) as other:
        stage = Stage(tmp_path / "in", importer, other.url)
        ndjson_file(stage.path / "a.ndjson", range(2))
        (event,) = stage.scan()
        assert "it answered 404: the response is not from an ingest" in event["reason"]
        assert stage.scan(RETRY_US)[0]["event"] == "inbox.file_imported"


def test_the_inbox_scans_until_it_is_stopped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_INTERVAL_S", 0.01)
    scans: list[int] = []

    async def main() -> None:
        stop = asyncio.Event()
        inbox = Inbox(Folder(stage.path), stage._taker, Destination(stage._url), stage.clock, stop)

        async def scan() -> None:
            scans.append(1)
            if len(scans) == 3:
                stop.set()

        monkeypatch.setattr(inbox, "scan", scan)
        await asyncio.wait_for(inbox.run(), 20)

    asyncio.run(main())
    assert len(scans) == 3


def test_the_role_imports_files_from_the_folder_of_the_settings(
    ingest: Ingest, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SCAN_INTERVAL_S", 0.05)
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
