"""The examples are what they say: receipts that are right, settings that load, a list of shops that is taken."""

from __future__ import annotations

import ast
import importlib.util
import io
import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.receipts import NOON_US
from tillstream.cli.main import main
from tillstream.config.settings import Settings, load
from tillstream.formats.base import Decoder, Record, Skip, Unreadable
from tillstream.metrics.catalogue import catalogue
from tillstream.receipt.validation import Validator
from tillstream.stores import repository

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_settings_load_with_their_metric() -> None:
    settings, _ = load(EXAMPLES / "tillstream.toml", {}, {})
    assert settings.vat_rates == ["5.5", "10", "20"]
    assert catalogue(settings.metrics)[-1].name == "sales_by_till_and_hour"


@pytest.mark.parametrize(
    "body",
    [(EXAMPLES / "receipt.json").read_bytes(), *(EXAMPLES / "receipts.ndjson").read_bytes().splitlines()],
)
def test_the_receipts_are_taken(body: bytes) -> None:
    settings, _ = load(EXAMPLES / "tillstream.toml", {}, {})
    _, key, day = Validator(settings).check(body, NOON_US, "json/http")
    assert (len(key), day) == (32, "2026-11-23")


def test_the_list_of_stores_is_imported_and_contains_the_store_of_the_receipts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    taken = CliRunner().invoke(main, ["stores", "import", str(EXAMPLES / "stores.csv"), "--data", str(data)])
    assert (taken.exit_code, taken.output.splitlines()[0]) == (0, "12 stores: 12 new, 0 changed, 0 removed")
    stores = repository.read(data / "shops.json")
    assert stores.title("12") == "Strasbourg Krutenau"
    assert all(each.name and each.city and each.region and each.hours and each.tills for each in stores.by_id.values())
    assert len(stores.regions) == 9


def test_the_client_can_be_copied_alone() -> None:
    nodes = list(ast.walk(ast.parse((EXAMPLES / "till_client.py").read_text(encoding="utf-8"))))
    used = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    used |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in used} <= sys.stdlib_module_names
    assert "sqlite3" in used


@pytest.fixture(scope="module")
def old_till() -> Decoder:
    """The decoder of the package, as its file has it."""
    spec = importlib.util.spec_from_file_location("oldtill_format", EXAMPLES / "format-package" / "oldtill_format.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    decoder = module.OldTillDecoder(Settings(receipt_limit_bytes=500))
    assert isinstance(decoder, Decoder)
    return decoder


def test_the_format_of_the_package_keeps_what_every_decoder_promises(old_till: Decoder) -> None:
    receipt = old_till.example.encode()
    unfinished = receipt.partition(b"T|")[0]
    long = b"H|1\n" + b"L|\n" * 1_000
    found = list(old_till.decode(io.BytesIO(b"Z|2\n" + receipt + unfinished + receipt + long)))
    assert found[:2] == [Skip("Z"), Record(found[1].body if isinstance(found[1], Record) else b"", receipt)]
    assert isinstance(found[2], Unreadable)
    assert (found[2].original, found[2].where) == (unfinished, "line 6")
    assert isinstance(found[3], Record)
    assert all(isinstance(each, Unreadable) and len(each.original) <= 500 for each in found[4:])
    chance = random.Random(1047)
    for _ in range(2_000):
        mutated = bytearray(receipt * 2)
        for _ in range(3):
            at = chance.randrange(len(mutated))
            mutated[at : at + chance.choice([0, 1, 30])] = chance.choice(
                [b"|", b"\n", b"H|", b"T|", b"\xff\x00", b"1e9"]
            )
        assert all(isinstance(each, Record | Skip | Unreadable) for each in old_till.decode(io.BytesIO(mutated)))
