"""Tables, names and headings as pages have them."""

from __future__ import annotations

from tillstream.markdown import anchor, code, names, table


def test_bars_do_not_break_a_table() -> None:
    assert table(("a", "b"), [("1|2", "3")]) == "| a | b |\n| --- | --- |\n| 1/2 | 3 |\n"


def test_names_and_examples_are_code() -> None:
    assert names(["a", "b"]) == "`a`, `b`"
    assert code("x;1") == "\n```text\nx;1\n```\n"


def test_a_heading_has_the_address_that_renderers_give_it() -> None:
    assert anchor("CSV (one row a line)") == "csv-one-row-a-line"
