"""The audit trail while it is written: key, anchor, many writers, and what cannot be done."""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from core import kept_files
from core.adapters.database import Database
from core.adapters.database_audit import AuditRecords
from core.bootstrap_deciding import connect_trail
from core.errors import ConflictError, PilothouseError, RefusedError, SetupError, UnavailableError
from core.promotion.audit import Action, AuditRow, Chosen, Outcome
from core.promotion.audit_files import AnchorFile, load_key
from core.promotion.audit_verify import BEGINNING, Kind
from core.promotion.identity import RETRAINER, WORKER, OneLocalOperator
from core.promotion.settings_watch import SettingsWatch, changes, in_force_by
from core.promotion.trail import AuditTrail
from core.settings import Settings
from tests.unit.core_fakes import make_trail, make_world
from tests.unit.stores import address_in

EACH = 15


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(address_in(tmp_path))
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def trail(database: Database, tmp_path: Path) -> AuditTrail:
    return make_trail(database, tmp_path)


def _act(trail: AuditTrail, times: int = 1, actor: str = "ann") -> None:
    for place in range(times):
        trail.record(Action.RUN_STARTED, actor=actor, object=f"run {place}", problem="plums")


def _told(row: AuditRow) -> tuple[str, str, str]:
    return row.entry.action, row.entry.outcome, row.entry.object


# The key


def test_the_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    path, anchor = tmp_path / "secrets" / "audit.key", tmp_path / "audit" / "anchor"
    key = load_key(path, anchor)
    assert len(key) == 32
    assert load_key(path, anchor) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert AnchorFile(anchor, key).read() == BEGINNING


def _load(path: Path, anchor: Path, told: multiprocessing.SimpleQueue[bytes]) -> None:
    told.put(load_key(path, anchor))


def test_processes_that_race_get_the_same_key(tmp_path: Path) -> None:
    path, anchor = tmp_path / "secrets" / "audit.key", tmp_path / "anchor"
    spawn = multiprocessing.get_context("fork")
    told = spawn.SimpleQueue()
    racers = [spawn.Process(target=_load, args=(path, anchor, told)) for _ in range(6)]
    for one in racers:
        one.start()
    keys = {told.get() for _ in racers}
    for one in racers:
        one.join()
    assert keys == {path.read_bytes()}
    assert AnchorFile(anchor, path.read_bytes()).read() == BEGINNING


@pytest.mark.parametrize("step", ["the key is written", "the anchor is written"])
def test_a_process_that_dies_while_it_makes_the_key_leaves_no_accusation(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "the key is written":
            patch.setattr(AnchorFile, "write", die)
        else:
            patch.setattr(kept_files, "sync_folder", lambda folder: None)
            patch.setattr(Path, "rename", _rename_but_not_the_key)
        with pytest.raises((Killed, SetupError)):
            make_trail(database, tmp_path)
    assert not (tmp_path / "secrets" / "audit.key").exists()
    trail = make_trail(database, tmp_path)
    _act(trail)
    assert trail.verify().is_whole


def _rename_but_not_the_key(self: Path, target: Path) -> None:
    if target.name == "audit.key":
        raise OSError(5, "died")
    self.replace(target)


def test_a_key_that_is_gone_is_not_passed_over(
    trail: AuditTrail, tmp_path: Path, database: Database
) -> None:
    _act(trail, 3)
    (tmp_path / "secrets" / "audit.key").unlink()
    kinds = {one.kind for one in make_trail(database, tmp_path).verify().findings}
    assert kinds == {Kind.ANCHOR_FORGED, Kind.FOREIGN_KEY}


def test_a_key_of_ones_own_begins_a_trail(tmp_path: Path, database: Database) -> None:
    file = tmp_path / "mounted" / "key"
    file.parent.mkdir()
    file.write_bytes(b"0123456789abcdef" * 2)
    settings = Settings(
        home=tmp_path, audit_key_file=str(file), audit_anchor_file=str(tmp_path / "disk" / "a")
    )
    trail = connect_trail(settings, database, OneLocalOperator())
    _act(trail)
    assert trail.verify().is_whole
    assert (tmp_path / "disk" / "a").exists()
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_short_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(SetupError, match=f"has {len(content)} bytes"):
        load_key(file, tmp_path / "anchor")


def test_a_key_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(SetupError, match="cannot be read"):
        load_key(tmp_path / "key", tmp_path / "anchor")


# Many writers


def test_threads_take_turns(trail: AuditTrail, tmp_path: Path) -> None:
    failed: list[Exception] = []

    def write(number: int) -> None:
        own = Database(address_in(tmp_path))
        try:
            _act(make_trail(own, tmp_path), EACH, f"actor {number}")
        except Exception as exc:  # noqa: BLE001 - told below
            failed.append(exc)
        finally:
            own.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert failed == []
    found = trail.verify()
    assert (found.findings, found.rows, found.anchored) == ((), 6 * EACH, 6 * EACH)
    assert {row.sequence for row in trail.list(None)} == set(range(1, 6 * EACH + 1))


def _write(home: Path, number: int) -> None:
    database = Database(address_in(home))
    _act(make_trail(database, home), EACH, f"actor {number}")
    database.close()


def test_processes_take_turns(database: Database, tmp_path: Path) -> None:
    # Nothing is open in this process that a fork could share.
    database.close()
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write, args=(tmp_path, number)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.exitcode for one in writers] == [0] * 4
    found = make_trail(database, tmp_path).verify()
    assert (found.findings, found.rows, found.anchored) == ((), 4 * EACH, 4 * EACH)


def test_who_appends_holds_the_turn_to_the_end_of_the_transaction(
    trail: AuditTrail, database: Database, tmp_path: Path
) -> None:
    other = Database(address_in(tmp_path))
    second = threading.Thread(target=_act, args=(make_trail(other, tmp_path),))
    with database.begin() as connection:
        first = trail.append_in(
            connection, trail.entry(Action.PROMOTED, actor="ann", object="plums v1")
        )
        second.start()
        second.join(0.3)
        assert second.is_alive()
    second.join()
    other.close()
    assert first.sequence == 1
    assert [row.sequence for row in trail.list(None)] == [2, 1]
    assert trail.verify().is_whole


# Times and texts


def test_times_of_any_zone_are_kept_as_they_are(trail: AuditTrail) -> None:
    at = datetime(2026, 11, 21, 1, 30, 0, 7, tzinfo=timezone(timedelta(hours=5)))
    trail.record(Action.LABELS_ADDED, at=at, actor="ann", object="labels")
    assert trail.list(1)[0].entry.at == at
    assert trail.verify().is_whole
    assert trail.count(Chosen(since=at)) == 1
    assert trail.count(Chosen(since=at + timedelta(microseconds=1))) == 0
    assert trail.count(Chosen(until=at)) == 0
    assert trail.count(Chosen(until=at + timedelta(microseconds=1))) == 1


def test_any_text_can_be_recorded(trail: AuditTrail) -> None:
    reason = "a\0b \udcff 🍑 ' \" \r\n"
    trail.record(Action.RUN_STARTED, actor="x" * 500, object="o", problem="p" * 99, reason=reason)
    (row,) = trail.list(1)
    assert (len(row.entry.actor), len(row.entry.problem)) == (128, 64)
    assert row.entry.reason == "a�b ? 🍑 ' \" \r\n"
    assert trail.verify().is_whole


def test_rows_are_chosen_and_paged(trail: AuditTrail) -> None:
    _act(trail, 3)
    _act(trail, 2, "ben")
    trail.record(Action.PROMOTED, actor="ben", object="v1", outcome=Outcome.REFUSED)
    assert trail.count() == 6
    assert [row.sequence for row in trail.list(2, offset=1)] == [5, 4]
    assert [row.sequence for row in trail.list(None, Chosen(actor="ben"))] == [6, 5, 4]
    assert trail.count(Chosen(actor="ben", problem="plums", outcome=Outcome.DONE)) == 2
    assert trail.count(Chosen(action=Action.PROMOTED)) == 1
    assert trail.actors() == ("ann", "ben")


def test_the_role_is_that_of_the_moment(trail: AuditTrail) -> None:
    _act(trail)
    _act(trail, 1, WORKER)
    assert [row.entry.role for row in trail.list(None)] == ["system", "local operator"]


# The anchor


def test_a_death_between_row_and_anchor_is_no_fault_and_is_made_up(
    trail: AuditTrail, database: Database, tmp_path: Path
) -> None:
    _act(trail, 2)
    records = AuditRecords(database, (tmp_path / "secrets" / "audit.key").read_bytes())
    records.append(trail.entry(Action.PROMOTED, actor="ann", object="plums v1"))
    found = trail.verify()
    assert (found.is_whole, found.rows, found.anchored) == (True, 3, 2)
    trail.catch_up()
    assert trail.verify().anchored == 3


def test_an_anchor_that_cannot_be_written_stops_nobody_and_is_told(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("core.promotion.audit_files.write_durably", full)
        _act(trail)
        assert "No space left on device" in caplog.text
        with pytest.raises(UnavailableError):
            trail.catch_up()
    assert trail.verify().anchored == 0
    _act(trail)
    assert trail.verify().anchored == 2


def test_the_anchor_never_goes_back(trail: AuditTrail, tmp_path: Path) -> None:
    _act(trail, 2)
    key = (tmp_path / "secrets" / "audit.key").read_bytes()
    anchor = AnchorFile(tmp_path / "audit" / "anchor", key)
    set_on = anchor.read()
    anchor.advance(BEGINNING, lambda sequence: None)
    assert anchor.read() == set_on


def test_an_anchor_is_set_anew_with_a_reason_and_what_was_wrong(
    trail: AuditTrail, tmp_path: Path
) -> None:
    _act(trail, 2)
    (tmp_path / "audit" / "anchor").unlink()
    with pytest.raises(RefusedError, match="not the one"):
        trail.catch_up()
    before = trail.reanchor(actor="ann", reason="The disk of the anchor broke.")
    assert [one.kind for one in before.findings] == [Kind.ANCHOR_MISSING]
    found = trail.verify()
    assert (found.is_whole, found.anchored) == (True, 3)
    entry = trail.list(1)[0].entry
    assert (entry.action, entry.reason) == (Action.TRAIL_ANCHORED, "The disk of the anchor broke.")
    assert "anchor is missing" in entry.detail


# Actions


def test_what_is_done_is_recorded_with_the_fact_or_not_at_all(
    trail: AuditTrail, database: Database
) -> None:
    with trail.act(Action.RUN_STARTED, actor="ann", object="run", problem="plums") as act:
        act.object = "run 1"
        with database.begin(act.done_with("profile 2c-2g")):
            pass
    assert _told(trail.list(1)[0]) == ("run started", "done", "run 1")
    assert trail.verify().anchored == 1

    def fail() -> None:
        with trail.act(Action.RUN_STARTED, actor="ann", object="run 2") as act:
            with database.begin(act.done_with()):
                raise ConflictError("A run is active already.")

    with pytest.raises(ConflictError):
        fail()
    (row,) = trail.list(None)[:-1]
    assert _told(row) == ("run started", "refused", "run 2")
    assert row.entry.detail == "A run is active already."


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (ConflictError("It is over.", fix="Look."), "refused", "It is over."),
        (UnavailableError("Ray does not answer."), "failed", "Ray does not answer."),
        (KeyError("secret"), "failed", "KeyError"),
    ],
)
def test_what_cannot_be_done_is_recorded(
    trail: AuditTrail, error: Exception, outcome: str, said: str
) -> None:
    with pytest.raises(type(error)):
        _fail(trail, error, "ann")
    entry = trail.list(1)[0].entry
    assert (entry.outcome, entry.detail) == (outcome, said)


def _fail(trail: AuditTrail, error: Exception, actor: str) -> None:
    with trail.act(Action.RUN_CANCELLED, actor=actor, object="run 1"):
        raise error


def test_what_the_system_tries_again_and_again_is_no_row(trail: AuditTrail) -> None:
    with pytest.raises(PilothouseError):
        _fail(trail, UnavailableError("Ray does not answer."), RETRAINER)
    assert trail.count() == 0

    def begin() -> None:
        with trail.act(Action.RUN_STARTED, actor=RETRAINER, object="run 1") as act:
            act.done()
            raise UnavailableError("Ray does not answer.")

    with pytest.raises(UnavailableError):
        begin()
    # A row said that it was done, so another has to say that it was not.
    assert [row.entry.outcome for row in trail.list(None)] == ["failed", "done"]


def test_a_refusal_that_cannot_be_recorded_is_logged_and_stays_a_refusal(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("The database does not answer.")

    monkeypatch.setattr(AuditRecords, "append", down)
    caplog.set_level(logging.ERROR)
    with pytest.raises(ConflictError, match="It is over"):
        _fail(trail, ConflictError("It is over."), "ann")
    assert "the audit trail could not take" in caplog.text
    assert "run 1" in caplog.text


def test_an_action_whose_row_cannot_be_written_is_told_so(
    trail: AuditTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise UnavailableError("The database does not answer.")

    monkeypatch.setattr(AuditRecords, "append", down)
    with pytest.raises(UnavailableError, match="database"):
        _act(trail)


# Settings


def test_a_changed_setting_is_one_row_that_says_what(trail: AuditTrail) -> None:
    first = {"params": {"a": {"b": 1, "c": [1, 2]}}, "settings": {"host": "x"}}
    for _ in range(2):
        watch = SettingsWatch(trail, first)
        watch.run()
        watch.run()
    (row,) = trail.list(None)
    assert (row.entry.headline, row.entry.actor) == ("The first start.", WORKER)
    assert in_force_by(row) == first
    second = {"params": {"a": {"b": 2, "c": [1, 2]}}, "settings": {"host": "x", "port": "1"}}
    SettingsWatch(trail, second).run()
    row = trail.list(1)[0]
    assert row.entry.headline == 'params.a.b: 1 → 2; settings.port: absent → "1".'
    assert in_force_by(row) == second
    assert trail.verify().is_whole


def test_changes_are_named_up_to_a_dozen() -> None:
    told = changes({}, {f"n{place:02}": place for place in range(20)})
    assert told.endswith("n11: absent → 11; and 8 more.")
    assert changes({"a": {}}, {"a": {"b": 1}}) == "a: {} → absent; a.b: absent → 1."


def test_the_worker_records_what_it_was_started_with_and_no_secret(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.pilothouse.settings_watch.run()
    (row,) = world.pilothouse.audit.list(1)
    assert row.entry.action == Action.SETTINGS_CHANGED
    assert '"reason_min_length"' in row.entry.detail
    assert '"operator": "operator"' in row.entry.detail
    assert 'alert_url"' not in row.entry.detail
    world.close()
