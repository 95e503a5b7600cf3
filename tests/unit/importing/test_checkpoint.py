"""A checkpoint restores the saved progress of a file, also after damage or from another version."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

import tillstream
from tillstream.errors import OperationalError
from tillstream.importing import checkpoint as module
from tillstream.importing.checkpoint import Checkpoint, Counts, Refusal, prune
from tillstream.receipt.model import Fault


def refusal(index: int) -> Refusal:
    return Refusal(index, f"record {index + 1}", [Fault("$", "wrong")])


def test_saved_progress_is_restored_and_unsaved_progress_is_removed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new" / "state", "key")
    checkpoint.add(3, receipts=1, skipped={"control": 1}, refusals=[refusal(2)])
    checkpoint.save()
    checkpoint.add(9, receipts=4, refusals=[refusal(5), refusal(6)])
    assert [each.index for each in checkpoint.refusals()] == [2, 5, 6]
    checkpoint.close()

    with closing(Checkpoint(tmp_path / "new" / "state", "key")) as again:
        assert again.counts.done == 3
        assert (again.counts.receipts, again.counts.refused, again.counts.skipped) == (1, 1, {"control": 1})
        assert list(again.refusals()) == [refusal(2)]
        again.add(4, refusals=[refusal(3)])
        assert list(again.refusals()) == [refusal(2), refusal(3)]
    with closing(Checkpoint(tmp_path / "new" / "state", "other")) as other:
        assert other.counts == Counts()


def test_a_reset_or_removed_checkpoint_is_empty(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")) as checkpoint:
        checkpoint.add(3, receipts=2, refusals=[refusal(2)])
        checkpoint.save()
        checkpoint.reset()
        assert (checkpoint.counts, list(checkpoint.refusals())) == (Counts(), [])
        checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_counts_as_missing(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")) as checkpoint:
        checkpoint.add(3, receipts=2, refusals=[refusal(2)])
        checkpoint.save()
    (state,) = tmp_path.glob("*.json")
    (faults,) = tmp_path.glob("*.faults")
    faults.write_bytes(b"")
    with closing(Checkpoint(tmp_path, "key")) as torn:
        assert torn.counts == Counts()
    state.write_bytes(b'{"done": 3')
    with closing(Checkpoint(tmp_path, "key")) as broken:
        assert broken.counts == Counts()


def test_a_checkpoint_of_another_version_is_used_only_if_it_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, finished in (("half", False), ("whole", True)):
        with closing(Checkpoint(tmp_path, key)) as checkpoint:
            checkpoint.add(3, receipts=3)
            checkpoint.counts.finished = finished
            checkpoint.save()
    monkeypatch.setattr(tillstream, "__version__", "another")
    with closing(Checkpoint(tmp_path, "half")) as half, closing(Checkpoint(tmp_path, "whole")) as whole:
        assert (half.counts.done, whole.counts.done) == (0, 3)


def test_only_one_process_can_open_a_checkpoint(tmp_path: Path) -> None:
    with closing(Checkpoint(tmp_path, "key")), pytest.raises(OperationalError, match="another import of it is running"):
        Checkpoint(tmp_path, "key")


def test_refusals_beyond_the_limit_are_only_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFUSALS_LIMIT", 2)
    with closing(Checkpoint(tmp_path, "key")) as checkpoint:
        checkpoint.add(5, refusals=[*map(refusal, range(5))])
        assert (checkpoint.counts.refused, len(list(checkpoint.refusals()))) == (5, 2)


def test_a_directory_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationalError, match=r"the progress of the import in .*.*--state"):
        Checkpoint(tmp_path / "file", "key")


def test_the_oldest_checkpoints_beyond_the_limit_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_LIMIT", 2)
    for number in range(4):
        with closing(Checkpoint(tmp_path, str(number))) as checkpoint:
            checkpoint.add(number + 1, refusals=[refusal(0)])
            checkpoint.save()
            os.utime(checkpoint._path, (number, number))
    prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    with closing(Checkpoint(tmp_path, "0")) as oldest, closing(Checkpoint(tmp_path, "3")) as newest:
        assert (oldest.counts.done, newest.counts.done) == (0, 4)
