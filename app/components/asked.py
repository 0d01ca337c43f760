"""What the address names although a list of the newest leaves it out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeVar

from app.components.failures import Failure, attempt, show_failure

_T = TypeVar("_T")


def older(asked: Iterable[str], listed: Collection[str], read: Callable[[str], _T]) -> list[_T]:
    """Reads what was asked for and is not listed; draws why where it cannot be read.

    Args:
        asked: ids in the address; empty ones count for nothing.
        listed: ids that are known already.
        read: reads one, of whichever problem.
    """
    found: list[_T] = []
    # Named twice, it is still one.
    for one in dict.fromkeys(asked):
        if one and one not in listed:
            answer = attempt(partial(read, one))
            if isinstance(answer, Failure):
                show_failure(answer)
            else:
                found.append(answer)
    return found
