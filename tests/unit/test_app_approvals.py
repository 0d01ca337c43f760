from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from app.promotion.tables import earlier_versions, gates_summary, periods, requests_frame
from core.domain import Approval, PromotionRequest, RequestStatus, Verdict
from core.errors import ConflictError, UnavailableError
from core.promotion.shown import AliasDrift
from tests.unit.app_fakes import FakeCore, make_core, make_run, open_panel, texts
from tests.unit.app_promotion_fakes import make_promotion, make_request
from tests.unit.app_rollout_fakes import make_rollout
from tests.unit.promotion_values import make_difference, make_evidence, make_gates

REASON = "better where it counts"
HISTORY = "Production over time"


@pytest.fixture
def core() -> FakeCore:
    made = make_core(*(make_run(number) for number in (4, 3, 2, 1)), production=3)
    made.promotions.listed = [make_request(4, incumbent_version=3)]
    return made


def button(panel: AppTest, label: str) -> object:
    (found,) = [one for one in panel.button if one.label == label]
    return found


def decide(panel: AppTest, label: str, reason: str = REASON, *, passes_over: bool = True) -> None:
    panel.text_area[0].set_value(reason)
    if passes_over:
        panel.checkbox[0].check()
    button(panel, label).click().run()


def change_later(
    monkeypatch: pytest.MonkeyPatch, core: FakeCore, change: Callable[[], object]
) -> None:
    """Changes something once after the page has been drawn and before it looks again."""
    to_come, requests = [change], core.promotions.requests

    def asked(problem: str | None = None, **how: object) -> tuple[PromotionRequest, ...]:
        # Only what looks again asks for some of them.
        if how.get("limit") and to_come:
            to_come.pop()()
        return requests(problem, **how)

    monkeypatch.setattr(core.promotions, "requests", asked)


def links(panel: AppTest) -> dict[str, str]:
    return {one.proto.label: one.proto.query_string for one in panel.get("page_link")}


class TestOneRequest:
    def test_the_verdict_comes_first_in_words(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        said = [one.value for one in panel.markdown]
        verdict = next(at for at, text in enumerate(said) if "surely better" in text)
        gate = next(at for at, text in enumerate(said) if "parity with Spark" in text)
        assert "v4's AUC is +0.012 against v3's" in said[verdict]
        assert verdict < gate
        assert "2 slices of 4 lose more than is allowed: Sex female, Pclass 3" in texts(panel)
        assert "Training cost 124 core-seconds (v3: 98)." in texts(panel)
        assert not panel.exception

    def test_rows_that_are_too_few_are_said_to_be(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        unsure = make_evidence(difference=make_difference(low=-0.01), gates=make_gates())
        core.evidence.frozen["req-4"] = unsure
        assert "cannot tell, the interval holds zero" in texts(
            open_panel(monkeypatch, core, "approvals")
        )

    def test_everything_that_was_frozen_is_shown(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        tables = "\n".join(one.value.to_string() for one in panel.table)
        for fact in ("0.884 \\[0.844, 0.914\\]", "124 core-seconds", "0.31 ms", f"{4:064x}", "PSI"):
            assert fact in tables
        assert "Fare has drifted: PSI 0.31." in texts(panel)
        assert links(panel)["The check"].endswith("check=" + "c" * 32)

    def test_it_is_said_whether_four_eyes_are_in_force(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        said = texts(open_panel(monkeypatch, core, "approvals"))
        assert "Four eyes are not in force: one local operator" in said
        core.promotions.told_apart = True
        panel = open_panel(monkeypatch, core, "approvals")
        assert "Four eyes are in force" in texts(panel)
        assert "operator started the run of this version" in texts(panel)
        assert button(panel, "Approve v4").disabled
        assert not button(panel, "Reject v4").disabled

    def test_a_hard_gate_that_fails_cannot_be_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        parity, *rest = make_gates()
        gates = (replace(parity, verdict=Verdict.FAIL), *rest)
        core.evidence.frozen["req-4"] = make_evidence(gates=gates)
        panel = open_panel(monkeypatch, core, "approvals")
        assert "hard gates cannot be passed over (parity with Spark)" in texts(panel)
        assert button(panel, "Approve v4").disabled

    def test_evidence_that_was_changed_leaves_rejection_alone(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.evidence.failure = ConflictError("The evidence of this request was changed.")
        panel = open_panel(monkeypatch, core, "approvals")
        said = texts(panel)
        assert "The evidence of this request was changed." in said
        assert "Sex female loses 0.080 of recall" in said
        assert button(panel, "Approve v4").disabled
        panel.text_area[0].set_value(REASON)
        button(panel, "Reject v4").click().run()
        assert core.promotions.listed[0].status is RequestStatus.REJECTED

    def test_text_of_others_is_no_markup(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed = [make_request(4, requested_by="[x](http://evil)")]
        assert "\\[x\\](http://evil)" in texts(open_panel(monkeypatch, core, "approvals"))


class TestDeciding:
    def test_approval_takes_a_reason_and_says_what_is_passed_over(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        assert panel.text_area[0].label == "Reason, at least 10 characters"
        assert panel.checkbox[0].label == "If I approve, I pass over: slices."
        decide(panel, "Approve v4")
        assert core.promotions.record[0].version == 4
        assert core.promotions.record[0].reason == REASON
        assert "Approved by operator" in panel.success[0].value
        said = texts(panel)
        assert "Passed over: slices: fail. Four eyes were not in force: one local operator." in said
        bar = panel.get("progress")[0].proto.text
        assert "v4 is Production; replicas load it" in bar

    def test_what_lacks_is_said_and_nothing_is_decided(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        decide(panel, "Approve v4", "too short")
        assert panel.error[0].value == "The reason lacks 1 character."
        decide(panel, "Approve v4", "   padded   ")
        assert panel.error[0].value == "The reason lacks 4 characters."
        panel.checkbox[0].uncheck()
        decide(panel, "Approve v4", passes_over=False)
        assert panel.error[0].value == "Tick what you pass over, then approve."
        assert core.promotions.listed[0].status is RequestStatus.OPEN

    def test_rejection_needs_nothing_ticked(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        decide(panel, "Reject v4", passes_over=False)
        assert "Rejected by operator" in panel.info[-1].value
        assert core.promotions.record[0].version == 3

    def test_one_of_several_approvals_is_kept_and_counted(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.approvals_required = 3
        core.promotions.given = [Approval("req-4", "bob", datetime.now(UTC), "looked at slices")]
        panel = open_panel(monkeypatch, core, "approvals")
        assert "1 of 3 approvals given." in texts(panel)
        decide(panel, "Approve v4")
        assert panel.success[0].value == "Your approval is kept; 1 more approval needed."
        assert "2 of 3 approvals given." in texts(panel)

    def test_somebody_else_was_faster(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        core.promotions.reject("req-4", reason="not on these slices", actor="bob")
        decide(panel, "Approve v4")
        assert panel.warning[0].value.startswith("Your decision was not taken")
        assert "Rejected by bob" in texts(panel)
        assert core.promotions.record[0].version == 3
        assert not [one for one in panel.button if one.label == "Approve v4"]

    def test_a_second_click_is_not_told_that_the_first_came_to_nothing(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        core.promotions.approve("req-4", reason=REASON, actor="operator")
        decide(panel, "Approve v4")
        assert "Approved by operator" in panel.success[0].value
        assert not panel.warning

    def test_a_request_that_turns_out_to_be_stale_says_why(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        core.promotions.refusal = ConflictError("Request req-4 is stale now: v5 went live.")
        decide(panel, "Approve v4")
        assert "Request req-4 is stale now: v5 went live." in panel.warning[0].value

    def test_a_service_that_is_down_leaves_the_form_as_it_is(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        core.promotions.refusal = UnavailableError("MLflow does not answer.", fix="Run make up.")
        decide(panel, "Approve v4")
        assert "MLflow does not answer." in panel.warning[-1].value
        assert panel.text_area[0].value == REASON


class TestInbox:
    def test_nothing_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        panel = open_panel(monkeypatch, make_core(), "approvals")
        assert "Nothing waits for a decision." in panel.info[0].value
        assert "waits for approval" not in "".join(links(panel))

    def test_several_are_listed_and_the_named_one_is_open(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed.append(make_request(2))
        panel = open_panel(monkeypatch, core, "approvals")
        assert list(panel.dataframe[0].value["Version"]) == ["v4", "v2"]
        assert not panel.text_area
        assert "2 candidates wait for approval" in links(panel)
        panel = open_panel(monkeypatch, core, "approvals", request="req-2")
        assert "### Titanic survival: v2" in texts(panel)

    def test_a_request_that_comes_later_leaves_a_reason_half_typed(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        decide(panel, "Approve v4", "better,")
        del panel.query_params["request"]
        change_later(monkeypatch, core, lambda: core.promotions.listed.insert(0, make_request(5)))
        panel.run()
        assert list(panel.dataframe[0].value["Version"]) == ["v5", "v4"]
        assert "2 candidates wait for approval" in links(panel)
        assert panel.text_area[0].value == "better,"
        assert panel.query_params["request"] == "req-4"

    def test_what_somebody_else_decides_comes_into_view(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals")
        reject = partial(core.promotions.reject, "req-4", reason="not on these", actor="bob")
        change_later(monkeypatch, core, reject)
        assert "Rejected by bob" in texts(panel.run())

    def test_the_steps_of_a_canary_come_into_view(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed = [make_request(4, status=RequestStatus.ROLLING_OUT)]
        core.rollouts.listed = [make_rollout(4)]
        panel = open_panel(monkeypatch, core, "approvals", request="req-4")
        assert "v4 answers 10 % of the requests, step 1 of 3." in texts(panel)

        def go_on() -> None:
            core.rollouts.listed = [make_rollout(4, step=1)]

        change_later(monkeypatch, core, go_on)
        assert "v4 answers 50 % of the requests, step 2 of 3." in texts(panel.run())

    def test_an_unknown_request_is_said_to_be(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals", request="gone")
        assert panel.warning[0].value == "There is no request gone."

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (RequestStatus.STALE, "It cannot be approved any more"),
            (RequestStatus.SUPERSEDED, "A younger candidate has taken its place."),
        ],
    )
    def test_what_is_over_says_why_and_cannot_be_decided(
        self,
        monkeypatch: pytest.MonkeyPatch,
        core: FakeCore,
        status: RequestStatus,
        said: str,
    ) -> None:
        over = make_request(
            2, status=status, superseded_by="req-4", decided_at=datetime.now(UTC), reason="v3."
        )
        core.promotions.listed.append(over)
        panel = open_panel(monkeypatch, core, "approvals", view="Decided", request="req-2")
        assert said in texts(panel)
        assert not panel.text_area

    def test_a_thousand_decisions_are_paged(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.listed += [
            make_request(number, status=RequestStatus.REJECTED) for number in range(1000, 0, -1)
        ]
        panel = open_panel(monkeypatch, core, "approvals", view="Decided")
        assert len(panel.dataframe[0].value) == 25
        assert "1 to 25 of 1,000 requests" in texts(panel)
        assert not panel.exception

    def test_a_database_that_is_down_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        core.promotions.failure = UnavailableError("The database does not answer.")
        panel = open_panel(monkeypatch, core, "approvals")
        assert [one.value for one in panel.warning] == ["**The database does not answer.**"]


class TestHistory:
    @pytest.fixture
    def core(self, core: FakeCore) -> FakeCore:
        now = datetime.now(UTC)
        core.promotions.record = [
            make_promotion(3, rule="approval", request_id="req-3", since=now - timedelta(days=1)),
            make_promotion(1, since=now - timedelta(days=9), live_at=now - timedelta(days=9)),
        ]
        return core

    def test_every_period_with_rule_who_and_why(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        panel = open_panel(monkeypatch, core, "approvals", view=HISTORY)
        frame = panel.dataframe[0].value
        assert list(frame["Version"]) == ["v3", "v1"]
        assert list(frame["Rule"]) == ["approval", "bootstrap"]
        assert frame["To (UTC)"][1] == frame["From (UTC)"][0]
        assert frame["Evidence"][0] == "approvals?request=req-3"
        assert panel.get("vega_lite_chart")

    def test_what_served_at_a_moment(self, monkeypatch: pytest.MonkeyPatch, core: FakeCore) -> None:
        panel = open_panel(monkeypatch, core, "approvals", view=HISTORY)
        moment = panel.datetime_input[0]
        moment.set_value(datetime.now() - timedelta(days=5)).run()
        assert "**v1** served, by bootstrap" in panel.success[0].value
        panel.datetime_input[0].set_value(datetime.now() - timedelta(days=50)).run()
        assert "Nothing served at" in panel.info[0].value

    @pytest.mark.parametrize("page", ["approvals", "serving"])
    def test_a_rollback_takes_a_reason_and_shows_gates(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore, page: str
    ) -> None:
        query = {"view": HISTORY} if page == "approvals" else {}
        panel = open_panel(monkeypatch, core, page, **query)
        assert "Four eyes are not in force: one local operator" in texts(panel)
        go = button(panel, "Roll back from v3 to v1")
        reason = next(one for one in panel.text_input if one.label.startswith("Reason"))
        reason.set_value("short")
        go.click().run()
        assert panel.error[0].value == "The reason lacks 5 characters."
        reason = next(one for one in panel.text_input if one.label.startswith("Reason"))
        reason.set_value("complaints about third class")
        button(panel, "Roll back from v3 to v1").click().run()
        assert [one.version for one in core.promotions.record] == [1, 3, 1]
        assert core.promotions.record[0].reason == "complaints about third class"
        assert "v1 is Production; replicas load it" in panel.get("progress")[0].proto.text

    def test_the_version_that_somebody_has_gone_back_from_is_not_offered_first(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore
    ) -> None:
        bad = make_promotion(4, rule="approval")
        back = make_promotion(3, id="back", rule="rollback", undoes=bad.id)
        core.promotions.record = [back, bad, *core.promotions.record]
        panel = open_panel(monkeypatch, core, "serving")
        choice = next(one for one in panel.selectbox if one.label.startswith("Version to go"))
        assert [label.split(",")[0] for label in choice.options] == ["v4", "v1"]
        assert choice.value == 1

    @pytest.mark.parametrize("page", ["approvals", "serving"])
    def test_a_moved_alias_is_shown_and_restored_by_a_click(
        self, monkeypatch: pytest.MonkeyPatch, core: FakeCore, page: str
    ) -> None:
        core.promotions.drift = (AliasDrift("production", 3, 1),)
        query = {"view": HISTORY} if page == "approvals" else {}
        panel = open_panel(monkeypatch, core, page, **query)
        assert "The alias production points at v1; the record says v3." in panel.warning[0].value
        button(panel, "Restore the aliases").click().run()
        assert core.promotions.restored
        assert not panel.warning

    def test_nothing_was_ever_in_production(self, monkeypatch: pytest.MonkeyPatch) -> None:
        panel = open_panel(monkeypatch, make_core(), "approvals", view=HISTORY)
        assert "No version of Titanic survival was ever in Production." in panel.info[0].value


def test_periods_touch_and_the_newest_goes_on() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    record = [
        make_promotion(2, since=now - timedelta(days=1)),
        make_promotion(1, since=now - timedelta(days=3)),
    ]
    newest, oldest = periods(record, now)
    assert (newest.begin, newest.end, newest.goes_on) == (record[0].since, now, True)
    assert (oldest.end, oldest.goes_on) == (record[0].since, False)
    assert periods([], now) == ()


def test_earlier_versions_are_those_that_do_not_serve_newest_first() -> None:
    record = [make_promotion(number) for number in (3, 2, 3, 1, 2)]
    assert list(earlier_versions(record)) == [2, 1]
    assert earlier_versions([]) == {}


def test_requests_as_rows_say_their_gates_and_an_incumbent_may_lack() -> None:
    frame = requests_frame([make_request(1, incumbent_version=None)])
    assert frame["Against"][0] == "no version in Production"
    assert frame["Gates"][0] == gates_summary(make_gates()) == "3 pass, 1 fail"
    assert requests_frame([]).empty
