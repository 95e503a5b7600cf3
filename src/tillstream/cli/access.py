"""The commands `tillstream keys` and `tillstream password`, which control access to ingest and the dashboard."""

from __future__ import annotations

import secrets
import sys
from typing import Any

import click
from msgspec.structs import replace

from tillstream.access import exposure, password
from tillstream.access.keys import Key, Keys, changing_keys, create, digest, key_file, read_keys
from tillstream.cli.options import examples, open_configured, print_table, with_settings
from tillstream.clock import SystemClock, utc
from tillstream.errors import AccessError

KEYS_EXAMPLES = examples(
    'tillstream keys add --store 12 --name "Rennes"   a key that posts receipts of store 12 only',
    "tillstream keys add --all-stores                 a key that posts receipts of every store",
    "tillstream keys add --read --name prometheus     a key that reads the dashboard's API and /metrics",
    "tillstream keys list",
    "tillstream keys revoke 1f09c3d2",
)
PASSWORD_EXAMPLES = examples(
    "tillstream password set      ask for the new password twice",
    "tillstream password clear    remove the password",
)


@click.group(epilog=KEYS_EXAMPLES)
def keys() -> None:
    """Create, list and revoke API keys. Once a key for receipts exists, ingest refuses requests without a key."""


@keys.command(epilog=KEYS_EXAMPLES)
@click.option(
    "--store", "stores", multiple=True, metavar="ID", help="The key posts receipts of this store. Repeatable."
)
@click.option("--all-stores", is_flag=True, help="The key posts receipts of every store.")
@click.option("--read", "reads", is_flag=True, help="The key reads the dashboard's API and /metrics.")
@click.option("--name", default="", metavar="LABEL", help="Label of the key in the list.")
@with_settings("data", "keys_file")
def add(stores: tuple[str, ...], all_stores: bool, reads: bool, name: str, **options: Any) -> None:
    """Create a key and print it. Only its hash is stored, so the key cannot be printed again.

    A running tillstream accepts the key within a second.
    """
    if not (stores or all_stores or reads):
        raise click.UsageError("a key needs a purpose: --store ID, --all-stores or --read")
    if stores and all_stores:
        raise click.UsageError("--store and --all-stores exclude each other")
    if not all(store and store.isprintable() for store in (*stores, name or "-")):
        raise click.UsageError("stores and names must be printable text")
    settings, directory = open_configured(options, "keys", create=True)
    with changing_keys(key_file(directory, settings)) as (existing, save):
        text, key_id = create(secrets.token_bytes, existing.by_id)
        key = Key(key_id, digest(text), _now(), name, tuple(dict.fromkeys(stores)), all_stores, reads)
        save(Keys({**existing.by_id, key_id: key}))
    click.echo(text)
    click.echo(f"key {key_id} {_purpose(key)}; it is not shown again, so keep it safe", err=True)
    if key.posts and not existing.guard_ingest:
        click.echo("ingest now refuses receipts without a key", err=True)


@keys.command("list", epilog=KEYS_EXAMPLES)
@with_settings("data", "keys_file")
def show(**options: Any) -> None:
    """List the ids and purposes of the keys, and when they were created and revoked."""
    settings, directory = open_configured(options, "keys")
    existing = read_keys(key_file(directory, settings))
    if not existing.by_id:
        click.echo("there are no keys yet; create one with `tillstream keys add --store ID`")
        return
    print_table(
        ("id", "name", "purpose", "created", "revoked"),
        ((key.id, key.name, _purpose(key), key.made, key.revoked) for key in existing.by_id.values()),
    )


@keys.command(epilog=KEYS_EXAMPLES)
@click.argument("key_id", metavar="ID")
@with_settings("data", "keys_file")
def revoke(key_id: str, **options: Any) -> None:
    """Revoke the key with this ID from `tillstream keys list`. A running tillstream refuses it within a second."""
    settings, directory = open_configured(options, "keys")
    with changing_keys(key_file(directory, settings)) as (existing, save):
        key = existing.by_id.get(key_id)
        if key is None or key.revoked:
            because = "it does not exist" if key is None else f"it was already revoked at {key.revoked}"
            raise AccessError("revoke the key", key_id, because, "see `tillstream keys list`")
        save(Keys({**existing.by_id, key_id: replace(key, revoked=_now())}))
    click.echo(f"key {key_id} is revoked")


@click.group("password", epilog=PASSWORD_EXAMPLES)
def password_group() -> None:
    """Set or clear the password of the dashboard and its API."""


@password_group.command("set", epilog=PASSWORD_EXAMPLES)
@with_settings("data")
def set_password(**options: Any) -> None:
    """Set the password. The command asks for it twice, or reads one line if standard input is not a terminal.

    All sessions end. A running tillstream uses the new password within a second.
    """
    _, directory = open_configured(options, "password", create=True)
    password.write(directory.password, password.create(_prompt(), secrets.token_bytes))
    click.echo("the password is set; the dashboard requires it")


@password_group.command(epilog=PASSWORD_EXAMPLES)
@with_settings("data")
def clear(**options: Any) -> None:
    """Remove the password. The dashboard is then open to every client, unless the settings require a password."""
    settings, directory = open_configured(options, "password")
    if not password.clear(directory.password):
        click.echo("there was no password")
        return
    required = exposure.always_required(settings)
    effect = "nobody can log in until a new password is set" if required else "the dashboard is open to every client"
    click.echo(f"the password is removed; {effect}")


def _prompt() -> str:
    if sys.stdin.isatty():
        text: str = click.prompt("password", hide_input=True, confirmation_prompt=True)
        return text
    return sys.stdin.readline().rstrip("\r\n")


def _purpose(key: Key) -> str:
    posting = "posts for every store" if key.all_stores else f"posts for store {', '.join(key.stores)}"
    return " and ".join(filter(None, (posting if key.posts else "", "reads" if key.reads else "")))


def _now() -> str:
    return utc(SystemClock().now_us()).strftime("%Y-%m-%dT%H:%M:%SZ")
