"""Overview: what serves, what waits, what runs, and whether every service is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from app.components import installation, navigation, rights, words
from app.components.alert_view import show_alerts
from app.components.check_view import what_was_checked
from app.components.failures import Failure, attempt, guarded, show_failure
from app.components.live import show_progress
from app.components.rollout_mark import rollout_mark
from app.components.status import health_badge, level_badge, run_badge
from app.promotion.tables import against, gates_summary
from core.domain import Promotion, PromotionRequest, Run, RunStatus
from core.domain_serving import Health, ServiceStatus
from core.domain_watching import Alert, Check

if TYPE_CHECKING:
    from core.bootstrap import Pilothouse
    from core.problems.contract import Problem

REFRESH_S = 5.0
_SERVICES_PER_ROW = 3
_UNKNOWN = "unknown"

Productions = Mapping[str, Promotion | Failure | None]


def render() -> None:
    """Draws the page."""
    st.title("Overview")
    with st.spinner("Asking every service…"):
        _live()


@st.fragment(run_every=REFRESH_S)
def _live() -> None:
    with guarded():
        core = installation.pilothouse()
        rights.read(core)
        productions: Productions = {
            name: attempt(partial(core.promotions.production, name)) for name in core.problems
        }
        requests = attempt(lambda: core.promotions.requests(open_only=True))
        active = attempt(lambda: tuple(run for run in core.runs.list() if run.status.is_active))
        alerts = attempt(lambda: core.alerts.list(open_only=True))
        services = attempt(core.health.check)
        _show_glance(productions, alerts, requests, active, services)
        if isinstance(alerts, Failure) or alerts:
            _show_alerts(core, alerts)
        _show_production(core, productions)
        if isinstance(requests, Failure) or requests:
            _show_requests(requests)
        _show_active(active)
        _show_services(services)


def _show_glance(
    productions: Productions,
    alerts: Sequence[Alert] | Failure,
    requests: Sequence[PromotionRequest] | Failure,
    active: Sequence[Run] | Failure,
    services: Sequence[ServiceStatus] | Failure,
) -> None:
    unknown = any(isinstance(one, Failure) for one in productions.values())
    decided = [one for one in productions.values() if isinstance(one, Promotion)]
    figures = {
        "In Production": _UNKNOWN if unknown else f"{len(decided)} of {len(productions)}",
        "Open alerts": _amount(alerts),
        "Waiting for approval": _amount(requests),
        "Active runs": _amount(active),
    }
    columns = st.columns(len(figures) + 1)
    for column, (name, value) in zip(columns, figures.items(), strict=False):
        column.metric(name, value, border=True, height="stretch")
    with columns[-1]:
        _show_healthy(services)


def _show_healthy(services: Sequence[ServiceStatus] | Failure) -> None:
    if isinstance(services, Failure):
        st.metric("Healthy services", _UNKNOWN, border=True, height="stretch")
        return
    down = [words.service_name(one.name) for one in services if one.health is Health.DOWN]
    st.metric(
        "Healthy services",
        f"{sum(one.health is Health.HEALTHY for one in services)} of {len(services)}",
        delta=f"Down: {down[0]}" if len(down) == 1 else f"{len(down)} down" if down else None,
        delta_color="red",
        delta_arrow="off",
        border=True,
        height="stretch",
    )


def _amount(items: Sequence[object] | Failure) -> str:
    return _UNKNOWN if isinstance(items, Failure) else str(len(items))


def _show_alerts(core: Pilothouse, alerts: Sequence[Alert] | Failure) -> None:
    st.subheader("Alerts")
    if isinstance(alerts, Failure):
        show_failure(alerts)
    else:
        show_alerts(core, alerts)


def _show_production(core: Pilothouse, productions: Productions) -> None:
    st.subheader("In Production")
    for name, production in productions.items():
        problem = core.problems[name]
        with st.container(border=True), guarded():
            if isinstance(production, Failure):
                st.markdown(f"**{problem.title}**")
                show_failure(production)
            elif production is None:
                _show_nothing_serves(problem)
            else:
                _show_serving_version(core, problem, production)
                _show_last_check(core, problem)


def _show_nothing_serves(problem: Problem) -> None:
    st.markdown(f"**{problem.title}**")
    st.info(
        "No version is in Production yet. The first run that finishes is promoted by itself; "
        "later ones wait for a person.",
        icon=":material/rocket_launch:",
    )
    navigation.link_to_training("Start the first run", problem=problem.name)


def _show_serving_version(core: Pilothouse, problem: Problem, production: Promotion) -> None:
    now = datetime.now(UTC)
    report = installation.report(production.run_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{problem.title}**", width="content")
        st.badge(f"Production v{production.version}", color="green", icon=":material/verified:")
        rollout_mark(core, problem.name)
    if isinstance(report, Failure):
        show_failure(report)
    else:
        family, auc = st.columns(2)
        estimate = report.metrics["auc"]
        family.metric("Model family", words.family_name(report.family))
        auc.metric(
            f"AUC on the holdout, {report.confidence:.0%} interval",
            words.number(estimate.value),
            delta=f"{words.number(estimate.low)} to {words.number(estimate.high)}",
            delta_color="off",
            delta_arrow="off",
        )
    st.caption(
        f"Since {words.when(production.since, now)} · decided by "
        f"{words.plain(production.decided_by)} ({production.rule}): "
        f"{words.plain(production.reason)}"
    )
    with st.container(horizontal=True):
        navigation.link_to_experiments(
            "Evaluation", problem=problem.name, run_ids=[production.run_id]
        )
        navigation.link_to_serving("Try a prediction", problem=problem.name)
        navigation.link_to_history("What served when", problem=problem.name)


def _show_last_check(core: Pilothouse, problem: Problem) -> None:
    found = attempt(lambda: core.monitoring.list(problem.name))
    if isinstance(found, Failure):
        show_failure(found)
        return
    check = next((one for one in found if one.status is RunStatus.FINISHED), None)
    if check is None or check.level is None:
        st.caption("Nothing that arrived was checked yet. Upload a batch on Data.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        level_badge(check.level)
        st.markdown(words.plain(_check_sentence(check)), width="stretch")
    navigation.link_to_drift("The check", problem=problem.name, check_id=check.id)


def _check_sentence(check: Check) -> str:
    when = words.ago(check.started_at, datetime.now(UTC))
    return f"Last check, {when}, v{check.version} on {what_was_checked(check)}: {check.summary}"


def _show_requests(requests: Sequence[PromotionRequest] | Failure) -> None:
    st.subheader("Waiting for approval")
    if isinstance(requests, Failure):
        show_failure(requests)
        return
    for request in requests:
        with st.container(border=True), guarded():
            _show_request(request)


def _show_request(request: PromotionRequest) -> None:
    st.markdown(
        f"**{request.problem} v{request.version}** waits for a person, judged against "
        f"{against(request)}. Gates: {gates_summary(request.gates)}."
    )
    st.caption(
        f"Asked {words.when(request.requested_at, datetime.now(UTC))} by "
        f"{words.plain(request.requested_by)}"
    )
    navigation.link_to_approvals("Evidence and decision", request_id=request.id)


def _show_active(active: Sequence[Run] | Failure) -> None:
    st.subheader("Active runs")
    if isinstance(active, Failure):
        show_failure(active)
    elif not active:
        st.caption("None. Start one on Train, or with `pilothouse run PROBLEM`.")
    else:
        for run in active:
            with st.container(border=True), guarded():
                with st.container(horizontal=True, vertical_alignment="center"):
                    label = f"{run.problem} · run {words.short_id(run.id)}"
                    navigation.link_to_training(label, problem=run.problem, run_id=run.id)
                    run_badge(run.status)
                show_progress(run)


def _show_services(services: Sequence[ServiceStatus] | Failure) -> None:
    st.subheader("Services")
    if isinstance(services, Failure):
        show_failure(services)
        return
    if not services:
        st.info("No service is running. `make up` starts all of them.")
        return
    for start in range(0, len(services), _SERVICES_PER_ROW):
        row = services[start : start + _SERVICES_PER_ROW]
        for column, service in zip(st.columns(_SERVICES_PER_ROW), row, strict=False):
            with column, st.container(border=True, height="stretch"):
                _show_service(service)


def _show_service(service: ServiceStatus) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words.service_name(service.name)}**", width="content")
        health_badge(service.health)
    if service.address:
        st.caption(service.address)
    if service.health is Health.DOWN:
        st.markdown(
            words.plain(service.detail)
            or "It does not answer. `make up` starts it again; nothing is lost."
        )
    elif service.detail:
        st.caption(words.plain(service.detail))


if __name__ == "__main__":
    render()
