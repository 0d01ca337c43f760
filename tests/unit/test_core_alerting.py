"""The life of an alert: raised, kept, made worse, closed; never twice, never in the cooldown."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain_watching import Alert, AlertKind, AlertStatus, Level
from core.monitoring.alerting import (
    SEVERE,
    AlertChange,
    AlertEvent,
    Condition,
    Finding,
    changes,
    conditions_of,
)
from core.monitoring.messages import message_of
from core.monitoring.report import Topic
from tests.unit.alert_values import (
    CANNOT_TELL,
    CRITICAL,
    DRIFT,
    NOW,
    OK,
    QUALITY,
    WARNING,
    condition,
    reason,
    report_of,
)

COOLDOWN = timedelta(hours=6)
OPEN = Alert(
    id="a1",
    problem="plums",
    kind=DRIFT,
    severity=WARNING,
    summary="It drifts.",
    check_id="c0",
    status=AlertStatus.OPEN,
    raised_at=NOW - timedelta(days=1),
)
SEEN = replace(OPEN, status=AlertStatus.ACKNOWLEDGED, acknowledged_by="ann", note="I look.")
RAISED, WORSE, CLOSED = AlertEvent.RAISED, AlertEvent.WORSE, AlertEvent.CLOSED


def _closed(hours_ago: float, severity: Level = WARNING) -> Alert:
    at = NOW - timedelta(hours=hours_ago)
    return replace(OPEN, status=AlertStatus.CLOSED, closed_at=at, severity=severity)


def _changes(level: Level, *alerts: Alert) -> tuple[AlertChange, ...]:
    return changes(Finding("plums", "c1", (condition(DRIFT, level),), NOW), alerts, COOLDOWN)


@pytest.mark.parametrize(
    ("level", "alerts", "event"),
    [
        (OK, [], None),
        (WARNING, [], RAISED),
        (CRITICAL, [], RAISED),
        (CANNOT_TELL, [], None),
        (WARNING, [OPEN], None),
        (CRITICAL, [OPEN], WORSE),
        (OK, [OPEN], CLOSED),
        (CANNOT_TELL, [OPEN], None),
        (WARNING, [SEEN], None),
        (CRITICAL, [SEEN], WORSE),
        (OK, [SEEN], CLOSED),
        # Less severe than it was: the condition still holds.
        (WARNING, [replace(OPEN, severity=CRITICAL)], None),
        (WARNING, [_closed(1)], None),
        (WARNING, [_closed(7)], RAISED),
        (WARNING, [_closed(6)], RAISED),
        (CRITICAL, [_closed(1)], RAISED),
        (CRITICAL, [_closed(1, CRITICAL)], None),
        (WARNING, [_closed(1, CRITICAL)], None),
        # Of another kind or problem: no matter.
        (WARNING, [replace(OPEN, kind=QUALITY)], RAISED),
        (WARNING, [replace(OPEN, problem="pears")], RAISED),
        (OK, [replace(OPEN, kind=QUALITY)], None),
    ],
)
def test_what_happens(level: Level, alerts: list[Alert], event: AlertEvent | None) -> None:
    assert [change.event for change in _changes(level, *alerts)] == ([event] if event else [])


def test_a_raised_alert_says_what_the_check_found() -> None:
    ((alert,)) = [change.alert for change in _changes(CRITICAL)]
    assert (alert.problem, alert.kind, alert.severity) == ("plums", DRIFT, CRITICAL)
    assert (alert.summary, alert.details) == ("drift is critical.", ("weight: critical",))
    assert (alert.check_id, alert.status, alert.raised_at) == ("c1", AlertStatus.OPEN, NOW)


def test_a_worse_alert_keeps_its_id_and_asks_for_attention_again() -> None:
    ((alert,)) = [change.alert for change in _changes(CRITICAL, SEEN)]
    assert (alert.id, alert.severity, alert.check_id) == ("a1", CRITICAL, "c1")
    assert (alert.status, alert.note) == (AlertStatus.OPEN, "I look.")
    assert alert.raised_at == OPEN.raised_at


def test_each_kind_has_a_life_of_its_own() -> None:
    found = (condition(DRIFT, OK), condition(QUALITY, CRITICAL))
    done = changes(Finding("plums", "c1", found, NOW), [OPEN], COOLDOWN)
    assert [(change.alert.kind, change.event) for change in done] == [
        (DRIFT, CLOSED),
        (QUALITY, RAISED),
    ]


Step = tuple[int, list[Condition]]
KINDS = list(AlertKind)
STEPS = st.lists(
    st.tuples(
        st.integers(1, 5 * 60),
        st.fixed_dictionaries(
            {}, optional={kind: st.sampled_from([*SEVERE, CANNOT_TELL]) for kind in KINDS}
        ).map(lambda levels: [condition(kind, level) for kind, level in levels.items()]),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_course_of_conditions_breaks_the_rules(steps: list[Step]) -> None:
    alerts: dict[str, Alert] = {}
    now = NOW
    for minutes, found in steps:
        now += timedelta(minutes=minutes)
        for change in changes(
            Finding("plums", "c", tuple(found), now), list(alerts.values()), COOLDOWN
        ):
            if change.event is RAISED:
                _may_be_raised(change.alert, list(alerts.values()), now)
            alerts[change.alert.id] = change.alert
        _agree(found, list(alerts.values()))
    for kind in KINDS:
        assert sum(a.status.is_open for a in alerts.values() if a.kind is kind) <= 1


def _may_be_raised(raised: Alert, alerts: list[Alert], now: datetime) -> None:
    own = [alert for alert in alerts if alert.kind is raised.kind]
    assert not [alert for alert in own if alert.status.is_open]
    late = [a for a in own if a.closed_at is not None and a.closed_at > now - COOLDOWN]
    assert all(SEVERE.index(a.severity) < SEVERE.index(raised.severity) for a in late)


def _agree(found: list[Condition], alerts: list[Alert]) -> None:
    """After a check, what has ended is closed and what is open is as severe as was found."""
    for each in found:
        still_open = [a for a in alerts if a.kind is each.kind and a.status.is_open]
        if each.level is OK:
            assert still_open == []
        for alert in still_open:
            if each.level in SEVERE:
                assert SEVERE.index(alert.severity) >= SEVERE.index(each.level)


class TestConditions:
    def test_the_worst_reason_decides_and_the_others_are_counted(self) -> None:
        report = report_of({})
        reasons = (
            reason(Topic.DRIFT, WARNING, "stones: PSI 0.21."),
            reason(Topic.DRIFT, CRITICAL, "weight: PSI 0.31."),
            reason(Topic.DRIFT, OK, "colour: PSI 0.01."),
        )
        verdict = report.verdict.model_copy(update={"reasons": reasons})
        found = conditions_of(report.model_copy(update={"verdict": verdict}))[0]
        assert found == Condition(
            DRIFT,
            CRITICAL,
            "weight: PSI 0.31 and 1 more.",
            ("weight: PSI 0.31.", "stones: PSI 0.21."),
        )

    def test_every_kind_has_a_condition(self) -> None:
        found = conditions_of(report_of({Topic.QUALITY: OK, Topic.TRAFFIC: OK}))
        assert {each.kind: each.level for each in found} == {
            AlertKind.DRIFT: CANNOT_TELL,
            AlertKind.QUALITY: OK,
            AlertKind.ESTIMATED_LOSS: CANNOT_TELL,
            AlertKind.REALIZED_LOSS: CANNOT_TELL,
        }

    def test_with_too_few_rows_nothing_is_told(self) -> None:
        report = report_of({Topic.QUALITY: CRITICAL, Topic.DRIFT: OK}, level=CANNOT_TELL)
        assert {each.level for each in conditions_of(report)} == {CANNOT_TELL}


class TestMessage:
    ALERT = replace(OPEN, severity=CRITICAL, details=("a: 1", "b: 2", "c: 3", "d: 4"))

    def test_it_says_severity_problem_features_and_where_to_look(self) -> None:
        message = message_of(self.ALERT, RAISED, "a1:raised", "http://panel:1")
        link = "http://panel:1/drift?problem=plums&check=c0"
        assert message.title == "[critical] drift of plums"
        assert message.body.splitlines() == [
            "It drifts.",
            "- a: 1",
            "- b: 2",
            "- c: 3",
            f"Report: {link}",
            "Key: a1:raised",
        ]
        assert message.fields["key"] == "a1:raised"
        assert message.fields["link"] == link

    def test_an_end_is_good_news(self) -> None:
        message = message_of(self.ALERT, CLOSED, "a1:closed", "http://panel:1")
        assert (message.title, message.level) == ("[closed] drift of plums", OK)
        assert message.body.startswith("It was: It drifts.\nReport: ")
