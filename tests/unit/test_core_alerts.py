"""Alerts in a real database, sent to a real receiver that is down, up, or broken."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from core.adapters.database import Database
from core.adapters.database_alerts import AlertRecords
from core.adapters.notification import Receivers, without_secrets
from core.domain_watching import AlertStatus, Level
from core.errors import ConflictError, NotFoundError, SetupError, UnavailableError
from core.monitoring.alerting import AlertChange, AlertEvent, Finding, changes
from core.monitoring.alerts import AlertService, Receiver
from core.monitoring.messages import Message
from core.monitoring.report import Topic
from core.params import load_params
from core.settings import CODE_ROOT
from tests.unit.alert_values import CRITICAL, DRIFT, OK, WARNING, check_of, condition, report_of
from tests.unit.core_fakes import FakeReceiver, make_trail
from tests.unit.stores import address_in
from tests.unit.webhook import listening

PARAMS = load_params(CODE_ROOT / "params.yaml").alerts
PANEL = "http://127.0.0.1:8501"
TOKEN = "T0pSecretToken"


@pytest.fixture
def logged() -> Iterator[StringIO]:
    """What our programs would log at level DEBUG; pytest's own handler is at every logger."""
    text, root = StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


class Alerts:
    """A database with a service on it that can be opened again, as after a restart."""

    def __init__(self, home: Path) -> None:
        self.database = Database(address_in(home))
        self.database.migrate()
        self.trail = make_trail(self.database, home)
        self.records = AlertRecords(self.database)

    def service(self, receiver: Receiver | None) -> AlertService:
        return AlertService(PARAMS, self.records, receiver, PANEL, self.trail)

    def find(self, service: AlertService, level: Level, check_id: str = "c1") -> None:
        service.consider(check_of(check_id), report_of({Topic.DRIFT: level}, check_id=check_id))


@pytest.fixture
def alerts(tmp_path: Path) -> Iterator[Alerts]:
    made = Alerts(tmp_path)
    yield made
    made.database.close()


def _later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _webhook(port: int) -> Receivers:
    return Receivers([f"json://127.0.0.1:{port}/{TOKEN}"], timeout_s=5)


class TestLife:
    def test_an_alert_is_told_once_however_often_its_condition_is_found(
        self, alerts: Alerts
    ) -> None:
        receiver = FakeReceiver()
        service = alerts.service(receiver)
        for number in range(4):
            alerts.find(service, WARNING, f"c{number}")
            service.deliver_due(_later(1))
        (alert,) = service.list("plums")
        assert alert.check_id == "c0"
        assert [message.fields["event"] for message in receiver.taken] == ["raised"]

    def test_it_is_told_again_when_worse_and_when_it_ends(self, alerts: Alerts) -> None:
        receiver = FakeReceiver()
        service = alerts.service(receiver)
        for level in (WARNING, CRITICAL, WARNING, OK, WARNING, OK):
            alerts.find(service, level)
        assert service.deliver_due(_later(1)) == 1
        service.deliver_due(_later(1))
        service.deliver_due(_later(1))
        (alert,) = service.list()
        assert [message.fields["key"] for message in receiver.taken] == [
            f"{alert.id}:raised",
            f"{alert.id}:worse",
            f"{alert.id}:closed",
        ]
        assert alert.status is AlertStatus.CLOSED
        assert service.list(open_only=True) == ()

    def test_without_a_receiver_alerts_stay_here(self, alerts: Alerts) -> None:
        service = alerts.service(None)
        alerts.find(service, CRITICAL)
        (alert,) = service.list("plums", open_only=True)
        assert service.deliveries(alert.id) == ()
        # Nor is the past told to a receiver that comes later.
        receiver = FakeReceiver()
        assert alerts.service(receiver).deliver_due(_later(1)) == 0

    def test_considered_twice_changes_nothing(self, alerts: Alerts) -> None:
        service = alerts.service(FakeReceiver())
        alerts.find(service, CRITICAL)
        before = service.list()
        alerts.find(service, CRITICAL)
        assert service.list() == before
        assert len(service.deliveries(before[0].id)) == 1

    def test_another_process_that_was_faster_wins(self, alerts: Alerts) -> None:
        finding = Finding("plums", "c1", (condition(DRIFT, WARNING),), _later(0))
        one, other = (changes(finding, [], timedelta(0)) for _ in range(2))
        alerts.records.apply(one, deliver_at=_later(0))
        with pytest.raises(ConflictError):
            alerts.records.apply(other, deliver_at=_later(0))
        assert alerts.records.list("plums") == tuple(change.alert for change in one)
        assert len(alerts.records.due(_later(1))) == 1

    def test_an_alert_that_has_closed_meanwhile_is_not_closed_twice(self, alerts: Alerts) -> None:
        service = alerts.service(FakeReceiver())
        alerts.find(service, WARNING)
        (alert,) = service.list()
        closed = replace(alert, status=AlertStatus.CLOSED, closed_at=_later(0))
        change = AlertChange(AlertEvent.CLOSED, closed)
        alerts.records.apply([change], deliver_at=None)
        with pytest.raises(ConflictError):
            alerts.records.apply([change], deliver_at=None)


class TestAcknowledge:
    def test_it_is_noted_by_whom_and_stays_open(self, alerts: Alerts) -> None:
        service = alerts.service(None)
        alerts.find(service, WARNING)
        (alert,) = service.list()
        seen = service.acknowledge(alert.id, note=" I look at it. ", actor="ann")
        assert (seen.status, seen.acknowledged_by, seen.note) == (
            AlertStatus.ACKNOWLEDGED,
            "ann",
            "I look at it.",
        )
        assert seen.acknowledged_at is not None
        assert service.list(open_only=True) == (seen,)
        alerts.find(service, OK, "c2")
        assert service.get(alert.id).note == "I look at it."

    def test_one_that_has_closed_or_never_was_cannot_be(self, alerts: Alerts) -> None:
        service = alerts.service(None)
        alerts.find(service, WARNING)
        alerts.find(service, OK, "c2")
        with pytest.raises(ConflictError, match="closed already"):
            service.acknowledge(service.list()[0].id, note="", actor="ann")
        with pytest.raises(NotFoundError):
            service.acknowledge("nobody", note="", actor="ann")


class TestOutbox:
    def test_a_receiver_that_is_down_gets_it_when_it_is_up(self, alerts: Alerts) -> None:
        with listening() as hook:
            port = hook.port
        service = alerts.service(_webhook(port))
        alerts.find(service, CRITICAL)
        (alert,) = service.list()
        now = _later(1)
        for attempt in range(1, 5):
            assert service.deliver_due(now) == 0
            (delivery,) = service.deliveries(alert.id)
            assert delivery.attempts == attempt
            assert delivery.error is not None
            waited_s = (delivery.next_at - now).total_seconds()
            assert waited_s == PARAMS.retry_s * 2 ** (attempt - 1)
            assert service.deliver_due(delivery.next_at - timedelta(seconds=1)) == 0
            assert service.deliveries(alert.id) == (delivery,)
            now = delivery.next_at
        with listening(port) as hook:
            assert service.deliver_due(now) == 1
            assert service.deliver_due(_later(1e6)) == 0
            (arrived,) = hook.arrived
        assert arrived["title"] == "[critical] drift of plums"
        assert arrived["type"] == "failure"
        assert {name: arrived[name] for name in ("key", "event", "severity", "problem")} == {
            "key": f"{alert.id}:raised",
            "event": "raised",
            "severity": "critical",
            "problem": "plums",
        }
        assert arrived["link"] == f"{PANEL}/drift?problem=plums&check=c1"
        assert arrived["link"] in arrived["message"]
        assert service.deliveries(alert.id)[0].error is None

    def test_a_receiver_that_breaks_gets_the_same_key_again(self, alerts: Alerts) -> None:
        with listening() as hook:
            service = alerts.service(_webhook(hook.port))
            alerts.find(service, CRITICAL)
            (alert,) = service.list()
            hook.status = 500
            assert service.deliver_due(_later(1)) == 0
            (delivery,) = service.deliveries(alert.id)
            assert delivery.error is not None
            assert "500" in delivery.error
            hook.status = 200
            assert service.deliver_due(_later(3600)) == 1
            assert hook.keys == [f"{alert.id}:raised"] * 2

    def test_whoever_dies_after_sending_sends_again(self, alerts: Alerts) -> None:
        with listening() as hook:
            webhook = _webhook(hook.port)

            class Dying:
                def send(self, message: Message) -> None:
                    webhook.send(message)
                    raise KeyboardInterrupt

            service = alerts.service(Dying())
            alerts.find(service, CRITICAL)
            with pytest.raises(KeyboardInterrupt):
                service.deliver_due(_later(1))
            (alert,) = service.list()
            assert alerts.service(webhook).deliver_due(_later(1)) == 1
            assert hook.keys == [f"{alert.id}:raised"] * 2
            assert alerts.service(webhook).deliver_due(_later(1e6)) == 0

    def test_an_end_waits_for_its_beginning_and_other_alerts_do_not(self, alerts: Alerts) -> None:
        receiver = FakeReceiver()
        service = alerts.service(receiver)
        alerts.find(service, WARNING)
        receiver.plug.pulled = True
        service.deliver_due(_later(1))
        alerts.find(service, OK, "c2")
        service.consider(check_of("c3"), report_of({Topic.QUALITY: CRITICAL}, check_id="c3"))
        receiver.plug.pulled = False
        service.deliver_due(_later(2))
        assert [message.fields["kind"] for message in receiver.taken] == ["data quality"]
        for _ in range(2):
            service.deliver_due(_later(PARAMS.retry_s + 1))
        assert [message.fields["event"] for message in receiver.taken[1:]] == ["raised", "closed"]

    def test_the_delay_has_an_end(self, alerts: Alerts) -> None:
        receiver = FakeReceiver()
        receiver.plug.pulled = True
        service = alerts.service(receiver)
        alerts.find(service, WARNING)
        (alert,) = service.list()
        now = _later(0)
        for _ in range(60):
            service.deliver_due(now)
            (delivery,) = service.deliveries(alert.id)
            assert delivery.next_at - now <= timedelta(seconds=PARAMS.retry_most_s)
            now = delivery.next_at
        assert delivery.attempts == 60


class TestReceivers:
    def test_what_the_receiver_answered_is_told_without_its_address(self, logged: StringIO) -> None:
        logging.getLogger("own").debug("is seen")
        with listening() as hook:
            hook.status = 403
            with pytest.raises(UnavailableError, match="403") as refused:
                _webhook(hook.port).send(Message("t", "b", OK))
        assert TOKEN not in str(refused.value)
        assert TOKEN not in logged.getvalue()
        assert "is seen" in logged.getvalue()

    def test_all_receivers_get_it_though_one_is_down(self) -> None:
        with listening() as down:
            port = down.port
        with listening() as hook:
            urls = [f"json://127.0.0.1:{port}", f"json://127.0.0.1:{hook.port}/?method=post"]
            with pytest.raises(UnavailableError):
                Receivers(urls, timeout_s=5).send(Message("t", "b", OK, {"key": "k&=1"}))
            assert hook.keys == ["k&=1"]

    @pytest.mark.parametrize("url", [f"nosuch://{TOKEN}", TOKEN, f"slack://{TOKEN}"])
    def test_an_address_that_is_none_is_refused_and_not_told(
        self, url: str, logged: StringIO
    ) -> None:
        with pytest.raises(SetupError, match="PILOTHOUSE_ALERT_URL") as refused:
            Receivers([url], timeout_s=1).send(Message("t", "b", OK))
        assert TOKEN not in str(refused.value)
        assert TOKEN not in logged.getvalue()

    @pytest.mark.parametrize(
        ("url", "text", "shown"),
        [
            ("json://ann:hunter2@host/T0ken", "host: T0ken of ann, hunter2", "host: … of ann, …"),
            ("slack://T0ken/other", "no T0ken", "no …"),
            ("tgram://1234:abc/chat", "1234:abc is wrong", "… is wrong"),
            ("json://host?token=abcdef", "abcdef", "…"),
        ],
    )
    def test_what_stands_in_an_address_is_taken_out(self, url: str, text: str, shown: str) -> None:
        assert without_secrets(text, url) == shown

    def test_a_trial_says_that_there_is_nobody(self, alerts: Alerts) -> None:
        with pytest.raises(SetupError, match="No receiver"):
            alerts.service(None).send_trial(actor="anna")
        receiver = FakeReceiver()
        alerts.service(receiver).send_trial(actor="anna")
        assert [message.title for message in receiver.taken] == ["[test] Pilothouse"]
