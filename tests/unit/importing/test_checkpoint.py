"""Given the ledger of a file; when it is written, closed, damaged or opened twice; then it says what was acknowledged."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

import tillstream
from tillstream.errors import OperationalError
from tillstream.importing import checkpoint as module
from tillstream.importing.checkpoint import Checkpoint, Counts, Refusal, first, prune


def refusal(index: int) -> Refusal:
    return Refusal(index, f"record {index + 1}", [{"path": "$", "error": "wrong", "hint": ""}])


def test_what_was_saved_is_there_again_and_what_was_not_is_cut_off(tmp_path: Path) -> None:
    ledger = Checkpoint(tmp_path / "new" / "state", "key")
    ledger.add(3, 1, 1, {"control": 1}, [refusal(2)])
    ledger.save()
    ledger.add(9, 4, 2, {}, [refusal(5), refusal(6)])
    assert [each.index for each in ledger.refusals()] == [2, 5, 6]
    ledger.close()

    with closing(Checkpoint(tmp_path / "new" / "state", "key")) as again:
        assert again.resumed == again.counts.done == 3
        assert (again.counts.receipts, again.counts.refused, again.counts.skipped) == (1, 1, {"control": 1})
        assert list(again.refusals()) == [refusal(2)]
        again.add(4, 0, 1, {}, [refusal(3)])
        assert first(again.refusals(), 5) == [refusal(2), refusal(3)]
    with closing(Checkpoint(tmp_path / "new" / "state", "other")) as other:
        assert other.counts == Counts()


def test_forgotten_or_removed_it_begins_anew(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")) as ledger:
        ledger.add(3, 2, 1, {}, [refusal(2)])
        ledger.save()
        ledger.forget()
        assert (ledger.counts, list(ledger.refusals())) == (Counts(), [])
        ledger.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")) as ledger:
        ledger.add(3, 2, 1, {}, [refusal(2)])
        ledger.save()
    (state,) = tmp_path.glob("*.json")
    (faults,) = tmp_path.glob("*.faults")
    faults.write_bytes(b"")
    with closing(Checkpoint(tmp_path, "key")) as torn:
        assert torn.counts == Counts()
    state.write_bytes(b'{"done": 3')
    with closing(Checkpoint(tmp_path, "key")) as broken:
        assert broken.counts == Counts()


def test_of_another_version_only_what_is_finished_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, finished in (("half", False), ("whole", True)):
        with closing(Checkpoint(tmp_path, key)) as ledger:
            ledger.add(3, 3, 0, {}, [])
            ledger.counts.finished = finished
            ledger.save()
    monkeypatch.setattr(tillstream, "__version__", "another")
    with closing(Checkpoint(tmp_path, "half")) as half, closing(Checkpoint(tmp_path, "whole")) as whole:
        assert (half.counts.done, whole.counts.done) == (0, 3)


def test_only_one_process_has_it(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")), pytest.raises(OperationalError, match="another import of it is running"):
        Checkpoint(tmp_path, "key")


def test_refusals_beyond_the_limit_are_only_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSALS_KEPT", 2)
    with closing(Checkpoint(tmp_path, "key")) as ledger:
        ledger.add(5, 0, 5, {}, map(refusal, range(5)))
        assert (ledger.counts.refused, len(list(ledger.refusals()))) == (5, 2)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationalError, match=r"how far the import is: .*--state"):
        Checkpoint(tmp_path / "file", "key")


def test_the_oldest_are_forgotten_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_REMEMBERED", 2)
    for number in range(4):
        with closing(Checkpoint(tmp_path, str(number))) as ledger:
            ledger.add(number + 1, 0, 1, {}, [refusal(0)])
            ledger.save()
            os.utime(ledger._path, (number, number))
    prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    with closing(Checkpoint(tmp_path, "0")) as oldest, closing(Checkpoint(tmp_path, "3")) as newest:
        assert (oldest.counts.done, newest.counts.done) == (0, 4)
