"""`tillstream up`: checks whether all processes can start, then runs the supervisor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tillstream.access import exposure
from tillstream.config import ports
from tillstream.config.data_directory import Kind, open_directory
from tillstream.config.settings import Settings, flag
from tillstream.errors import SettingsError
from tillstream.runtime.demo import PORT_SETTINGS, write_store_list
from tillstream.runtime.supervisor import Part, Supervisor, command

Echo = Callable[[str], None]


async def up(settings: Settings, *, demo: bool, echo: Echo) -> int:
    """Run all processes until SIGINT or SIGTERM. Return the exit code.

    Raises `AccessError`, `DataDirectoryError`, `PortTaken`, `SettingsError` or `StoreListError` before any process
    starts.
    """
    if demo and settings.log != "sqlite":
        because = "the demo would publish invented receipts to a broker of real ones"
        raise SettingsError("use the setting", f"log = {settings.log}", because, "run the demo with --log sqlite")
    directory = open_directory(settings.data_path, Kind.DEMO if demo else Kind.REAL)
    with directory.lock("up"):
        for role in ("ingest", "engine"):
            with directory.lock(role):
                pass
        warning = exposure.check(directory, settings)
        _check_ports(settings)
        if settings.inbox:
            from tillstream.importing.inbox import inbox_folder

            inbox_folder(settings)
        if demo:
            write_store_list(directory)
            echo("starting an invented chain of bakeries")
        if warning:
            echo(warning)
        parts = _parts(demo=demo, inbox=bool(settings.inbox))
        return await Supervisor(settings, parts, lambda addresses: _print_addresses(settings, addresses, echo)).run()


def _check_ports(settings: Settings) -> None:
    if settings.ingest_port == settings.dashboard_port != 0:
        raise SettingsError("use the setting", "dashboard_port", "it equals ingest_port", "set two different ports")
    for name in PORT_SETTINGS:
        ports.ensure_free(settings.host, getattr(settings, name), flag(name))


def _parts(*, demo: bool, inbox: bool) -> list[Part]:
    """Return the processes in the order in which they stop. A sender stops before its receiver."""
    ingest = Part("ingest", command("ingest"), port_setting="ingest_port", stop_share=0.7)
    # The dashboard shows the address of ingest, so the engine starts after ingest.
    engine = Part("engine", command("engine"), port_setting="dashboard_port", after=(ingest,))
    sales = Part("demo", command("sell"), after=(ingest, engine), stop_share=0.2)
    folder = Part("inbox", command("inbox"), after=(ingest,), stop_share=0.3)
    return [*([sales] if demo else []), *([folder] if inbox else []), ingest, engine]


def _print_addresses(settings: Settings, addresses: Mapping[str, str], echo: Echo) -> None:
    echo(f"receipts  {addresses['ingest']}/receipt")
    echo(f"dashboard {addresses['engine']}")
    if settings.inbox:
        echo(f"inbox     {Path(settings.inbox).resolve()}")
    echo(f"data in {settings.data_path.resolve()}; Ctrl-C stops")
