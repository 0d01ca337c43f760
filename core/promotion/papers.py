"""Files the documents of requests with the runs of their versions."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path

from core.adapters.mlflow import RunTracker
from core.domain import PromotionRequest
from core.errors import ConflictError, NotFoundError
from core.problems.contract import Problem
from core.promotion.documents import documents
from core.promotion.measuring import FOLDER, EvidenceService
from core.promotion.promotions import PromotionService

LOG = logging.getLogger(__name__)
#: Requests that are looked at; the older ones were filed in their time.
NEWEST = 50


class Papers:
    """Dossier and model card, written when a request opens and again when it is decided."""

    def __init__(
        self,
        problems: Mapping[str, Problem],
        tracker: RunTracker,
        evidence: EvidenceService,
        promotions: PromotionService,
    ) -> None:
        self._problems = problems
        self._tracker = tracker
        self._evidence = evidence
        self._promotions = promotions
        #: Requests as they stood when they were filed, so that MLflow is asked once for each.
        self._filed: set[tuple[str, str]] = set()

    def file_new(self) -> None:
        """Files what has opened or was decided since; to be called again and again.

        Raises:
            UnavailableError: MLflow or the database does not answer.
        """
        for request in self._promotions.requests(limit=NEWEST):
            standing = (request.id, request.status.value)
            if standing not in self._filed and request.problem in self._problems:
                self._file(request)
                self._filed.add(standing)

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
        )
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in written.items():
                (Path(scratch) / name).write_bytes(content)
            folder = f"{FOLDER}/{request.id}"
            self._tracker.log_files(request.run_id, Path(scratch), folder)
        self._tracker.tag(request.run_id, {tag: request.status.value})
