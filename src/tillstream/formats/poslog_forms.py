"""Forms of POSLog transactions, part by part: a head, line items in any order, and a tail.

A basket is as various as its customers, so no two transactions need be alike, but their parts are. What is only
passed on is filled in, and the tax of each line is reckoned in integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from tillstream.formats.poslog_parts import Kind, Learner, Reading, StreamConsumer, Texts, Unfit, divide, minor
from tillstream.formats.poslog_reckoning import Item, reckon
from tillstream.formats.xml_forms import TEXT, Sample, is_plain, is_text, take_apart

Made = tuple[bytes, str]
"""A canonical receipt, and the till's business day."""

_ITEM = re.compile(r"\s*<((?:[^<>:\s/]+:)?LineItem)(?=[\s>])[^<>]*>.*?</\1>", re.DOTALL)
_TOTAL = re.compile(r"<(?:[^<>:\s]+:)?Total[\s>]")

# Learning a part takes as long as reading some ten records, so only so many are learned in so many records.
_COST_RECORDS = 10
_CREDIT_RECORDS = 1_000
_SEEN_TIMES = 2
_SEEN_LIMIT = 1_000
_HEADS_LIMIT = 4
_PARTS_LIMIT = 64
_SLOTS_LIMIT = 100

# Of one head; an article that sells comes again and again, and is quicker found than read.
_ITEMS_KEPT = 16_384
_ITEM_KEPT_BYTES = 640

_Part = TypeVar("_Part")


class _Head:
    """What stands before the items, and what was seen to follow it."""

    def __init__(self, sample: Sample, name: str) -> None:
        self.sample = sample
        self.match = sample.pattern([slot.pattern or TEXT for slot in sample.slots]).match
        self.closer = f"</{name}>".encode()
        """What each item ends with."""
        self.kinds: list[Kind] = []
        self.tails: list[StreamConsumer] = []
        self.items: dict[bytes, Item] = {}
        """By what they are, without that end."""

    def look(self, item: bytes) -> Item | None:
        """The item, read by its kind; the kind that came last is tried first."""
        whole = item + self.closer
        for kind in self.kinds:
            if found := kind.match(whole):
                break
        else:
            return None
        if not is_text(item):
            return None
        if kind is not self.kinds[0]:
            self.kinds.remove(kind)
            self.kinds.insert(0, kind)
        read = kind.item(found.groups())
        # What is paid differs from receipt to receipt.
        if read.line is not None and len(item) <= _ITEM_KEPT_BYTES:
            if len(self.items) >= _ITEMS_KEPT:
                self.items.clear()
            self.items[item] = read
        return read

    def forget(self) -> None:
        self.kinds.clear()
        self.tails.clear()
        self.items.clear()


class PoslogForms:
    """The forms of one decoder. `read` reads a marked transaction: what stands before it, and its text."""

    def __init__(self, read: Callable[[str, str], Reading | None], digits: int) -> None:
        self._learner = Learner(read, digits)
        self._digits = digits
        self._heads: dict[tuple[str, ...], _Head] = {}
        self._seen: dict[int, int] = {}
        self._credit = _CREDIT_RECORDS

    def read(self, before: str, record: bytes) -> Made | None:
        """What forms make of the transaction, in UTF-8; None where none fit. `before` declares its namespaces."""
        for head in self._heads.values():
            if head.sample.before == before and (begun := head.match(record)):
                return self._follow(head, begun, record)
        return None

    def _follow(self, head: _Head, begun: re.Match[bytes], record: bytes) -> Made | None:
        *pieces, rest = record[begun.end() :].split(head.closer)
        items = []
        for piece in pieces:
            item = head.items.get(piece) or head.look(piece)
            if item is None:
                return None
            items.append(item)
        for tail in head.tails:
            if (ended := tail.match(rest)) and is_text(begun[0]) and is_text(rest):
                return self._made(tail, (*begun.groups(), *ended.groups()), items)
        return None

    def _made(self, tail: StreamConsumer, texts: Texts, items: Sequence[Item]) -> Made | None:
        tax = None if tail.tax is None else minor(tail.tax, texts)
        sold = reckon(minor(tail.gross, texts), tax, tail.untaxed, items, self._digits)
        if sold is None:
            return None
        settlements = b",".join([item.settlements for item in items if item.settlements])
        body = b'%b,%b,"settlements":[%b]}' % (tail.header.fill(texts), sold, settlements)
        return body, "" if tail.day is None else texts[tail.day].decode()

    # -- learning

    def note(self, before: str, text: str, made: Made) -> None:
        """A transaction that was read without forms, and what came of it: learn those of its parts seen before."""
        self._credit = min(self._credit + 1, _CREDIT_RECORDS)
        if self._credit < _COST_RECORDS or not is_plain(text) or not (first := _ITEM.search(text)):
            return
        head = self._head(take_apart(before, text[: first.start()], divide), first[1])
        if head is None:
            return
        kinds, at = dict[tuple[str, ...], Sample](), first.start()
        while item := _ITEM.match(text, at):
            sample = take_apart(before, item[0], divide, 2 * _SLOTS_LIMIT)
            kinds[tuple(sample.fixed)] = sample
            at = item.end()
        tail = take_apart(before, text[at:], divide, _SLOTS_LIMIT)
        learned = self._learn(head, tail, partial(self._learner.tail, head.sample, tail), head.tails)
        for sample in kinds.values():
            learned |= self._learn(head, sample, partial(self._learner.kind, head.sample, sample, tail), head.kinds)
        if learned and self.read(before, text.encode()) not in (made, None):
            head.forget()

    def _is_due(self, *fixed: str) -> bool:
        """Whether a part was seen often enough, for the first time."""
        key = hash(fixed)
        if len(self._seen) > _SEEN_LIMIT:
            self._seen.clear()
        self._seen[key] = times = self._seen.get(key, 0) + 1
        return times == _SEEN_TIMES

    def _head(self, sample: Sample, name: str) -> _Head | None:
        key = (sample.before, *sample.fixed, name)
        if any(map(_TOTAL.search, sample.fixed)):
            # Amounts stand behind the items, or the head could not be matched without knowing them.
            return None
        if key not in self._heads and len(sample.slots) <= _SLOTS_LIMIT and self._is_due(*key):
            self._credit -= _COST_RECORDS
            if len(self._heads) >= _HEADS_LIMIT:
                self._heads.clear()
            self._heads[key] = _Head(sample, name)
        return self._heads.get(key)

    def _learn(self, head: _Head, sample: Sample, learn: Callable[[], _Part], known: list[_Part]) -> bool:
        if self._credit < _COST_RECORDS or len(sample.slots) > _SLOTS_LIMIT:
            return False
        if not self._is_due(head.sample.before, *head.sample.fixed, *sample.fixed):
            return False
        self._credit -= _COST_RECORDS
        try:
            part = learn()
        except Unfit:
            return False
        if len(known) >= _PARTS_LIMIT:
            known.clear()
        known.append(part)
        return True
