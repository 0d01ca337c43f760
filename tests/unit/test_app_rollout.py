from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from app.access import visitor as visiting
from app.access.sessions import Sessions
from app.rollout.figures import figures, last_answered, percent, percentile_ms
from app.rollout.tables import disagreements_frame, rollouts_frame, sides_frame, worst_first
from core.access.roles import Mode, Role
from core.domain import RequestStatus
from core.domain_serving import Health, HeldBeside, ServingStatus
from core.errors import ConflictError, RefusedError, UnavailableError
from core.rollout.notes import RolloutNotes, VersionNotes
from core.rollout.steps import Estimates, GuardVerdict, Move
from core.rollout.values import Rollout, RolloutStatus
from tests.unit.app_fakes import FakeCore, make_core, make_request, make_run, open_panel, texts
from tests.unit.app_rollout_fakes import (
    make_budget,
    make_decision,
    make_guards,
    make_notes,
    make_rollout,
    make_shadow,
    make_shadow_notes,
)

REASON = "complaints about third class"


@pytest.fixture
def core() -> FakeCore:
    return make_core(*(make_run(number) for number in (4, 3, 2)), production=3)


def button(panel: AppTest, label: str) -> object:
    (found,) = [one for one in panel.button if one.label == label]
    return found


def labels(panel: AppTest) -> set[str]:
    return {one.label for one in panel.button}


def links(panel: AppTest) -> dict[str, str]:
    return {one.proto.label: one.proto.query_string for one in panel.get("page_link")}


def fill(panel: AppTest, key: str, text: str) -> None:
    panel.text_input(key=key).set_value(text)


class TestCanary:
    @pytest.fixture
    def core(self, core: FakeCore) -> FakeCore:
        notes = RolloutNotes(
            steps={
                0: {3: make_notes(450), 4: make_notes(50)},
                1: {3: make_notes(300), 4: make_notes(300, failed=9)},
            }
        )
        canary = make_rollout(step=1)
        core.rollouts.show(canary, notes=notes, decision=make_decision())
        return core

    def test_headline_steps_and_reason_come_first(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        said = texts(panel)
        assert "#### v4 answers 50 % of the requests, v3 the rest" in said
        for mark in ("10 %", "50 % now", "100 %"):
            assert f" {mark}]" in said
        assert "Step 2 of 3" in said
        assert "10 % for 3 more minutes, then 50 %." in [one.value for one in panel.info]
        assert "Time left: 3 min 0 s" in said
        assert "Requests missing: 20" in said
        assert links(panel)["Its evidence"] == "request=req-4"
        assert not panel.exception

    def test_both_versions_stand_side_by_side_with_the_split(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        (sides,) = [one.value for one in panel.table if "Requests" in one.value.index]
        assert list(sides.columns) == ["v3 (before)", "v4 (new)"]
        assert sides.loc["Requests"].to_list() == ["300", "300"]
        assert sides.loc["Failed"].to_list() == ["0 (0 %)", "9 (3 %)"]
        assert sides.loc["Mean probability"].to_list() == ["0.205", "0.205"]
        assert "50 % of 600 requests went to v4; the target is 50 %" in texts(panel)
        assert len(panel.get("vega_lite_chart")) == 1

    def test_guards_that_speak_against_it_come_first(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        guards = make_guards(GuardVerdict.FAILED)
        decision = make_decision(Move.ROLL_BACK, guards=guards, reason="[4 %] failed.")
        core.rollouts.views["rollout-4"] = replace(
            core.rollouts.views["rollout-4"], decision=decision
        )
        panel = open_panel(monkeypatch, core, "serving")
        assert "It goes back to v3: \\[4 %\\] failed." in panel.error[0].value
        (table,) = [one.value for one in panel.table if "Guard" in one.value.columns]
        assert list(table["Guard"]) == ["**error rate**", "**loads**"]
        assert ":red-badge" in table["Verdict"][0]
        assert "Failed" in table["Verdict"][0]
        assert (table["Measured"][0], table["Limit"][0]) == ("4 %", "1 %")
        assert (table["Measured"][1], table["Limit"][1]) == ("–", "–")

    def test_an_unsure_guard_warns(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        decision = make_decision(guards=make_guards(GuardVerdict.UNSURE), reason="Too few to say.")
        core.rollouts.views["rollout-4"] = replace(
            core.rollouts.views["rollout-4"], decision=decision
        )
        panel = open_panel(monkeypatch, core, "serving")
        assert "Too few to say." in [one.value for one in panel.warning]

    def test_it_is_held_continued_and_aborted_with_a_reason(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        assert 'pilothouse rollout hold titanic --reason "…"' in texts(panel)
        button(panel, "Hold v4").click().run()
        assert panel.error[0].value == "The reason lacks 10 characters."
        assert not core.rollouts.done
        fill(panel, "rollout-reason-rollout-4-running", REASON)
        button(panel, "Hold v4").click().run()
        core.rollouts.views["rollout-4"] = replace(
            core.rollouts.views["rollout-4"],
            decision=make_decision(reason="50 % is held: ada holds it."),
        )
        panel.run()
        held = next(one.value for one in panel.warning if "is held" in one.value)
        assert "Its share stays as it is" in held
        assert "Hold v4" not in labels(panel)
        assert 'pilothouse rollout continue titanic --reason "…"' in texts(panel)
        assert panel.text_input(key="rollout-reason-rollout-4-held").value == ""
        fill(panel, "rollout-reason-rollout-4-held", REASON)
        button(panel, "Go on with v4").click().run()
        fill(panel, "rollout-reason-rollout-4-running", REASON)
        button(panel, "Abort, back to v3").click().run()
        assert [(verb, why) for verb, _, _, why in core.rollouts.done] == [
            ("hold", REASON),
            ("resume", REASON),
            ("stop", REASON),
        ]
        assert "the canary v4 was ended by operator" in texts(panel)
        assert "Abort, back to v3" not in labels(panel)

    def test_what_is_refused_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.refusal = ConflictError("No rollout of titanic is active.")
        panel = open_panel(monkeypatch, core, "serving")
        fill(panel, "rollout-reason-rollout-4-running", REASON)
        button(panel, "Abort, back to v3").click().run()
        assert "**No rollout of titanic is active.**" in [one.value for one in panel.warning]
        assert not panel.exception

    def test_in_the_last_step_the_version_before_is_that_of_the_step_before(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        notes = RolloutNotes(
            steps={1: {3: make_notes(300), 4: make_notes(290)}, 2: {4: make_notes(70)}}
        )
        core.rollouts.listed.clear()
        core.rollouts.show(make_rollout(step=2), notes=notes, decision=make_decision())
        panel = open_panel(monkeypatch, core, "serving")
        said = texts(panel)
        assert "#### v4 answers every request; v3 is kept beside it" in said
        (sides,) = [one.value for one in panel.table if "Requests" in one.value.index]
        assert list(sides.columns) == ["v3 (before, at 50 %)", "v4 (new)"]
        assert sides.loc["Requests"].to_list() == ["300", "70"]
        assert "100 % of 70 requests went to v4; the target is 100 %" in said

    def test_estimates_are_told_or_why_there_are_none(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        known = core.rollouts.views["rollout-4"]
        estimates = Estimates(1, "auc", 0.84, 0.86, 290, 300)
        core.rollouts.views["rollout-4"] = replace(known, estimates=estimates)
        said = texts(open_panel(monkeypatch, core, "serving"))
        assert "Estimated AUC, without labels: 0.840 against 0.860 (−0.020)" in said
        unknown = replace(estimates, new=None, note="Too few rows to estimate.")
        core.rollouts.views["rollout-4"] = replace(known, estimates=unknown)
        assert "Too few rows to estimate." in texts(open_panel(monkeypatch, core, "serving"))


class TestSteering:
    @pytest.mark.parametrize(
        ("rollout", "label"),
        [
            (make_rollout(), "Hold v4"),
            (make_rollout(status=RolloutStatus.HELD), "Go on with v4"),
            (make_rollout(), "Abort, back to v3"),
            (make_shadow(), "Stop v2"),
        ],
    )
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN])
    def test_it_takes_an_approver_and_who_may_not_sees_why(
        self,
        monkeypatch: pytest.MonkeyPatch,
        core: FakeCore,
        rollout: Rollout,
        label: str,
        role: Role,
    ) -> None:
        sessions = Sessions(b"k" * 32, longest_s=3600)
        core.accounts.mode = Mode.ACCOUNTS
        core.accounts.give("anna", role)
        brought = {sessions.cookie: sessions.begin("anna", "1")}
        monkeypatch.setattr(visiting, "sessions", lambda: sessions)
        monkeypatch.setattr(type(st.context), "cookies", property(lambda _: brought))
        core.rollouts.show(rollout)
        pressed = button(open_panel(monkeypatch, core, "serving"), label)
        may = role in (Role.APPROVER, Role.ADMIN)
        assert pressed.disabled is not may
        assert ("takes the role approver" in (pressed.help or "")) is not may


class TestNothingToGoBy:
    def test_no_traffic_is_calm(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        core.rollouts.show(make_rollout(), decision=make_decision())
        panel = open_panel(monkeypatch, core, "serving")
        assert "v4 has answered nothing in this step yet." in texts(panel)
        assert not panel.error
        assert not panel.get("vega_lite_chart")

    def test_a_version_on_its_way_is_said_to_be(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.show(make_rollout(), decision=make_decision())
        beside = {"titanic": HeldBeside("rollout-4", 0, 4, loaded=False)}
        core.serving.state = ServingStatus(Health.HEALTHY, 1, (), beside=beside)
        assert "Replicas are loading v4" in texts(open_panel(monkeypatch, core, "serving"))

    def test_a_version_that_cannot_be_loaded_says_why(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.show(make_rollout(), notes=RolloutNotes(failure="SHA-256 differs."))
        panel = open_panel(monkeypatch, core, "serving")
        said = [one.value for one in panel.warning]
        assert "Replicas cannot load v4: SHA-256 differs. Callers get v3." in said

    def test_too_few_rows_are_said_to_be(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        notes = RolloutNotes(steps={0: {3: make_notes(90), 4: make_notes(10)}})
        core.rollouts.show(make_rollout(), notes=notes)
        said = texts(open_panel(monkeypatch, core, "serving"))
        assert "compared from 200 rows of each version on; the smaller side has 10" in said

    def test_a_database_that_is_down_leaves_the_page(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.failure = UnavailableError("The database does not answer.")
        panel = open_panel(monkeypatch, core, "serving")
        assert "**The database does not answer.**" in [one.value for one in panel.warning]
        assert "Try it" in [one.value for one in panel.subheader]
        assert not panel.exception


class TestOver:
    """What was measured of a rollout can be read after its end."""

    def test_a_canary_step_by_step(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        notes = RolloutNotes(
            steps={0: {3: make_notes(450), 4: make_notes(50)}, 1: {4: make_notes(20, failed=5)}}
        )
        over = make_rollout(step=2, status=RolloutStatus.STOPPED, end_reason="It was slow.")
        core.rollouts.show(over, notes=notes)
        panel = open_panel(monkeypatch, core, "serving")
        assert not panel.table
        panel.selectbox(key="rollout-measured").set_value(over.id).run()
        (steps,) = [one.value for one in panel.table]
        assert list(steps["Step"]) == ["10 %", "50 %"]
        assert list(steps["Share"]) == ["10 %", "100 %"]
        assert list(steps["Requests v4"]) == ["50", "20"]
        assert list(steps["Failed v4"]) == ["0 (0 %)", "5 (25 %)"]
        assert list(steps["Requests v3"]) == ["450", "0"]
        assert not panel.exception

    def test_a_shadow_beside_one_that_is_active(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        over = make_shadow(status=RolloutStatus.STOPPED, id="rollout-before")
        notes = RolloutNotes(shadow=make_shadow_notes())
        core.rollouts.show(over, notes=notes)
        core.rollouts.show(make_shadow(), notes=notes)
        panel = open_panel(monkeypatch, core, "serving")
        assert len(panel.get("vega_lite_chart")) == 1
        panel.selectbox(key="rollout-measured").set_value(over.id).run()
        assert len(panel.get("vega_lite_chart")) == 2
        assert texts(panel).count("Rows compared: 400") == 2
        assert not panel.exception

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (make_rollout, "Nothing that was measured of it is kept."),
            (make_shadow, "No record was compared."),
        ],
    )
    def test_notes_that_are_gone_are_said_to_be(
        self,
        monkeypatch: pytest.MonkeyPatch,
        core: FakeCore,
        make: Callable[..., Rollout],
        said: str,
    ) -> None:
        over = make(status=RolloutStatus.STOPPED)
        core.rollouts.show(over)
        panel = open_panel(monkeypatch, core, "serving")
        panel.selectbox(key="rollout-measured").set_value(over.id).run()
        assert said in texts(panel)


class TestShadow:
    def test_agreement_differences_and_the_worst_records(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.show(make_shadow(), notes=RolloutNotes(shadow=make_shadow_notes()))
        panel = open_panel(monkeypatch, core, "serving")
        said = texts(panel)
        assert "#### v2 in the shadow of v3" in said
        assert "It scores 50 % of the requests as well" in said
        for fact in ("Rows compared: 400", "Same label: 95 %", "Failed: 3", "Skipped: 7"):
            assert fact in said
        assert "Production: p50 " in said
        assert "v2 could not score 3 requests, which no caller has noticed." in said
        assert "The session ended." in said
        (worst,) = [one.value for one in panel.dataframe if "Difference" in one.value.columns]
        assert worst["By v3"][0] == 0.91
        assert worst["Difference"][0] == pytest.approx(-0.75)
        assert worst["Request"][0] == "trace?request=" + "7" * 32
        assert (worst["Sex"][0], worst["Age"][0], worst["Fare"][0]) == ("female", "–", "80.5")
        assert len(panel.get("vega_lite_chart")) == 1
        assert "Hold v2" not in labels(panel)
        assert not panel.exception

    def test_nothing_compared_yet_is_calm(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.show(make_shadow())
        panel = open_panel(monkeypatch, core, "serving")
        assert "No request has been compared yet." in [one.value for one in panel.info]
        assert not panel.warning

    def test_it_is_started_with_version_share_and_reason_and_stopped(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        choice = panel.selectbox(key="shadow-version")
        assert choice.options == ["v4", "v2"]
        choice.set_value(2)
        panel.slider(key="shadow-share").set_value(25)
        button(panel, "Start the shadow").click().run()
        assert panel.error[0].value == "The reason lacks 10 characters."
        fill(panel, "shadow-reason", REASON)
        button(panel, "Start the shadow").click().run()
        assert core.rollouts.started == [("titanic", 2, 0.25, "operator", REASON, "")]
        assert "#### v2 in the shadow of v3" in texts(panel)
        assert "Start the shadow" not in labels(panel)
        fill(panel, "rollout-reason-rollout-2-running", REASON)
        button(panel, "Stop v2").click().run()
        assert core.rollouts.done == [("stop", "titanic", "operator", REASON)]
        assert "the shadow v2 was ended by operator" in texts(panel)
        assert "Start the shadow" in labels(panel)

    def test_the_command_says_the_same(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        said = texts(open_panel(monkeypatch, core, "serving"))
        assert 'pilothouse rollout shadow titanic 4 --share 1 --reason "…"' in said

    def test_a_spent_budget_asks_why(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        core.slo.budget = make_budget(is_spent=True, said="The error budget is spent.")
        panel = open_panel(monkeypatch, core, "serving")
        assert "New rollouts are held until it has recovered." in texts(panel)
        fill(panel, "shadow-reason", REASON)
        fill(panel, "shadow-despite", "it mends what has spent it")
        button(panel, "Start the shadow").click().run()
        assert core.rollouts.started[0][-1] == "it mends what has spent it"

    def test_one_version_alone_has_none_to_try(self, monkeypatch: pytest.MonkeyPatch) -> None:
        panel = open_panel(monkeypatch, make_core(make_run(3), production=3), "serving")
        assert "v3 is the only registered version" in texts(panel)
        assert "Start the shadow" not in labels(panel)

    def test_what_is_refused_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.refusal = RefusedError("The budget is spent. New rollouts are held.")
        panel = open_panel(monkeypatch, core, "serving")
        fill(panel, "shadow-reason", REASON)
        button(panel, "Start the shadow").click().run()
        assert any("New rollouts are held." in one.value for one in (*panel.error, *panel.warning))


class TestAfterwards:
    def over(self, status: RolloutStatus, **changed: object) -> Rollout:
        own = {"ended_at": datetime.now(UTC), "ended_by": "pilothouse", "step": 1}
        return make_rollout(status=status, end_reason="4 % of [v4] failed.", **{**own, **changed})

    def test_a_rollback_is_said_with_its_reason(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.listed = [self.over(RolloutStatus.ROLLED_BACK)]
        panel = open_panel(monkeypatch, core, "serving")
        said = panel.warning[0].value
        assert said.startswith("v4 was rolled back at 50 %")
        assert "4 % of \\[v4\\] failed. v3 answers every request." in said

    def test_one_that_came_through_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.rollouts.listed = [self.over(RolloutStatus.DONE)]
        assert "Last rollout: v4 came through all steps" in texts(
            open_panel(monkeypatch, core, "serving")
        )

    def test_the_history_lists_them(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        core.rollouts.listed = [
            make_rollout(5),
            self.over(RolloutStatus.ROLLED_BACK),
            make_shadow(2, status=RolloutStatus.STOPPED, ended_at=datetime.now(UTC)),
        ]
        panel = open_panel(monkeypatch, core, "serving")
        (listed,) = [one.value for one in panel.dataframe if "Rollout" in one.value.columns]
        assert list(listed["Status"]) == ["✕ rolled back", "■ stopped"]
        assert list(listed["Share"]) == ["50 %, step 2 of 3", "50 %"]

    def test_the_page_follows_when_another_begins(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        assert "Start the shadow" in labels(panel)
        core.rollouts.show(make_rollout())
        panel.run()
        assert "Start the shadow" not in labels(panel)
        assert "Hold v4" in labels(panel)


class TestBudget:
    def test_promises_are_shown_with_what_is_left(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.slo.budget = make_budget()
        panel = open_panel(monkeypatch, core, "serving")
        said = texts(panel)
        assert "Answered: 99 % promised: 99.75 %" in said
        assert "Within 100 ms: 95 % promised: 99 %" in said
        bars = [one.proto.text for one in panel.get("progress")]
        assert bars == [
            "75 % of the error budget is left; 25 of 10,000 requests failed.",
            "80 % of the error budget is left; 100 of 10,000 requests took longer.",
        ]
        assert "the last 7 days have kept" in said
        assert "Of the error budget, 25 % is spent." in said
        assert not panel.error

    def test_a_spent_one_is_critical(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        core.slo.budget = make_budget(
            spent_errors=3.1, is_spent=True, said="The error budget of titanic is spent."
        )
        panel = open_panel(monkeypatch, core, "serving")
        assert panel.error[0].value == "The error budget of titanic is spent."
        assert panel.get("progress")[0].proto.text.startswith("0 % of the error budget is left")
        assert "Error budget spent" in texts(open_panel(monkeypatch, core))

    def test_a_problem_without_one_has_no_block(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "serving")
        assert "Service level" not in [one.value for one in panel.subheader]


class TestApproving:
    @pytest.fixture
    def core(self, core: FakeCore) -> FakeCore:
        core.promotions.listed = [make_request(4, incumbent_version=3)]
        return core

    def approve(self, panel: AppTest) -> None:
        panel.text_area[0].set_value(REASON)
        panel.checkbox[0].check()
        button(panel, "Approve v4").click().run()

    def test_all_at_once_unless_somebody_chooses_steps(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        (way,) = panel.radio
        assert way.options == ["All at once", "In steps (10 %, 50 %, 100 %)"]
        assert way.value == "All at once"
        self.approve(panel)
        assert core.promotions.ways == [(False, "")]

    def test_in_steps_it_rolls_out_and_says_where_it_stands(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        panel.radio[0].set_value("In steps (10 %, 50 %, 100 %)")
        core.rollouts.show(make_rollout())
        self.approve(panel)
        assert core.promotions.ways == [(True, "")]
        said = texts(panel)
        assert "Rolling out" in said
        assert "v4 answers 10 % of the requests, step 1 of 3." in said
        assert links(panel)["Watch it on Serving"] == "problem=titanic"
        assert core.promotions.record[0].version == 3

    def test_without_production_there_is_no_choice(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed = [make_request(4, incumbent_version=None)]
        assert not open_panel(monkeypatch, core, "approvals").radio

    def test_a_spent_budget_says_why_and_takes_a_reason(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.slo.budget = make_budget(is_spent=True, said="The error budget is spent.")
        panel = open_panel(monkeypatch, core, "approvals")
        assert "The error budget is spent. New rollouts are held" in texts(panel)
        fill(panel, "despite-req-4", "it mends what has spent it")
        panel.radio[0].set_value("In steps (10 %, 50 %, 100 %)")
        self.approve(panel)
        assert core.promotions.ways == [(True, "it mends what has spent it")]

    def test_what_rolls_out_is_marked_among_those_that_wait_and_first_of_the_decided(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed = [
            make_request(5, status=RequestStatus.REJECTED),
            make_request(4, status=RequestStatus.ROLLING_OUT),
        ]
        panel = open_panel(monkeypatch, core, "approvals")
        assert links(panel)["Titanic survival: v4"] == "problem=titanic"
        decided = open_panel(monkeypatch, core, "approvals", view="Decided").dataframe[0].value
        assert list(decided["Status"]) == ["▶ rolling out", "✕ rejected"]

    def test_one_that_was_taken_back_says_why(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed = [
            make_request(
                4, status=RequestStatus.ROLLED_BACK, decided_by="ada", reason="better on slices"
            )
        ]
        core.rollouts.listed = [
            make_rollout(status=RolloutStatus.ROLLED_BACK, end_reason="v4 cannot be loaded.")
        ]
        panel = open_panel(monkeypatch, core, "approvals", view="Decided", request="req-4")
        said = texts(panel)
        assert "Taken back at 10 % by a guard: v4 cannot be loaded." in said
        assert "Approved by ada" in said
        assert "Rolled back" in said


@pytest.mark.parametrize(
    ("rollout", "badge"),
    [
        (make_rollout(), "Canary v4 at 10 %"),
        (make_rollout(status=RolloutStatus.HELD), "Canary v4 at 10 % held"),
        (make_shadow(), "Shadow v2"),
    ],
)
def test_overview_marks_what_is_active(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, rollout: Rollout, badge: str
) -> None:
    core.rollouts.listed = [rollout]
    said = texts(open_panel(monkeypatch, core))
    assert f"{badge}]" in said
    assert "Error budget spent" not in said


def test_figures_tell_the_share_that_failed_and_the_percentiles() -> None:
    told = figures(make_notes(100, failed=10))
    assert told.failed_share == pytest.approx(0.1)
    assert told.mean_probability == pytest.approx(0.205)
    assert 2.0 < (told.p50_ms or 0) < (told.p95_ms or 0) <= 3.0
    nothing = figures(VersionNotes())
    assert (nothing.failed_share, nothing.p50_ms, nothing.mean_probability) == (None, None, None)


def test_a_percentile_takes_enough_of_them() -> None:
    assert percentile_ms(make_notes(19).durations, 0.5) is None
    assert percentile_ms(make_notes(20).durations, 0.5) is not None


def test_a_version_that_answers_no_more_is_told_by_its_last_step() -> None:
    notes = RolloutNotes(steps={0: {3: make_notes(9)}, 1: {3: make_notes(5)}})
    assert last_answered(notes, 3, 2) == (1, make_notes(5))
    assert last_answered(notes, 9, 2) == (2, VersionNotes())


def test_shares_are_told_in_percent() -> None:
    assert [percent(one) for one in (0.1, 1.0, 0.0987, 0.005)] == [
        "10 %",
        "100 %",
        "9.87 %",
        "0.5 %",
    ]


def test_guards_are_read_from_the_worst_to_the_best() -> None:
    every = [make_guards(verdict)[1] for verdict in GuardVerdict]
    assert [one.verdict for one in worst_first(every)] == [
        GuardVerdict.FAILED,
        GuardVerdict.UNSURE,
        GuardVerdict.CANNOT_TELL,
        GuardVerdict.OK,
    ]


def test_tables_of_nothing_are_empty() -> None:
    assert disagreements_frame((), "By v1", "By v2").empty
    assert rollouts_frame(()).empty
    assert sides_frame({}).empty
