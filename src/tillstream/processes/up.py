"""`tillstream up`: what it checks first, which parts it runs, and what the demo does otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from msgspec.structs import replace

from tillstream import ports
from tillstream.datadir import Kind, open_directory
from tillstream.errors import PortTaken, SettingsError
from tillstream.options import flag
from tillstream.processes.demo import list_shops
from tillstream.processes.supervisor import Part, Supervisor, command
from tillstream.settings import Settings

Say = Callable[[str], None]

DEMO_DATA = "tillstream-demo"
PORT_SETTINGS = ("ingest_port", "dashboard_port")


async def up(settings: Settings, *, demo: bool, say: Say) -> int:
    """Run every part until told to stop; the exit code.

    Raises `DataDirectoryError`, `PortTaken`, `SettingsError` or `ShopListError` before anything is started.
    """
    directory = open_directory(settings.data_path, Kind.DEMO if demo else Kind.REAL)
    with directory.lock("up"):
        for role in ("ingest", "engine"):
            with directory.lock(role):
                pass
        _check_ports(settings)
        if demo:
            list_shops(directory)
        if not _loopback(settings.host):
            say(f"warning: on {settings.host} everyone who reaches this machine can post and read receipts")
        return await Supervisor(settings, _parts(demo=demo), lambda addresses: _welcome(settings, addresses, say)).run()


def prepare_demo(settings: Settings, origins: Mapping[str, str], say: Say) -> Settings:
    """The demo's own directory, and other ports where a default one is taken."""
    changes: dict[str, str | int] = {} if "data" in origins else {"data": DEMO_DATA}
    for name in PORT_SETTINGS:
        try:
            ports.ensure_free(settings.host, getattr(settings, name), flag(name))
        except PortTaken:
            if name in origins:
                raise
            changes[name] = ports.free_port(settings.host)
            say(f"port {getattr(settings, name)} is taken, using {changes[name]} instead ({flag(name)})")
    return replace(settings, **changes)


def _check_ports(settings: Settings) -> None:
    if settings.ingest_port == settings.dashboard_port != 0:
        raise SettingsError("use the setting", "dashboard_port", "it is ingest's port too", "give each its own")
    for name in PORT_SETTINGS:
        ports.ensure_free(settings.host, getattr(settings, name), flag(name))


def _parts(*, demo: bool) -> list[Part]:
    """In the order in which they stop: whoever feeds ends before those whom it feeds."""
    ingest = Part("ingest", command("ingest"), port_setting="ingest_port", stop_share=0.7)
    # The page shows where to post, so the engine starts once ingest's port is known.
    engine = Part("engine", command("engine"), port_setting="dashboard_port", after=(ingest,))
    shops = Part("shops", command("sell"), after=(ingest, engine), stop_share=0.2)
    return [shops, ingest, engine] if demo else [ingest, engine]


def _welcome(settings: Settings, addresses: Mapping[str, str], say: Say) -> None:
    say(f"receipts  {addresses['ingest']}/receipt")
    say(f"dashboard {addresses['engine']}")
    say(f"data in {settings.data_path.resolve()}; Ctrl-C stops")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
