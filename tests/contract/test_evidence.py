"""Evidence over a real MLflow: read over HTTP, frozen there, changed behind the product's back."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.mlflow import RunTracker, connected_client
from core.adapters.mlflow_registry import ModelRegistry
from core.data.labelled import LabelledBatch
from core.data.tables import contract_columns
from core.domain import Batch, Promotion, PromotionRequest, RequestStatus, Run, RunStatus, Verdict
from core.errors import ConflictError
from core.params import load_params
from core.problems.contract import Problem
from core.promotion.evidence import Evidence, RowSet
from core.promotion.gates import AUC, hard_failures
from core.promotion.measuring import EvidenceService, Frozen
from core.scoring.scorer import Scorer
from core.settings import CODE_ROOT
from core.training.predictions import write_predictions
from tests.unit.core_fakes import BIAS, PROBLEM, facts_of, holdout_of_plums, report_of
from tests.unit.tiny_models import tiny_model

pytestmark = [
    pytest.mark.timeout(150),
    # As in test_model_registry.py.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
GOOD, WORSE = {"weight": 0.1}, {"weight": 0.1, "stones": 0.9}


class _OneBatch:
    def list(self, problem: str, limit: int) -> tuple[Batch, ...]:
        return (Batch("b1", problem, "a.csv", "0", "md5:0", 400, 400, "ann", NOW),)


@dataclass(frozen=True)
class Subject:
    """The service over one problem of its own, and where its versions come from."""

    problem: Problem
    tracker: RunTracker
    registry: ModelRegistry
    service: EvidenceService
    scratch: Path

    def train(self, weights: Mapping[str, float]) -> Run:
        run_id = self.tracker.create(self.problem.name, "run", {"profile": "2c-2g"})
        folder = self.scratch / run_id
        (folder / "spark").mkdir(parents=True)
        (folder / "spark" / "metadata").write_text("{}", encoding="utf-8")
        rows, model = holdout_of_plums(), tiny_model(weights, BIAS)
        said = Scorer(self.problem, model).probabilities(
            contract_columns(rows, self.problem.contract)
        )
        report = folder / "report"
        write_predictions(rows, said, self.problem.contract, report / "predictions.parquet")
        (report / "report.json").write_text(report_of().model_dump_json(), encoding="utf-8")
        self.tracker.log_files(run_id, report, "report")
        sha256 = hashlib.sha256(model).hexdigest()
        facts = facts_of(run_id, self.problem, model_sha256=sha256)
        version = self.registry.register(
            self.problem, model, facts, folder / "spark", {"family": "lr"}, folder / "scratch"
        )
        self.tracker.finish(run_id, RunStatus.FINISHED)
        return Run(
            run_id,
            self.problem.name,
            RunStatus.FINISHED,
            "2c-2g",
            "ann",
            NOW,
            model_version=version,
        )

    def gather(self, candidate: Run, incumbent: Run) -> Evidence:
        assert incumbent.model_version is not None
        promotion = Promotion(
            "p",
            self.problem.name,
            incumbent.model_version,
            incumbent.id,
            "bootstrap",
            "ann",
            "the first",
            NOW,
        )
        return self.service.gather("r1", candidate, promotion, "bob")

    def request(self, run: Run, frozen: Frozen) -> PromotionRequest:
        return PromotionRequest(
            id="r1",
            problem=self.problem.name,
            version=2,
            run_id=run.id,
            status=RequestStatus.OPEN,
            requested_by="bob",
            requested_at=NOW,
            incumbent_version=1,
            gates=(),
            evidence_path=frozen.path,
            evidence_sha256=frozen.sha256,
        )


@pytest.fixture
def subject(mlflow_url: str, tmp_path: Path) -> Subject:
    problem = replace(PROBLEM, name=f"plums-{uuid.uuid4().hex[:8]}")
    client = connected_client(mlflow_url)
    tracker, registry = RunTracker(client), ModelRegistry(client, mlflow_url)
    service = EvidenceService(
        load_params(CODE_ROOT / "params.yaml"),
        {problem.name: problem},
        tracker,
        registry,
        _OneBatch(),
        lambda _, batch_id: LabelledBatch(batch_id, holdout_of_plums(400, seed=9)),
        tmp_path / "home",
    )
    return Subject(problem, tracker, registry, service, tmp_path)


def test_evidence_is_gathered_frozen_and_read_back(subject: Subject) -> None:
    incumbent, candidate = subject.train(WORSE), subject.train(GOOD)
    evidence = subject.gather(candidate, incumbent)
    assert evidence.notes == ()
    assert hard_failures(evidence.gates) == ()
    assert {gate.gate: gate.verdict for gate in evidence.gates}[AUC] is Verdict.PASS
    assert evidence.comparison(RowSet.HELD_BACK).rows > 50
    frozen = subject.service.freeze(evidence)
    assert subject.service.freeze(evidence) == frozen
    assert subject.service.read(subject.request(candidate, frozen)) == evidence


def test_evidence_that_was_changed_in_mlflow_is_refused(subject: Subject, tmp_path: Path) -> None:
    incumbent, candidate = subject.train(GOOD), subject.train(GOOD)
    frozen = subject.service.freeze(subject.gather(candidate, incumbent))
    copy = tmp_path / Path(frozen.path).name
    copy.write_text("{}", encoding="utf-8")
    subject.tracker.log_files(candidate.id, copy, Path(frozen.path).parent.as_posix())
    with pytest.raises(ConflictError, match="changed"):
        subject.service.read(subject.request(candidate, frozen))


def test_what_is_not_there_cannot_be_told(subject: Subject) -> None:
    candidate = subject.train(GOOD)
    gone = replace(candidate, id="f" * 32, model_version=99)
    evidence = subject.gather(candidate, gone)
    assert {gate.gate: gate.verdict for gate in evidence.gates}[AUC] is Verdict.CANNOT_TELL
    assert hard_failures(evidence.gates) == ()
    assert evidence.notes[0].startswith("v99: MLflow has no version 99")
    missing = Frozen("promotion/evidence-0.json", "0" * 64)
    with pytest.raises(ConflictError, match="removed"):
        subject.service.read(subject.request(candidate, missing))
