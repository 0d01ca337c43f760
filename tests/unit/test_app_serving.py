from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from app.components.prediction import (
    curl_command,
    examples,
    hint,
    label_meaning,
    text_hint,
    unusual,
)
from core.domain_serving import Health, PredictionAnswer, ServingStatus
from core.errors import InvalidInputError, Offence, UnavailableError
from core.problems.contract import Field, FieldType, Value
from core.problems.titanic import PROBLEM
from core.promotion.audit import Action, Outcome
from tests.unit.app_audit_fakes import make_rows
from tests.unit.app_fakes import make_core, make_run, open_panel, texts

CONTRACT = PROBLEM.contract


def test_status_says_what_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = open_panel(monkeypatch, make_core(make_run(4), production=4), "serving")
    said = texts(panel)
    for fact in ("Serves: v4", "Family: Gradient-Boosted Trees", "Threshold: 0.520"):
        assert fact in said


def test_form_sends_the_examples_and_shows_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    panel = open_panel(monkeypatch, core, "serving")
    panel.button[0].click().run()
    assert core.serving.asked == [("titanic", dict(examples(CONTRACT)))]
    said = texts(panel)
    assert "### Died" in said
    assert "**0.123** (decision threshold 0.520)" in said
    assert "model version v1 · answered in 3.2 ms · request `b7e1-42`" in said


def test_emptied_fields_are_sent_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    panel = open_panel(monkeypatch, core, "serving")
    panel.number_input(key="titanic.Age").set_value(None)
    panel.selectbox(key="titanic.Embarked").set_value(None)
    panel.button[0].click().run()
    record = core.serving.asked[0][1]
    assert record["Age"] is None
    assert record["Embarked"] is None


def test_a_text_is_sent_only_where_it_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    panel = open_panel(monkeypatch, core, "serving")
    panel.text_input(key="titanic.Name").set_value("Palsson, Master. Gosta")
    panel.button[0].click().run()
    record = core.serving.asked[0][1]
    assert record["Name"] == "Palsson, Master. Gosta"
    assert "Cabin" not in record
    assert [info.value for info in panel.info] == ["Name was not read, because Title is given."]
    panel.selectbox(key="titanic.Title").set_value(None)
    panel.button[0].click().run()
    assert not panel.info


def test_offences_are_shown_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    core.serving.answer = InvalidInputError(
        "The record breaks the contract.",
        offences=[Offence("Age", "must be at most 130"), Offence("Pclass", "must be at most 3")],
    )
    panel = open_panel(monkeypatch, core, "serving")
    panel.button[0].click().run()
    assert "**Age**: must be at most 130" in panel.error[0].value
    assert "**Pclass**: must be at most 3" in panel.error[0].value


def test_threshold_of_another_version_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(4), production=4)
    core.serving.answer = PredictionAnswer("r", 3, 1, 0.7, 2.0)
    panel = open_panel(monkeypatch, core, "serving")
    panel.button[0].click().run()
    assert "decision threshold" not in texts(panel)


def test_serving_that_is_down_keeps_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core(make_run(1), production=1)
    core.serving.state = UnavailableError("Serving does not answer.", fix="Run make up.")
    core.serving.answer = UnavailableError("Serving does not answer.", fix="Run make up.")
    panel = open_panel(monkeypatch, core, "serving")
    assert "Run make up." in panel.warning[0].value
    panel.button[0].click().run()
    assert len(panel.warning) == 2
    assert not panel.exception


def test_advice_fits_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    core = make_core()
    assert "No version is in Production yet" in texts(open_panel(monkeypatch, core, "serving"))
    core = make_core(make_run(2), production=2)
    core.serving.state = ServingStatus(Health.HEALTHY, 1, ())
    assert "Production is v2, but replicas" in texts(open_panel(monkeypatch, core, "serving"))
    core.promotions.record[0] = replace(core.promotions.record[0], live_at=None)
    said = texts(open_panel(monkeypatch, core, "serving"))
    assert "but replicas" not in said, "a switch that goes on is not a fault"
    core.serving.state = ServingStatus(Health.DOWN, 0, (), "Ray does not answer.")
    assert "**Ray does not answer.**" in texts(open_panel(monkeypatch, core, "serving"))


def test_curl_command_survives_the_shell() -> None:
    record: dict[str, Value | None] = {"Name": "O'Brien", "Age": None}
    command = curl_command("http://127.0.0.1:8000", "titanic", record, needs_key=False)
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8000/predict/titanic"]
    assert json.loads(words[-1]) == {"records": [{"Name": "O'Brien", "Age": None}]}


def test_a_command_shows_where_the_key_goes_and_no_key() -> None:
    command = curl_command("http://127.0.0.1:8000", "titanic", {"Age": 4}, needs_key=True)
    words = shlex.split(command.replace("\\\n", " "))
    assert "authorization: Bearer $PILOTHOUSE_KEY" in words
    assert json.loads(words[-1]) == {"records": [{"Age": 4}]}


def test_hint_names_bounds_usual_range_and_need() -> None:
    fields = {field.name: field for field in CONTRACT.fields}
    assert hint(fields["Age"]) == (
        "Age. Must lie between 0 and 130 years. Usually 0 to 80 years. Leave it empty if unknown."
    )
    assert hint(fields["Sex"]).endswith("treated as an unknown category. Required.")
    assert "at least 2." in hint(Field("x", FieldType.NUMBER, "X", example=3, minimum=2))
    assert "at most 2." in hint(Field("x", FieldType.NUMBER, "X", example=1, maximum=2))


def test_hint_of_a_text_says_what_is_kept() -> None:
    name, _ = CONTRACT.reduced
    assert text_hint(name) == (
        "Name with its title. Only Title is kept of it, and it is not read where Title is given."
    )


def test_unusual_values_are_remarked_upon_and_usual_ones_are_not() -> None:
    assert unusual(CONTRACT, examples(CONTRACT)) == ()
    record = {**examples(CONTRACT), "Fare": 900.0, "Age": None, "Embarked": "X"}
    fare, embarked = unusual(CONTRACT, record)
    assert "Fare = 900 is outside the usual range of 0 to 520" in fare
    assert "Embarked = “X” is not a known category" in embarked


def test_label_is_put_in_words_however_it_is_spelled() -> None:
    assert [label_meaning(CONTRACT, label) for label in (1, "1", 0)] == [
        "survived",
        "survived",
        "died",
    ]
    spelled = replace(CONTRACT, label=replace(CONTRACT.label, positive="yes", negative="no"))
    assert label_meaning(spelled, "no") == "died"


@pytest.mark.parametrize("outcome", [Outcome.DONE, Outcome.FAILED])
def test_the_last_repair_is_shown(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    core = make_core(make_run(4), production=4)
    (row,) = make_rows(1)
    told = replace(
        row.entry,
        action=Action.SERVING_REPAIRED,
        outcome=outcome,
        detail="v3 answered [where] the record says v4.",
    )
    core.audit.rows = (replace(row, entry=told),)
    panel = open_panel(monkeypatch, core, "serving")
    said = "Last repair, 2026-11-20 09:00 UTC: v3 answered \\[where\\] the record says v4."
    shown = panel.caption if outcome is Outcome.DONE else panel.warning
    assert said in [element.value for element in shown]


def test_a_record_without_a_hash_of_its_files_is_remarked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = open_panel(monkeypatch, make_core(make_run(4), production=4), "serving")
    assert "kept no hash of its files" in texts(panel)
