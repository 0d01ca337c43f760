"""Promotion requests and the promotion record as data frames and periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from app.charts import Period
from app.components import words
from core.domain import GateResult, Promotion, PromotionRequest, RequestStatus, Verdict

#: A sign before the word, so that colour is never the only hint.
_SIGNS = {
    RequestStatus.OPEN: "◌",
    RequestStatus.APPROVED: "✓",
    RequestStatus.REJECTED: "✕",
    RequestStatus.SUPERSEDED: "↷",
    RequestStatus.STALE: "◇",
    RequestStatus.ROLLING_OUT: "▶",
    RequestStatus.ROLLED_BACK: "↶",
}


def request_word(status: RequestStatus) -> str:
    """Where a request stands, as a word with a sign."""
    return f"{_SIGNS[status]} {status.value.replace('_', ' ')}"


def gates_summary(gates: Sequence[GateResult]) -> str:
    """How many gates say what, such as ``3 pass, 1 cannot tell``."""
    counted = {verdict: sum(gate.verdict is verdict for gate in gates) for verdict in Verdict}
    return ", ".join(f"{number} {verdict.value}" for verdict, number in counted.items() if number)


def against(request: PromotionRequest) -> str:
    """What a candidate is held against."""
    if request.incumbent_version is None:
        return "no version in Production"
    return f"v{request.incumbent_version} in Production"


def requests_frame(requests: Sequence[PromotionRequest]) -> pd.DataFrame:
    """Requests as rows, in the order given."""
    return pd.DataFrame(
        {
            "Problem": [one.problem for one in requests],
            "Version": [f"v{one.version}" for one in requests],
            "Status": [request_word(one.status) for one in requests],
            "Against": [against(one) for one in requests],
            "Gates": [gates_summary(one.gates) for one in requests],
            # Without a zone: pyarrow's way with zoned columns is deprecated in pandas.
            "Asked (UTC)": [_naive(one.requested_at) for one in requests],
            "Asked by": [one.requested_by for one in requests],
            "Decided by": [one.decided_by or "" for one in requests],
            "Reason": [one.reason or "" for one in requests],
            "Request": [one.id for one in requests],
        }
    )


def periods(record: Sequence[Promotion], now: datetime) -> tuple[Period, ...]:
    """What was Production from when to when, newest first as the record is."""
    ends = [now, *(one.since for one in record)]
    return tuple(
        Period(
            version=one.version,
            begin=one.since,
            end=end,
            rule=one.rule,
            decided_by=one.decided_by,
            reason=one.reason,
            goes_on=at == 0,
        )
        for at, (one, end) in enumerate(zip(record, ends, strict=False))
    )


def history_frame(record: Sequence[Promotion], now: datetime) -> pd.DataFrame:
    """The promotion record as rows, newest first: version, period, rule, who and why."""
    served = periods(record, now)
    return pd.DataFrame(
        {
            "Version": [f"v{one.version}" for one in record],
            "From (UTC)": [_naive(one.begin) for one in served],
            "To (UTC)": [None if one.goes_on else _naive(one.end) for one in served],
            "Answering since (UTC)": [
                None if one.live_at is None else _naive(one.live_at) for one in record
            ],
            "Answering after (s)": [one.answering_after_s for one in record],
            "Rule": [one.rule for one in record],
            "Decided by": [one.decided_by for one in record],
            "Evidence": [
                f"approvals?request={one.request_id}" if one.request_id else None for one in record
            ],
            "Reason": [one.reason for one in record],
            "Passed over": ["; ".join(one.passed_over) for one in record],
            "Four eyes": [one.four_eyes for one in record],
        }
    )


def earlier_versions(record: Sequence[Promotion]) -> Mapping[int, Promotion]:
    """Versions to go back to with their newest entry, newest first; not the one that serves."""
    found: dict[int, Promotion] = {}
    for one in record:
        if one.version != record[0].version:
            found.setdefault(one.version, one)
    return found


def _naive(moment: datetime) -> datetime:
    return words.utc(moment).replace(tzinfo=None)
