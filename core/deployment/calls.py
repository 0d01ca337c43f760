"""Answers of the served models to our own requests, and what their refusals mean."""

from __future__ import annotations

import re
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from core.deployment.answers import Detail, Refused
from core.errors import InvalidInputError, NotFoundError, Offence, UnavailableError

FIX = "Run `make status`, then `make up`."
_PLACE = re.compile(r"^records\[(\d+)\]\.?(.*)$", re.DOTALL)
_Model = TypeVar("_Model", bound=BaseModel)


def raise_refusal(response: httpx.Response) -> None:
    """Turns an error of the server into ours; does nothing with a success.

    Raises:
        InvalidInputError: the request broke a rule; every offence is named.
        NotFoundError: nothing is served there.
        UnavailableError: the server cannot answer it now.
    """
    if response.is_success:
        return
    error = read_answer(Refused, response).error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotFoundError(error.message, fix="Train and promote a model first.")
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise UnavailableError(
            "The served models do not know this installation's own key yet.",
            fix="The worker tells them within seconds; try again.",
        )
    if response.is_client_error:
        offences = [_offence(detail) for detail in error.details]
        raise InvalidInputError(error.message, offences=offences)
    raise UnavailableError(error.message, fix=FIX)


def _offence(detail: Detail) -> Offence:
    place = _PLACE.match(detail.field)
    if place is None:
        return Offence(detail.field, detail.problem)
    return Offence(place[2], detail.problem, int(place[1]))


def read_answer(model: type[_Model], response: httpx.Response) -> _Model:
    """An answer in the shape that it should have.

    Raises:
        UnavailableError: it has another.
    """
    try:
        return model.model_validate_json(response.content)
    except ValidationError as exc:
        raise UnavailableError(
            f"Something other than our server answers with status {response.status_code}.",
            fix="Look with `make status` whether another program took the port.",
        ) from exc
