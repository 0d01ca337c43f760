"""Files the documents of requests with the runs of their versions."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.adapters.mlflow_registry import ModelRegistry
from core.domain import PromotionRequest
from core.errors import ConflictError, NotFoundError, PilothouseError
from core.problems.contract import Problem
from core.promotion.documents import DOSSIER, MODEL_CARD, documents
from core.promotion.measuring import FOLDER, EvidenceService
from core.promotion.promotions import PromotionService
from core.rollout.service import RolloutService

LOG = logging.getLogger(__name__)
#: Requests that are looked at; the older ones were filed in their time.
NEWEST = 50


class Papers:
    """Dossier and model card, written when a request opens and again when it is decided."""

    def __init__(
        self,
        problems: Mapping[str, Problem],
        tracker: RunTracker,
        registry: ModelRegistry,
        evidence: EvidenceService,
        promotions: PromotionService,
        rollouts: RolloutService,
    ) -> None:
        self._problems = problems
        self._tracker = tracker
        self._registry = registry
        self._evidence = evidence
        self._promotions = promotions
        self._rollouts = rollouts
        #: Requests as they stood when they were filed, so that MLflow is asked once for each.
        self._filed: set[tuple[str, str]] = set()

    def file_new(self) -> None:
        """Files what has opened or was decided since; to be called again and again.

        Raises:
            UnavailableError: MLflow or the database does not answer.
        """
        # The newest last: of two requests for a version it is the one that is named there.
        failures: list[PilothouseError] = []
        for request in reversed(self._promotions.requests(limit=NEWEST)):
            standing = (request.id, request.status.value)
            if standing in self._filed or request.problem not in self._problems:
                continue
            try:
                self._file(request)
                self._filed.add(standing)
            except PilothouseError as exc:
                # One that cannot be filed does not keep those after it waiting.
                failures.append(exc)
        if failures:
            raise failures[0]

    def _file(self, request: PromotionRequest) -> None:
        tag = f"documents.{request.id}"
        try:
            if self._tracker.get(request.run_id).tags.get(tag) == request.status.value:
                return
            evidence = self._evidence.read(request)
        except (ConflictError, NotFoundError) as exc:
            LOG.warning("no documents for request %s: %s", request.id, exc)
            return
        record = self._promotions.history(request.problem)
        written = documents(
            self._problems[request.problem],
            evidence,
            request,
            self._promotions.approvals(request.id),
            next((one for one in record if one.request_id == request.id), None),
            self._rollouts.shadows(request.problem, request.version, request.decided_at),
        )
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in written.items():
                (Path(scratch) / name).write_bytes(content)
            folder = f"{FOLDER}/{request.id}"
            self._tracker.log_files(request.run_id, Path(scratch), folder)
        self._attach(request, folder)
        self._tracker.tag(request.run_id, {tag: request.status.value})

    def _attach(self, request: PromotionRequest, folder: str) -> None:
        """Names the documents at the registered version, where people look for them."""
        found = {name.replace("-", "_"): f"{folder}/{name}.html" for name in (DOSSIER, MODEL_CARD)}
        try:
            self._registry.attach(request.problem, request.version, found)
        except NotFoundError:
            LOG.warning("%s v%d was deleted from the registry", request.problem, request.version)
