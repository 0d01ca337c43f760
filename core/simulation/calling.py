"""Asks the served model and tells it labels over HTTP, as any caller does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import pyarrow as pa
from pydantic import BaseModel, ValidationError

from core.access.key_ring import KeyRing
from core.deployment.answers import Predicted, Refused
from core.errors import UnavailableError
from core.problems.contract import Contract, FieldType, Value
from core.services.certificate import own_clients
from core.settings import Settings

#: Records or labels of one request, where the server takes as many.
AT_ONCE = 1_000
REQUEST_TIMEOUT_S = 30.0
#: A version is switched or a proxy started anew in less; after that it is down.
PATIENCE_S = 60.0
POLL_S = 1.0


@dataclass(frozen=True)
class Asked:
    """One answered request of the rows ``first_row`` on."""

    request_id: str
    version: int
    first_row: int
    rows: int


class _Taken(BaseModel):
    taken: int


class Caller:
    """A caller with the installation's own key; ``most`` records fit into a request."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyRing,
        most: int,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._keys = keys
        self._at_once = min(most, AT_ONCE)
        self._http = httpx.Client(
            base_url=settings.serving_url,
            timeout=REQUEST_TIMEOUT_S,
            transport=transport,
            verify=own_clients(settings),
            trust_env=False,
        )

    def predict(self, problem: str, rows: pa.Table, contract: Contract) -> tuple[Asked, ...]:
        """Sends every row, some at a time, and says which request had which.

        Args:
            problem: name of the problem.
            rows: the contract's fields, laid out as ``batch_files`` says.
            contract: that of the problem.

        Raises:
            UnavailableError: the served model refuses or does not answer.
        """
        asked = []
        for first in range(0, rows.num_rows, self._at_once):
            records = list(_records(rows.slice(first, self._at_once), contract))
            body = {"records": records}
            answer = Predicted.model_validate_json(self._post(f"/predict/{problem}", body))
            asked.append(Asked(answer.request_id, answer.model_version, first, len(records)))
        return tuple(asked)

    def tell_labels(self, problem: str, asked: Sequence[Asked], labels: Sequence[Value]) -> int:
        """Sends the label of every row that was asked about, by request id; how many were taken.

        Args:
            problem: name of the problem.
            asked: the requests of the rows.
            labels: the contract's own values, one a row.

        Raises:
            UnavailableError: they are refused, or the server does not answer.
        """
        taken = 0
        for one in asked:
            said = [
                {"request_id": one.request_id, "index": index, "label": label}
                for index, label in enumerate(labels[one.first_row : one.first_row + one.rows])
            ]
            answer = self._post(f"/labels/{problem}", {"labels": said})
            taken += _Taken.model_validate_json(answer).taken
        return taken

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _post(self, path: str, body: Mapping[str, object]) -> bytes:
        """The body of an answer; what cannot be reached for a moment is asked again."""
        token = f"Bearer {self._keys.own_token()}" if self._keys.required else ""
        headers = {"Authorization": token} if token else {}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                response = self._http.post(path, json=body, headers=headers)
            except httpx.HTTPError as exc:
                said = f"The served models do not answer: {type(exc).__name__}."
            else:
                if response.is_success:
                    return response.content
                said = _said_by(response)
                if response.is_client_error:
                    raise UnavailableError(said, fix="Look at the installation's Serving page.")
            if time.monotonic() > deadline:
                raise UnavailableError(said, fix="Run `make status`, then `make up`.")
            time.sleep(POLL_S)


def _said_by(response: httpx.Response) -> str:
    try:
        said = Refused.model_validate_json(response.content).error.message
    except ValidationError:
        said = "no reason"
    return f"The served models answered with status {response.status_code}: {said}"


def _records(rows: pa.Table, contract: Contract) -> Iterator[dict[str, Value | None]]:
    """Rows as JSON has them: a number of an integer field is a whole one."""
    whole = {field.name for field in contract.fields if field.type is FieldType.INTEGER}
    for row in rows.select(contract.names).to_pylist():
        yield {
            name: int(value) if name in whole and value is not None else value
            for name, value in row.items()
        }
