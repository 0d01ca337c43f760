"""The part of the composition root that makes and restores backups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.access.people import HOST, People
from core.adapters.database import Database
from core.adapters.database_accounts import AccountRecords
from core.backup.deciding import STAYS
from core.backup.making import BackupService
from core.backup.releases import ours
from core.backup.restoring import RestoreService
from core.bootstrap_deciding import connect_trail
from core.domain_serving import Health
from core.promotion.audit import Action
from core.promotion.trail import AuditTrail, Verification
from core.services.alone import complete_interrupted
from core.services.health import http_client, worker_probe
from core.services.layout import Layout, layout_of
from core.services.processes import tagged_processes, users_of
from core.settings import Settings


def connect_backups(settings: Settings, trail: AuditTrail) -> BackupService:
    """Builds what makes backups of an installation."""
    return BackupService(settings, trail)


def connect_restore(settings: Settings, file: Path, actor: str, reason: str) -> RestoreService:
    """Builds what restores a backup; the home may be empty.

    Args:
        settings: of the installation that it becomes.
        file: the backup.
        actor: who restores it; empty where there is nothing that tells who may be there.
        reason: why.
    """

    def sign(staged: Settings, told: str) -> Verification:
        database = open_database(staged)
        try:
            people = People(AccountRecords(database), has_login=staged.has_login)
            trail = connect_trail(staged, database, people)
            found = trail.verify()
            trail.record(
                Action.BACKUP_RESTORED,
                actor=actor or (HOST if people.told_apart else staged.operator),
                object=f"backup {file.name}",
                reason=reason,
                detail=told,
            )
        finally:
            database.close()
        return found

    layout = layout_of(settings.home)
    return RestoreService(settings, layout, ours(settings), lambda: _running(layout), sign)


def open_database(settings: Settings) -> Database:
    """Opens an installation's database and brings its schema to this release's.

    A restore that was killed is completed first: what it left may lack the database.

    Raises:
        ConflictError: a restore is at work.
        UnavailableError: the database does not answer, or a restore cannot be completed.
    """
    complete_interrupted(layout_of(settings.home))
    database = Database(settings.database_address)
    database.migrate()
    return database


def _running(layout: Layout) -> Sequence[str]:
    services = len(tagged_processes(layout))
    if services:
        return ["its services run" if services > 1 else "a process of it runs"]
    # In another container its processes are not seen, but their worker touches its file.
    with http_client() as http:
        if worker_probe(layout).look(http).health is Health.HEALTHY:
            return ["its worker beats"]
    users = users_of(layout.home, besides=STAYS)
    return [f"process {pid} has a file of it open" for pid in users]
