"""The first half of the tour: from an empty installation to a version that a person let in."""

from __future__ import annotations

from demo.people import ANN, EVE, PEOPLE
from demo.place import PROBLEM
from demo.tour import Step, Tour, expect


def _people(tour: Tour) -> str:
    tour.crew.join(EVE, by=None)
    for person in PEOPLE[1:]:
        tour.crew.join(person, by=EVE)
    people = [f"{one.name} ({one.role})" for one in tour.records.accounts.list()]
    expect(len(people) == len(PEOPLE), f"There are accounts for {people} only.")
    return f"accounts of {', '.join(people)}"


def _start(tour: Tour) -> str:
    tour.crew.run(None, "pilothouse up")
    return f"panel, worker, MLflow and Ray on ports {tour.settings.panel_port} and others"


def _train(tour: Tour) -> str:
    # Quick and plain: what comes later is meant to have something to beat.
    small = "--set 'search.families=[lr]' --set search.trials=1"
    tour.crew.run(EVE, f"pilothouse run {PROBLEM} {small} --wait")
    first = tour.serving()
    expect(first.rule == "bootstrap", f"v{first.version} serves by the rule {first.rule}.")
    tour.crew.run(EVE, f"pilothouse runs show {first.run_id}")
    return f"v{first.version}, a logistic regression, serves as the first one"


def _approve(tour: Tour) -> str:
    tour.crew.run(EVE, f"pilothouse run {PROBLEM} --wait")
    run = tour.records.runs.list(PROBLEM, 1)[0]
    request = tour.candidate(run.id)
    approve = f"pilothouse promote approve {request.id} --reason"
    refused = tour.crew.is_refused(EVE, f"{approve} 'I have trained it, so it is good.'")
    expect(
        "somebody else has to approve" in refused.text,
        "Eve was refused for another reason than that she has trained the version.",
    )
    tour.crew.run(ANN, f"{approve} 'A forest beside a plain model: gates looked at.'")
    live = tour.serving(request.version)
    expect(live.decided_by == ANN.name, f"{live.decided_by} has decided and Ann should have.")
    return f"Eve was refused, Ann let v{live.version} in"


def _serve(tour: Tour) -> str:
    tour.crew.run(None, f"python scripts/try_api.py --problem {PROBLEM} --rows 20")
    return f"20 rows answered by v{tour.serving().version}"


FIRST = (
    Step(
        "People",
        EVE.name,
        "Decisions carry names. Eve keeps the accounts and trains; Ann and Bob may approve. Eve "
        "has seen the tokens that she made for them, so each renews their own: until then it "
        "would not count against what Eve brings. Tokens are kept from this screen.",
        _people,
    ),
    Step(
        "Start",
        "you",
        "Ray, MLflow, the worker and the panel, under one process manager. There is no model yet, "
        "so nothing is served, and it says so.",
        _start,
    ),
    Step(
        "Train",
        EVE.name,
        "A Ray Job starts Spark on Ray, prepares the 891 passengers, fits a model, measures it on "
        "rows that it has not seen, exports it to ONNX, holds the export against Spark and "
        "registers it in MLflow. Where nothing serves yet, the first version does by a rule.",
        _train,
    ),
    Step(
        "Approve as a second person",
        f"{EVE.name}, {ANN.name}",
        "Spark is warm now. Eve trains again, random forests this time, and the version is held "
        "against the one that serves by gates. Hard gates keep it out by themselves; what soft "
        "ones say is for a person to weigh. Not for Eve, though she is admin: nobody approves "
        "what they have trained. Ann may.",
        _approve,
    ),
    Step(
        "Serve",
        "a caller",
        "Passengers of the test set, which no model has seen, one HTTP request each.",
        _serve,
    ),
)
