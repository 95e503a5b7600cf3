"""`tillstream keys` and `tillstream password`: who may post receipts, and who may read them."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import click
from msgspec.structs import replace

from tillstream import telemetry
from tillstream.access import exposure, key_file, password
from tillstream.access.keys import Key, Keys, create, digest
from tillstream.clock import SystemClock, utc
from tillstream.config.data_directory import open_directory
from tillstream.config.options import EPILOG, resolve, with_settings
from tillstream.config.settings import Settings
from tillstream.errors import AccessError

KEYS_EXAMPLES = f"""\b
Examples:
  tillstream keys add --store 12 --name "Rennes"   a key that posts receipts of store 12 only
  tillstream keys add --all-stores                 one for every store
  tillstream keys add --read --name prometheus     one that reads the dashboard's API and /metrics
  tillstream keys list
  tillstream keys revoke 1f09c3d2

{EPILOG}"""

PASSWORD_EXAMPLES = f"""\b
Examples:
  tillstream password set      asks for it twice
  tillstream password clear    the dashboard asks for none any more

{EPILOG}"""


@click.group(epilog=KEYS_EXAMPLES)
def keys() -> None:
    """Make, list and revoke API keys. Once there is one for receipts, ingest takes none without."""


@keys.command(epilog=KEYS_EXAMPLES)
@click.option("--store", "stores", multiple=True, metavar="ID", help="A store that it posts for; several may be named.")
@click.option("--all-stores", is_flag=True, help="It posts for every store.")
@click.option("--read", "reads", is_flag=True, help="It reads the dashboard's API and /metrics.")
@click.option("--name", default="", metavar="LABEL", help="What you know it by.")
@with_settings("data", "keys_file")
def add(stores: tuple[str, ...], all_stores: bool, reads: bool, name: str, **given: Any) -> None:
    """Make a key and show it, this once: only its hash is kept.

    What runs knows it within a second.
    """
    if not (stores or all_stores or reads):
        raise click.UsageError("name what it is for: --store ID, --all-stores or --read")
    if stores and all_stores:
        raise click.UsageError("choose one of --store and --all-stores")
    if not all(store and store.isprintable() for store in (*stores, name or "-")):
        raise click.UsageError("a store and a name are printable texts")
    values, _ = resolve(given)
    telemetry.configure(values, "keys")
    directory = open_directory(values.data_path)
    with key_file.changing(key_file.path(directory, values)) as (known, keep):
        text, number = create(secrets.token_bytes, known.by_id)
        made = Key(number, digest(text), _now(), name, tuple(dict.fromkeys(stores)), all_stores, reads)
        keep(Keys({**known.by_id, number: made}))
    click.echo(text)
    click.echo(f"key {number} {_purpose(made)}; it is shown this once, so keep it safe", err=True)
    if made.posts and not known.guard_ingest:
        click.echo("from now on ingest takes no receipt without a key", err=True)


@keys.command("list", epilog=KEYS_EXAMPLES)
@with_settings("data", "keys_file")
def show(**given: Any) -> None:
    """List the keys: what each is for, when it was made and revoked. The keys themselves are kept nowhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    values, _ = resolve(given)
    telemetry.configure(values, "keys")
    known = key_file.read(key_file.path(open_directory(values.data_path, create=False), values))
    if not known.by_id:
        click.echo("there are no keys yet; make one with `tillstream keys add --store ID`")
        return
    shown = Table("id", "name", "what it does", "made", "revoked")
    for key in known.by_id.values():
        shown.add_row(key.id, escape(key.name), escape(_purpose(key)), key.made, key.revoked)
    Console(width=None if sys.stdout.isatty() else 200).print(shown)


@keys.command(epilog=KEYS_EXAMPLES)
@click.argument("key_id", metavar="ID")
@with_settings("data", "keys_file")
def revoke(key_id: str, **given: Any) -> None:
    """Revoke the key with this ID, which `keys list` shows: it is refused within a second."""
    values, _ = resolve(given)
    telemetry.configure(values, "keys")
    file = key_file.path(open_directory(values.data_path, create=False), values)
    with key_file.changing(file) as (known, keep):
        key = known.by_id.get(key_id)
        if key is None or key.revoked:
            because = "there is none of that id" if key is None else f"it was revoked at {key.revoked} already"
            raise AccessError("revoke the key", key_id, because, "`tillstream keys list` shows them")
        keep(Keys({**known.by_id, key_id: replace(key, revoked=_now())}))
    click.echo(f"key {key_id} is revoked")


@click.group("password", epilog=PASSWORD_EXAMPLES)
def password_group() -> None:
    """Set or clear the password of the dashboard and its API."""


@password_group.command("set", epilog=PASSWORD_EXAMPLES)
@with_settings("data")
def set_password(**given: Any) -> None:
    """Ask for the password twice, or read one line where standard input is no terminal.

    Who is logged in has to log in again. What runs knows it within a second.
    """
    values, _ = resolve(given)
    telemetry.configure(values, "password")
    directory = open_directory(values.data_path)
    made = password.create(_asked(), secrets.token_bytes)
    password.write(directory.password, made)
    click.echo("the password is set; the dashboard asks for it")


@password_group.command(epilog=PASSWORD_EXAMPLES)
@with_settings("data")
def clear(**given: Any) -> None:
    """Have no password any more: on loopback the dashboard is open to everyone on this machine."""
    values, _ = resolve(given)
    telemetry.configure(values, "password")
    if not password.clear(open_directory(values.data_path, create=False).password):
        click.echo("there was no password")
        return
    click.echo(f"the password is gone; {_without_password(values)}")


def _without_password(settings: Settings) -> str:
    if exposure.always_required(settings):
        return "nobody can log in until another is set"
    return "the dashboard is open to whoever reaches it"


def _asked() -> str:
    if sys.stdin.isatty():
        text: str = click.prompt("password", hide_input=True, confirmation_prompt=True)
        return text
    return sys.stdin.readline().rstrip("\r\n")


def _purpose(key: Key) -> str:
    posting = "posts for every store" if key.all_stores else f"posts for store {', '.join(key.stores)}"
    return " and ".join(filter(None, (posting if key.posts else "", "reads" if key.reads else "")))


def _now() -> str:
    return utc(SystemClock().now_us()).strftime("%Y-%m-%dT%H:%M:%SZ")
