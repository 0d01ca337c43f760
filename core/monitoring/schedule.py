"""When something is due by a cron expression: pure functions of times. All times are UTC."""

from __future__ import annotations

from datetime import datetime

from croniter import croniter


def require_cron(expression: str) -> str:
    """Returns the expression if it is one that ``due`` understands.

    Raises:
        ValueError: it has not the five fields of cron, or a field is out of range.
    """
    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise ValueError(
            f"{expression!r} is not a cron expression of five fields, such as '0 6 * * *'"
        )
    return expression


def due(expression: str, last: datetime, now: datetime) -> datetime | None:
    """The latest due time after ``last`` and not after ``now``; ``None`` if there is none.

    Times that were missed, such as during an outage, come to one: the latest.

    Args:
        expression: a cron expression of five fields.
        last: when it was last done, or since when it could have been.
        now: the present.
    """
    latest: datetime = croniter(expression, now).get_current(datetime)
    if not croniter.match(expression, now):
        latest = croniter(expression, now).get_prev(datetime)
    latest = latest.replace(second=0, microsecond=0)
    return latest if last < latest <= now else None
