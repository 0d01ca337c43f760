"""When replicas leave the record: one row an incident, whatever the looks in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.deployment.incidents import LASTING_S, SETTLED_S, Incident, Report, Sight, follow

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


def off(
    at_s: float,
    served: int | None = 2,
    *,
    told: bool = False,
    obstacle: str = "",
    recorded: int = 3,
) -> Sight:
    return Sight(NOW + timedelta(seconds=at_s), recorded, False, served, told, obstacle)


def well(at_s: float, recorded: int = 3) -> Sight:
    return Sight(NOW + timedelta(seconds=at_s), recorded, is_well=True)


def told_of(*sights: Sight) -> tuple[Incident | None, list[Report]]:
    """What looks one after the other come to."""
    incident: Incident | None = None
    reports = []
    for sight in sights:
        incident, report = follow(incident, sight)
        if report is not None:
            reports.append(report)
    return incident, reports


def test_what_is_well_is_no_incident() -> None:
    assert told_of(well(0), well(2)) == (None, [])


def test_another_version_is_put_right_and_recorded_once() -> None:
    looks = [off(0, told=True), off(2), well(4), well(6), well(4 + SETTLED_S), well(20)]
    incident, (report,) = told_of(*looks)
    assert incident is None
    assert report == Report(
        3,
        "v2 answered where the record says v3. Ray Serve was told the record. "
        "Replicas answered as recorded after 4 s.",
        is_over=True,
    )


def test_replicas_that_differ_from_each_other_are_one_incident() -> None:
    looks = [off(0, told=True), well(2), off(4), well(6), off(8), well(10), well(10 + SETTLED_S)]
    incident, (report,) = told_of(*looks)
    assert incident is None
    assert report.text.endswith("after 10 s.")


def test_one_that_lasts_is_recorded_while_it_does_and_when_it_ends() -> None:
    looks = [off(at, None, obstacle="Ray's dashboard does not answer.") for at in range(0, 90, 2)]
    incident, (report,) = told_of(*looks)
    assert incident is not None
    assert incident.is_known_to_last
    assert report == Report(
        3,
        "Nothing answered where the record says v3. Ray Serve was not told anew. Replicas do not "
        f"answer as recorded after {LASTING_S:.0f} s: Ray's dashboard does not answer.",
        is_over=False,
    )
    _, (_, over) = told_of(*looks, well(90), well(90 + SETTLED_S))
    assert over.is_over
    assert over.text.endswith("Replicas answered as recorded after 90 s.")


def test_other_files_of_the_same_version_are_named_as_such() -> None:
    _, (report,) = told_of(off(0, served=3, told=True), well(2), well(8))
    assert report.text.startswith("v3 answered with other files than those that were decided on.")


def test_a_decision_meanwhile_ends_it() -> None:
    incident, (report,) = told_of(off(0, told=True), off(2, recorded=4))
    assert incident is None
    assert report.recorded == 3
    assert report.text.endswith("The record names v4 since.")


def test_without_a_reason_replicas_have_not_followed() -> None:
    _, (report,) = told_of(off(0), off(LASTING_S))
    assert report.text.endswith("Replicas have not followed.")
