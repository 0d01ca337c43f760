"""Evidence of a candidate: gathered, frozen, read back, and what becomes of what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from core.adapters.database_batches import BatchRecords
from core.bootstrap import connect_labelled_rows
from core.data.batch_files import batch_file
from core.data.held_back import held_back
from core.data.tables import write_table
from core.domain import PromotionRequest, RequestStatus, Run, Verdict
from core.domain_watching import Level
from core.errors import ConflictError, NotFoundError, UnavailableError
from core.monitoring.job_spec import REPORT_FILE as CHECK_REPORT
from core.params import Params
from core.promotion import latency
from core.promotion.evidence import Evidence, Parity, RowSet, parse, sha256_of
from core.promotion.gates import AUC, CONTRACT, LATENCY, LEAK, PARITY, SLICES, hard_failures
from core.promotion.latency import SINGLE_REPETITIONS, THOUSAND_REPETITIONS, time_models
from core.promotion.measuring import EvidenceService
from core.scoring.bundle import MODEL_FILE, write_bundle
from core.training.tracking import BATCHES_FILE, PREDICTIONS_FILE, REPORT_FILE
from tests.unit.check_values import report_of as check_report
from tests.unit.core_fakes import PROBLEM, World, facts_of, holdout_of_plums, make_world
from tests.unit.evidence_values import evidence_of
from tests.unit.tiny_models import tiny_model

#: A model that the stones mislead.
WORSE = {"weight": 0.1, "stones": 0.9}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


@pytest.fixture
def service(world: World) -> EvidenceService:
    return world.pilothouse.evidence


def gather(world: World, run: Run) -> Evidence:
    incumbent = world.pilothouse.promotions.production("plums")
    return world.pilothouse.evidence.gather("r1", run, incumbent, "bob")


def verdicts(evidence: Evidence) -> dict[str, Verdict]:
    return {gate.gate: gate.verdict for gate in evidence.gates}


def service_of(world: World, params: Params) -> EvidenceService:
    """The service with other parameters."""
    ports: Any = world
    return EvidenceService(
        params,
        world.pilothouse.problems,
        ports.tracker,
        ports.registry,
        BatchRecords(world.pilothouse.database),
        connect_labelled_rows(world.pilothouse.settings),
        world.pilothouse.settings.home,
    )


def request_for(run: Run, path: str, sha256: str) -> PromotionRequest:
    return PromotionRequest(
        id="r1",
        problem="plums",
        version=2,
        run_id=run.id,
        status=RequestStatus.OPEN,
        requested_by="ann",
        requested_at=datetime.now(UTC),
        incumbent_version=1,
        gates=(),
        evidence_path=path,
        evidence_sha256=sha256,
    )


def deliver(world: World, batch_id: str, rows: int, seed: int = 1) -> pa.Table:
    """Puts a labelled batch where accepted batches lie."""
    world.add_batch(batch_id)
    table = holdout_of_plums(rows, seed)
    write_table(table, batch_file(world.pilothouse.settings.home, "plums", batch_id))
    return table


class TestValue:
    def test_it_is_read_back_as_it_was(self) -> None:
        evidence = evidence_of()
        text = evidence.canonical()
        assert parse(text, sha256_of(text)) == evidence
        assert parse(text, sha256_of(text)).canonical() == text

    def test_one_changed_byte_is_a_conflict(self) -> None:
        text = evidence_of().canonical()
        with pytest.raises(ConflictError, match="changed"):
            parse(text.replace(b'"ann"', b'"eve"'), sha256_of(text))

    def test_what_another_release_wrote_is_a_conflict(self) -> None:
        text = evidence_of().canonical().replace(b'"format":1', b'"format":2')
        with pytest.raises(ConflictError, match="another release"):
            parse(text, sha256_of(text))

    def test_a_number_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            Parity(spark_rows=1, spark_difference=float("nan"), served_rows=1, served_difference=0)


class TestGather:
    def test_both_models_are_known_by_what_they_are(self, world: World) -> None:
        first = world.put_into_production()
        run = world.train(weights=WORSE)
        found = gather(world, run)
        assert (found.request_id, found.problem, found.requested_by) == ("r1", "plums", "bob")
        assert found.run_started_by == "ann"
        assert found.incumbent is not None
        assert (found.candidate.version, found.incumbent.version) == (2, 1)
        assert (found.candidate.run_id, found.incumbent.run_id) == (run.id, first.id)
        model = (world.registry.folder / "plums" / "2" / MODEL_FILE).read_bytes()
        assert found.candidate.model_sha256 == sha256_of(model)
        assert found.candidate.bundle_sha256 != found.incumbent.bundle_sha256
        assert found.candidate.inputs == ("weight", "stones")
        assert found.candidate.contract_fingerprint == PROBLEM.contract.fingerprint()
        assert found.candidate.metrics["auc"].value == 0.85
        assert found.candidate.confusion is not None
        assert found.cause is None
        assert found.notes == ()

    def test_a_model_that_is_better_on_the_same_rows_passes(self, world: World) -> None:
        world.pilothouse.promotions.consider(world.train(weights=WORSE))
        found = gather(world, world.train())
        holdout, none, both = found.comparisons
        assert (holdout.rows, none.rows, both.rows) == (200, 0, 200)
        assert holdout.difference == both.difference
        assert both.difference is not None
        assert both.difference.low > 0
        assert none.note == "No batch has labelled rows that were held back."
        assert verdicts(found)[AUC] is Verdict.PASS
        assert hard_failures(found.gates) == ()

    def test_a_model_that_is_worse_fails_and_a_person_decides(self, world: World) -> None:
        world.put_into_production()
        found = gather(world, world.train(weights=WORSE))
        assert verdicts(found)[AUC] is Verdict.FAIL
        assert hard_failures(found.gates) == ()

    def test_the_evidence_is_the_same_whoever_asks_but_for_time(self, world: World) -> None:
        world.put_into_production()
        run = world.train(weights=WORSE)
        one, other = gather(world, run), gather(world, run)
        timeless = {"opened_at": one.opened_at, "latency": None, "gates": ()}
        assert one.model_copy(update=timeless) == other.model_copy(update=timeless)

    def test_with_nothing_in_production_there_is_nothing_to_compare(self, world: World) -> None:
        found = world.pilothouse.evidence.gather("r1", world.train(), None, "bob")
        assert found.incumbent is found.judged is None
        assert verdicts(found)[AUC] is Verdict.CANNOT_TELL
        assert hard_failures(found.gates) == ()

    def test_a_run_without_a_version_has_no_evidence(self, world: World) -> None:
        run = replace(world.train(), model_version=None)
        with pytest.raises(NotFoundError):
            gather(world, run)

    def test_what_it_learned_from_and_what_it_cost(self, world: World, tmp_path: Path) -> None:
        world.put_into_production()
        run = world.train()
        path = tmp_path / Path(BATCHES_FILE).name
        path.write_text('[{"id": "b1", "rows": 80}]', encoding="utf-8")
        world.tracker.log_files(run.id, path, "data")
        world.tracker.log(run.id, {}, {"core_seconds": 42.0, "peak_rss_mb": 900.0})
        found = gather(world, run)
        assert [(one.id, one.rows) for one in found.candidate.trained_on] == [("b1", 80)]
        cost = found.costs.candidate
        assert (cost.core_seconds, cost.peak_memory_mb, cost.profile) == (42.0, 900.0, "2c-2g")
        assert found.costs.incumbent is not None
        assert found.costs.incumbent.core_seconds is None


class TestHeldBack:
    def test_the_fifth_of_every_batch_judges_both(self, world: World) -> None:
        world.put_into_production()
        run = world.train(weights=WORSE)
        wanted = {}
        for batch_id, rows in (("b1", 300), ("b2", 200)):
            ids = deliver(world, batch_id, rows).column("row_id").to_numpy()
            wanted[batch_id] = int(held_back(batch_id, ids).sum())
        found = gather(world, run)
        rows_of = found.comparison(RowSet.HELD_BACK)
        assert {one.id: one.rows for one in rows_of.batches} == wanted
        assert rows_of.rows == rows_of.available_rows == sum(wanted.values())
        both = found.comparison(RowSet.BOTH)
        assert both.rows == 200 + rows_of.rows
        assert found.judged is not None
        assert sum(one.rows for one in found.judged.classes) == both.rows

    def test_more_than_the_limit_are_a_sample_of_the_newest(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        for batch_id in ("b1", "b2", "b3"):
            deliver(world, batch_id, 400)
        params = world.pilothouse.params
        policy = params.promotion.model_copy(update={"evidence_rows": 100})
        found = service_of(world, params.model_copy(update={"promotion": policy})).gather(
            "r1", run, world.pilothouse.promotions.production("plums"), "bob"
        )
        rows_of = found.comparison(RowSet.HELD_BACK)
        assert rows_of.rows == 100 < rows_of.available_rows
        assert [one.id for one in rows_of.batches] == ["b3", "b2"]
        holdout = found.comparison(RowSet.HOLDOUT)
        assert (holdout.rows, holdout.available_rows) == (100, 200)

    def test_a_model_file_that_cannot_be_loaded_is_noted(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        facts = facts_of(run.id, model_sha256=sha256_of(b"nonsense"))
        write_bundle(world.registry.folder / "plums" / "2", b"nonsense", facts)
        assert gather(world, run).notes == ("v2: Its model file cannot be loaded.",)

    def test_a_batch_that_is_gone_or_of_another_contract_is_noted(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        world.add_batch("gone")
        narrow = deliver(world, "narrow", 100).drop_columns(["stones"])
        write_table(narrow, batch_file(world.pilothouse.settings.home, "plums", "narrow"))
        deliver(world, "good", 300)
        found = gather(world, run)
        assert [one.id for one in found.comparison(RowSet.HELD_BACK).batches] == ["good"]
        assert len(found.notes) == 2
        assert any("it lacks stones" in note for note in found.notes)

    def test_one_class_among_them_has_no_auc_of_its_own(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        table = deliver(world, "sweet", 100)
        sweet = table.set_column(1, "label", pa.array(np.ones(table.num_rows)))
        write_table(sweet, batch_file(world.pilothouse.settings.home, "plums", "sweet"))
        found = gather(world, run)
        assert "one class" in found.comparison(RowSet.HELD_BACK).note
        assert found.comparison(RowSet.BOTH).difference is not None


class TestMissing:
    """A deleted version, a missing artifact or a changed contract cannot tell, with a reason."""

    def test_an_incumbent_that_was_deleted(self, world: World) -> None:
        first = world.put_into_production()
        run = world.train()
        del world.registry.versions["plums", 1]
        world.tracker.forget(first.id)
        found = gather(world, run)
        assert found.incumbent is not None
        assert (found.incumbent.version, found.incumbent.family) == (1, "")
        assert verdicts(found)[AUC] is Verdict.CANNOT_TELL
        assert verdicts(found)[SLICES] is Verdict.CANNOT_TELL
        assert hard_failures(found.gates) == ()
        assert any(note.startswith("v1: ") for note in found.notes)

    @pytest.mark.parametrize(
        ("name", "unknown"),
        [(PREDICTIONS_FILE, {PARITY, AUC}), (REPORT_FILE, {PARITY})],
    )
    def test_an_artifact_of_the_candidate(self, world: World, name: str, unknown: set[str]) -> None:
        world.put_into_production()
        run = world.train()
        world.tracker.put_file(run.id, name, None)
        found = gather(world, run)
        cannot = {gate for gate, verdict in verdicts(found).items() if not_told(verdict)}
        assert unknown <= cannot
        assert (AUC in cannot) is (AUC in unknown)
        assert len(found.notes) == 1

    def test_predictions_that_are_no_table(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        world.tracker.put_file(run.id, PREDICTIONS_FILE, b"nonsense")
        found = gather(world, run)
        assert verdicts(found)[PARITY] is Verdict.CANNOT_TELL

    @pytest.mark.parametrize("data", [b"nonsense", None])
    def test_the_model_file(self, world: World, data: bytes | None) -> None:
        world.put_into_production()
        run = world.train()
        path = world.registry.folder / "plums" / "2" / MODEL_FILE
        path.unlink() if data is None else path.write_bytes(data)
        found = gather(world, run)
        told = verdicts(found)
        assert (told[PARITY], told[LEAK], told[LATENCY]) == (Verdict.CANNOT_TELL,) * 3
        # What it said of the holdout is still there to be compared.
        assert told[AUC] is not Verdict.CANNOT_TELL
        assert [gate.gate for gate in hard_failures(found.gates)] == [PARITY, LEAK]

    def test_a_model_whose_inputs_the_contract_no_longer_gives(self, world: World) -> None:
        first = world.put_into_production()
        model = tiny_model({"weight": 0.1, "leaves": 0.1})
        facts = facts_of(first.id, model_sha256=sha256_of(model))
        write_bundle(world.registry.folder / "plums" / "1", model, facts)
        deliver(world, "b1", 300)
        found = gather(world, world.train())
        assert any("It takes leaves" in note for note in found.notes)
        assert found.comparison(RowSet.HELD_BACK).note == "v1 cannot be asked about other rows."
        assert found.latency is not None
        assert found.latency.incumbent is None

    def test_another_contract_keeps_a_candidate_out(self, world: World) -> None:
        world.put_into_production()
        found = gather(world, world.train(fingerprint="another"))
        assert [gate.gate for gate in hard_failures(found.gates)] == [CONTRACT]

    def test_predictions_that_the_registered_model_does_not_repeat(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        world.keep_predictions(run.id, noise=1)
        found = gather(world, run)
        assert verdicts(found)[PARITY] is Verdict.FAIL

    def test_a_registry_that_is_down_is_for_later(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        world.registry.plug.pulled = True
        with pytest.raises(UnavailableError):
            gather(world, run)


def not_told(verdict: Verdict) -> bool:
    return verdict is Verdict.CANNOT_TELL


class TestCause:
    def test_the_check_behind_a_retrain_is_told(self, world: World, tmp_path: Path) -> None:
        world.put_into_production()
        check_id = world.tracker.create("plums", "check", {}, kind="check")
        file = tmp_path / "report.json"
        report = check_report()
        file.write_text(report.model_dump_json(), encoding="utf-8")
        world.tracker.log_files(check_id, file, Path(CHECK_REPORT).parent.as_posix())
        run = world.train()
        world.tracker.tag(run.id, {"cause": "critical drift", "check": check_id})
        cause = gather(world, run).cause
        assert cause is not None
        assert (cause.check_id, cause.why) == (check_id, "critical drift")
        assert (cause.level, cause.summary) == (report.verdict.level, report.verdict.summary)
        assert cause.features[0].column == report.features[0].column
        assert isinstance(cause.level, Level)
        assert cause.report_sha256 == sha256_of(file.read_bytes())

    @pytest.mark.parametrize("data", [b"{}", None])
    def test_a_report_that_was_changed_or_removed_makes_the_request_stale(
        self, world: World, service: EvidenceService, tmp_path: Path, data: bytes | None
    ) -> None:
        world.put_into_production()
        check_id = world.tracker.create("plums", "check", {}, kind="check")
        file = tmp_path / "report.json"
        file.write_text(check_report().model_dump_json(), encoding="utf-8")
        world.tracker.log_files(check_id, file, Path(CHECK_REPORT).parent.as_posix())
        run = world.train()
        world.tracker.tag(run.id, {"cause": "critical drift", "check": check_id})
        promotions = world.pilothouse.promotions
        promotions.consider(run)
        (request,) = promotions.requests("plums")
        assert world.pilothouse.evidence.verify(request) == service.read(request)
        world.tracker.put_file(check_id, CHECK_REPORT, data)
        with pytest.raises(ConflictError, match=r"stale now\. The report of the check behind"):
            promotions.approve(request.id, reason="The fares have settled.", actor="ben")
        (request,) = promotions.requests("plums")
        assert request.status is RequestStatus.STALE
        # What it was opened with can still be read.
        assert service.read(request).cause is not None

    def test_evidence_from_before_the_hash_was_kept_is_read(
        self, world: World, service: EvidenceService, tmp_path: Path
    ) -> None:
        world.put_into_production()
        run = world.train()
        world.tracker.tag(run.id, {"cause": "critical drift", "check": "c" * 32})
        values = json.loads(gather(world, run).canonical())
        del values["cause"]["report_sha256"]
        older = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
        path = "promotion/evidence-older.json"
        file = tmp_path / Path(path).name
        file.write_bytes(older)
        world.tracker.log_files(run.id, file, "promotion")
        found = service.verify(request_for(run, path, sha256_of(older)))
        assert found.cause is not None
        assert found.cause.report_sha256 == ""

    def test_a_report_that_is_gone_leaves_the_cause(self, world: World) -> None:
        world.put_into_production()
        run = world.train()
        world.tracker.tag(run.id, {"cause": "critical drift", "check": "c" * 32})
        cause = gather(world, run).cause
        assert cause is not None
        assert (cause.check_id, cause.level, cause.features) == ("c" * 32, None, ())


class TestFreeze:
    def test_frozen_evidence_is_read_back(self, world: World, service: EvidenceService) -> None:
        world.put_into_production()
        run = world.train()
        evidence = gather(world, run)
        frozen = service.freeze(evidence)
        assert frozen.path == f"promotion/evidence-{frozen.sha256}.json"
        assert frozen == service.freeze(evidence)
        assert service.read(request_for(run, frozen.path, frozen.sha256)) == evidence

    @pytest.mark.parametrize("data", [b"{}", None])
    def test_evidence_that_was_changed_or_removed_is_a_conflict(
        self, world: World, service: EvidenceService, data: bytes | None
    ) -> None:
        world.put_into_production()
        run = world.train()
        evidence = gather(world, run)
        frozen = service.freeze(evidence)
        world.tracker.put_file(run.id, frozen.path, data)
        with pytest.raises(ConflictError):
            service.read(request_for(run, frozen.path, frozen.sha256))
        if data is not None:
            # Nor is it put right in silence.
            with pytest.raises(ConflictError):
                service.freeze(evidence)

    def test_other_evidence_does_not_overwrite(
        self, world: World, service: EvidenceService
    ) -> None:
        world.put_into_production()
        run = world.train()
        first = gather(world, run)
        second = first.model_copy(update={"requested_by": "eve"})
        one, other = service.freeze(first), service.freeze(second)
        assert one.path != other.path
        assert service.read(request_for(run, one.path, one.sha256)) == first
        with pytest.raises(ConflictError):
            service.read(request_for(run, one.path, other.sha256))

    def test_a_request_from_before_there_was_evidence(
        self, world: World, service: EvidenceService
    ) -> None:
        with pytest.raises(NotFoundError):
            service.read(request_for(world.train(), "", ""))


class _Scorer:
    """Takes a set time for a record."""

    def __init__(self, clock: _Clock, seconds: float, asked: list[str], name: str) -> None:
        self._clock, self._seconds, self._asked, self._name = clock, seconds, asked, name

    def probabilities(self, columns: dict[str, np.ndarray]) -> None:
        rows = len(next(iter(columns.values())))
        self._clock.now += self._seconds * rows
        self._asked.append(self._name)


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestLatency:
    def test_both_are_timed_in_turns(self) -> None:
        clock, asked = _Clock(), []
        slow, fast = _Scorer(clock, 0.004, asked, "slow"), _Scorer(clock, 0.001, asked, "fast")
        found = time_models(PROBLEM, slow, fast, 7, clock)  # type: ignore[arg-type]
        assert found.candidate.single_p50_ms == pytest.approx(4)
        assert found.candidate.thousand_p95_ms == pytest.approx(4000)
        assert found.incumbent is not None
        assert found.incumbent.single_p95_ms == pytest.approx(1)
        timed = asked[2 * latency.WARM_UP :][: 2 * SINGLE_REPETITIONS]
        turns = [tuple(timed[at : at + 2]) for at in range(0, len(timed), 2)]
        assert set(turns[::2]) == {("slow", "fast")}
        assert set(turns[1::2]) == {("fast", "slow")}
        assert (found.single_repetitions, found.thousand_repetitions) == (
            SINGLE_REPETITIONS,
            THOUSAND_REPETITIONS,
        )

    def test_one_alone_is_timed_alone(self) -> None:
        clock = _Clock()
        found = time_models(PROBLEM, _Scorer(clock, 0.001, [], "one"), None, 7, clock)  # type: ignore[arg-type]
        assert found.incumbent is None
