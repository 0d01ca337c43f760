"""Commands on backups: all that cannot be made again, in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.backup.archive_reading import Archive, OnlyLook, read_archive
from core.backup.contents import DATABASE, below_home, store_of
from core.bootstrap_backup import connect_backups, connect_restore
from core.cli_output import CONSOLE, ERRORS, Json, print_json, print_table
from core.cli_session import host_session
from core.errors import SetupError, UnavailableError
from core.promotion.audit import Action
from core.services.alone import complete_interrupted
from core.services.layout import layout_of
from core.settings import Settings, load_settings
from core.wording import clock, count

backup_app = typer.Typer(
    invoke_without_command=True, help="Back the installation up, look at backups, restore one."
)
_MIB = 2**20

File = Annotated[Path, typer.Argument(help="The backup.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(backup_app, name="backup")


@backup_app.callback()
def default(context: typer.Context) -> None:
    """Back the installation up, look at backups, restore one. By itself: make one."""
    if context.invoked_subcommand is None:
        create()


@backup_app.command("create")
def create(
    to: Annotated[
        Path | None,
        typer.Option(help="File to write; without it, one named by time in the home."),
    ] = None,
    without_secrets: Annotated[
        bool, typer.Option("--without-secrets", help="Leave the keys of the installation out.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write one file with all that cannot be made again; services may run meanwhile."""
    pilothouse, actor = host_session()
    backups = connect_backups(pilothouse.settings, pilothouse.audit)
    with ERRORS.status("backing up") as shown:
        made = backups.create(
            to.expanduser().absolute() if to else None,
            with_secrets=not without_secrets,
            actor=actor,
            say=shown.update,
        )
    if as_json:
        print_json({"id": made.file.name, **made.__dict__})
        return
    _say(
        f"{made.file}: {count(made.files, 'file')}, {_mib(made.content_bytes)} in "
        f"{_mib(made.archive_bytes)}, sha256 {made.sha256}."
    )
    for absent in made.description.absent:
        _say(f"Not in it: {absent}, which is not in the home.")
    _say_of_store(made.description.store)
    if without_secrets:
        _say("It holds no keys: keep secrets/ of the home elsewhere, for a restore needs them.")
    else:
        _say("It holds the keys of the installation, and only you may read it: keep it so.")
    if made.file.is_relative_to(pilothouse.settings.home):
        _say("It lies on the disk that it is a backup of: copy it to another machine.")


@backup_app.command("show")
def show(file: File, as_json: Json = False) -> None:
    """Check every file in a backup against its hash, and list what is in it."""
    with ERRORS.status("checking"):
        archive = read_archive(file.expanduser(), OnlyLook())
    parts = _parts_of(archive)
    if as_json:
        print_json(
            {
                "id": file.name,
                "sha256": archive.sha256,
                "description": archive.description,
                "parts": [
                    {"id": title, "files": files, "bytes": size}
                    for title, (files, size) in parts.items()
                ],
            }
        )
        return
    about = archive.description
    _say(
        f"Whole: made {clock(about.made_at)} by {about.made_by} with Pilothouse "
        f"{about.pilothouse}, {'with' if about.with_secrets else 'without'} secrets, "
        f"sha256 {archive.sha256}."
    )
    for absent in about.absent:
        _say(f"Not in it: {absent}, which was not in the home.")
    _say_of_store(about.store)
    rows = [(title, files, _mib(size)) for title, (files, size) in parts.items()]
    print_table("What is in it", ("part", "files", "size"), rows)


@backup_app.command("restore")
def restore(
    file: File,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move what is there aside; nothing is deleted.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    as_json: Json = False,
) -> None:
    """Put a backup in the place of what is there, while services are stopped."""
    settings, file = load_settings(), file.expanduser().absolute()
    actor = _who_may(settings, file)
    with ERRORS.status("restoring") as shown:
        service = connect_restore(settings, file, actor, reason.strip())
        done = service.restore(file, replace=replace, say=shown.update)
    if as_json:
        said = {"aside": done.aside, "remarks": done.remarks, "sha256": done.archive.sha256}
        print_json({"id": file.name, **said})
        return
    _say(f"Restored {file.name} of {clock(done.archive.description.made_at)} to {settings.home}.")
    if done.aside is not None:
        _say(f"What was there is in {done.aside}. Delete it when you need it no more.")
    for remark in done.remarks:
        _say(remark)
    _say("Run `pilothouse up`, then `pilothouse audit verify`.")


def _who_may(settings: Settings, file: Path) -> str:
    """Who restores; empty where nothing is left that could tell."""
    complete_interrupted(layout_of(settings.home))
    if not (settings.home / DATABASE).exists():
        return ""
    try:
        pilothouse, actor = host_session()
    except (SetupError, UnavailableError) as exc:
        # What is there is broken, which is what backups are for; its owner may.
        _say(f"Who may restore was not looked up: {exc}")
        return ""
    try:
        pilothouse.audit.require(Action.BACKUP_RESTORED, actor=actor, object=f"backup {file.name}")
    finally:
        pilothouse.database.close()
    return actor


def _say_of_store(store: str) -> None:
    if store:
        _say(
            f"Not in it: what lies in the S3 store {store}, which are artifacts, data versions, "
            "answered predictions and late labels. Keep copies of the store by its own means."
        )


def _parts_of(archive: Archive) -> dict[str, tuple[int, int]]:
    """Part of an installation -> how many files and bytes of it there are."""
    parts: dict[str, tuple[int, int]] = {}
    for member in archive.manifest.members:
        below = below_home(member.name)
        store = None if below is None else store_of(below)
        title = store.title if store else "about the backup"
        files, size = parts.get(title, (0, 0))
        parts[title] = (files + 1, size + member.size)
    return parts


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"


def _say(text: str) -> None:
    CONSOLE.print(text, highlight=False, markup=False, soft_wrap=True)
