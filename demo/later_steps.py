"""The second half of the tour: the world changes, and the models after it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.domain_watching import Alert, AlertKind, AlertStatus, Level
from core.errors import PilothouseError
from core.promotion.identity import RETRAINER
from core.rollout.values import Rollout, RolloutStatus
from core.wording import share as percent
from demo.people import BOB, EVE
from demo.place import PROBLEM
from demo.tour import POLL_S, Step, Tour, expect
from demo.traffic import Answered, asked_of, records_of, traffic

DAYS = 3
REQUESTS_PER_S = 40.0
#: Three steps of twenty seconds, and a worker that looks every two.
CANARY_TIMEOUT_S = 300.0


def _drift(tour: Tour) -> str:
    days = f"--days {DAYS} --labels-after 1 --here"
    tour.crew.run(EVE, f"pilothouse simulate {PROBLEM} {days}")
    return _drift_alert(tour).summary


def _alert(tour: Tour) -> str:
    tour.crew.run(EVE, f"pilothouse alerts list {PROBLEM}")
    alert = _drift_alert(tour)
    note = "Fares have doubled; labels of the new ones are coming in."
    tour.crew.run(EVE, f"pilothouse alerts acknowledge {alert.id} --note '{note}'")
    expect(
        _drift_alert(tour).status is AlertStatus.ACKNOWLEDGED,
        "The alert does not say that Eve has seen it.",
    )
    return "Eve has said that she looks at it; it stays open until the drift ends"


def _drift_alert(tour: Tour) -> Alert:
    found = tour.records.alerts.list(PROBLEM, open_only=True)
    critical = [a for a in found if a.kind is AlertKind.DRIFT and a.severity is Level.CRITICAL]
    expect(len(critical) == 1, "No alert of critical drift is open after fares have doubled.")
    return critical[0]


def _retrain(tour: Tour) -> str:
    tour.crew.run(EVE, f"pilothouse runs list --problem {PROBLEM}")
    run = tour.records.runs.list(PROBLEM, 1)[0]
    expect(run.started_by == RETRAINER, "The policy has started no run.")
    request = tour.candidate(run.id)
    tour.crew.run(EVE, f"pilothouse retrain {PROBLEM} --dry-run")
    return f"v{request.version}, trained by the policy on labelled rows of new fares too"


def _canary(tour: Tour) -> str:
    request = tour.records.promotions.requests(PROBLEM, open_only=True)[0]
    records = tour.records
    newest = records.batches.list(PROBLEM, 1)[0]
    contract = records.problems[PROBLEM].contract
    rows = records_of(records.batches.rows(newest.id, contract.names), contract)
    reason = "It knows the new fares; small slices are to be watched."
    with traffic(tour.settings.serving_url, PROBLEM, rows, REQUESTS_PER_S) as answers:
        tour.answers = answers
        tour.crew.run(BOB, f"pilothouse rollout canary {request.id} --reason '{reason}'")
        ended = _follow(tour)
    expect(
        ended.status is RolloutStatus.DONE,
        f"The canary is {ended.status.value} and should be through: {ended.end_reason}",
    )
    live = tour.serving(request.version)
    expect(live.decided_by == BOB.name, f"{live.decided_by} has decided and Bob should have.")
    failed = sum(not one.is_good for one in answers)
    by_new = len(asked_of(answers, request.version))
    said = f"{len(answers):,} requests meanwhile, {by_new:,} answered by v{request.version}"
    expect(failed == 0, f"{failed} of {len(answers):,} requests failed during the canary.")
    tour.screen.say(f"{said}, none failed.")
    return f"v{request.version} is Production; {said}, none failed"


def _follow(tour: Tour) -> Rollout:
    """Tells each step of the newest rollout until it is over.

    Raises:
        PilothouseError: it takes too long.
    """
    step, began = -1, time.monotonic()
    while (waited_s := time.monotonic() - began) < CANARY_TIMEOUT_S:
        rollout = tour.records.rollouts.list(PROBLEM, 1)[0]
        if not rollout.status.is_active:
            return rollout
        if rollout.step != step:
            step = rollout.step
            said = f"v{rollout.version} answers {percent(rollout.share)} of the requests"
            tour.screen.say(f"  {said} ({len(tour.answers):,} so far).")
            if step == 1:
                tour.crew.run(BOB, f"pilothouse rollout show {PROBLEM}")
        decision = tour.records.rollouts.view(rollout).decision
        tour.screen.still(waited_s, decision.reason if decision else "")
        time.sleep(POLL_S)
    raise PilothouseError(f"The canary has not ended after {CANARY_TIMEOUT_S:g} s.")


def _roll_back(tour: Tour) -> str:
    before = tour.serving()
    tour.crew.run(BOB, f"pilothouse promote rollback {PROBLEM} --reason 'To show the way back.'")
    after = tour.serving()
    expect(
        after.rule == "rollback" and after.version == before.version - 1,
        f"v{after.version} serves by the rule {after.rule} and v{before.version - 1} should again.",
    )
    tour.crew.run(BOB, f"pilothouse promote history {PROBLEM}")
    seconds = after.answering_after_s or 0.0
    return f"v{after.version} again, {seconds:.1f} s after the decision"


def _trace(tour: Tour) -> str:
    answer = answer_to_trace(tour.answers)
    ended = tour.crew.run(EVE, f"pilothouse trace {answer.request_id} --replay")
    expect(BOB.name in ended.text, "The trace does not name Bob, who let the version in.")
    tour.crew.run(EVE, "pilothouse audit list --outcome refused")
    tour.crew.run(EVE, "pilothouse audit verify")
    return f"an answer of v{answer.version}: the same when replayed; the audit trail is whole"


def answer_to_trace(answers: Sequence[Answered]) -> Answered:
    """An answer of the canary from while the version before answered as well.

    Raises:
        PilothouseError: there is none.
    """
    good = [one for one in answers if one.is_good]
    newest = max((one.version for one in good), default=0)
    last_before = max((at for at, one in enumerate(good) if one.version < newest), default=0)
    meanwhile = asked_of(good[:last_before], newest)
    expect(bool(meanwhile), "The canary answered nothing while the version before did.")
    return meanwhile[len(meanwhile) // 2]


LATER = (
    Step(
        "Drift",
        EVE.name,
        f"{DAYS} days pass. On each, a batch comes in that the served model is asked about; its "
        "labels come a day later. From the second day on all fares are doubled. A check "
        "holds each batch against what the model has learned from. Of honesty: the days are "
        "drawn from the same 418 passengers, with replacement, so the later judges of a "
        "retrained model are in part those that it has met; in life it would gain less.",
        _drift,
    ),
    Step(
        "Alert",
        EVE.name,
        "One alert of each kind is open at most, and told once. It would be sent to chat, mail or "
        "a webhook as well; the tour has no receiver. Eve says that she looks at it.",
        _alert,
    ),
    Step(
        "Retrain",
        "the policy",
        "When labels of the drifted day were there, the policy has trained again by itself. "
        "Nothing that was retrained serves without a person: the version waits with its gates. "
        "Asked once more, the policy says why it does not train twice.",
        _retrain,
    ),
    Step(
        "Approve, as a canary",
        BOB.name,
        "Bob approves, and the version earns its traffic: 10, 50, then 100 % of the requests, "
        f"{REQUESTS_PER_S:g} a second here, with the fares of the last day. Guards would take it "
        "back by themselves. Steps are shorter here, and latency and predictions may differ more, "
        "as was said at first; the other guards are as delivered.",
        _canary,
    ),
    Step(
        "Roll back",
        BOB.name,
        "One command and a reason: the version before answers again within seconds.",
        _roll_back,
    ),
    Step(
        "Trace",
        EVE.name,
        "An answer from while both versions answered: by which version, from which run, data and "
        "code, and who has decided it. Scored once more, it has to give the same number. Then "
        "who was refused, and whether the audit trail is still what was written.",
        _trace,
    ),
)
