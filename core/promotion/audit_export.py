"""The audit trail as files: JSON Lines with everything, CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC

from core.data.spreadsheets import harmless
from core.promotion.audit import AuditEntry, AuditRow

FIELDS = ("sequence", *AuditEntry.__dataclass_fields__, "previous", "hash")


def record_of(row: AuditRow) -> dict[str, int | str]:
    """Every field of a row, flat; times in ISO 8601, UTC."""
    at = row.entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    values = {"sequence": row.sequence, **asdict(row.entry), "at": at}
    return {**values, "previous": row.previous, "hash": row.hash}


def json_lines(rows: Iterable[AuditRow]) -> str:
    """One JSON object a line, in the order given."""
    return "".join(json.dumps(record_of(row), ensure_ascii=False) + "\n" for row in rows)


def csv_table(rows: Iterable[AuditRow]) -> str:
    """A header and one line a row; no cell is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: harmless(value) for name, value in record_of(row).items()})
    return out.getvalue()
