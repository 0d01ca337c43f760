"""Bodies of requests, of almost the size that is taken, that would be much to whoever reads them.

Run as a program, it gives those of a folder to the decoders of Titanic and says what came of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from core.errors import InvalidInputError
from serve.labels import LabelDecoder
from serve.schemas import NumberError, RecordDecoder
from serve.validation import explain
from tests.serving_support import RECORD, TITANIC

#: A little less than ``serving.max_body_mb``.
SIZE = 15 << 20
RECORDS = 10_000


def _record(field: str, value: str) -> bytes:
    """A request of one record in which a field has this text as its value."""
    others = json.dumps({name: given for name, given in RECORD.items() if name != field})
    return f'{{"records": [{others[:-1]}, "{field}": {value}}}]}}'.encode()


def _label(field: str, value: str) -> bytes:
    given = {"request_id": f'"{"0" * 32}"', "index": "0", "label": "1", field: value}
    body = ", ".join(f'"{name}": {text}' for name, text in given.items())
    return f'{{"labels": [{{{body}}}]}}'.encode()


def _brackets(depth: int) -> str:
    return "[" * depth + "]" * depth


BODIES: dict[str, Callable[[], bytes]] = {
    "lists in lists": lambda: b"[" * SIZE,
    "objects in objects": lambda: b'{"a":' * (SIZE // 5),
    "records in records": lambda: b'{"records":' * (SIZE // 11),
    "depth in an ignored field": lambda: _record("PassengerId", _brackets(SIZE // 2)),
    "some depth in an ignored field": lambda: _record("PassengerId", _brackets(100_000)),
    "digits": lambda: _record("Age", "1" * SIZE),
    "digits of a whole number": lambda: _record("SibSp", "1" * SIZE),
    "a fraction": lambda: _record("Age", "0." + "1" * SIZE),
    "an exponent": lambda: _record("Fare", "1e" + "9" * SIZE),
    "a text": lambda: _record("Embarked", f'"{"x" * SIZE}"'),
    "an escaped text": lambda: _record("Embarked", '"' + "\\u0000" * (SIZE // 6) + '"'),
    "a name": lambda: _record("Name", f'"{", Mr. " * (SIZE // 6)}"'),
    "half characters": lambda: _record("Embarked", '"' + "\\ud800" * (SIZE // 6) + '"'),
    "a field's name": lambda: _record("z" * SIZE, "1"),
    "empty records": lambda: b'{"records":[' + b"{}," * (SIZE // 3) + b"{}]}",
    "empty lists": lambda: b"[" + b"[]," * (SIZE // 3) + b"[]]",
    "fields": lambda: b"{" + b",".join(b'"%x":1' % i for i in range(SIZE // 10)) + b"}",
    "spaces": lambda: b" " * SIZE,
    "no text": lambda: b"\xff" * SIZE,
    "an id": lambda: _label("request_id", f'"{"0" * SIZE}"'),
    "an id of two lines": lambda: _label("request_id", '"' + "0" * 32 + '\\n"'),
    "an index": lambda: _label("index", "1" * SIZE),
    "an index as a fraction": lambda: _label("index", "0." + "0" * SIZE),
    "a label": lambda: _label("label", "1" * SIZE),
    "empty labels": lambda: b'{"labels":[' + b"{}," * (SIZE // 3) + b"{}]}",
}


def _predicted(decoder: RecordDecoder, body: bytes) -> list[str]:
    try:
        decoder.columns(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, NumberError) as exc:
        return _told(explain(body, TITANIC.contract, RECORDS, str(exc)))
    return []


def _labelled(decoder: LabelDecoder, body: bytes) -> list[str]:
    try:
        decoder.decode(body)
    except InvalidInputError as exc:
        return _told(exc)
    return []


def _told(exc: InvalidInputError) -> list[str]:
    return [exc.message, *(f"{one.field}: {one.problem}" for one in exc.offences)]


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (peak_kb,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak_kb) / 1024


def main(folder: Path) -> None:
    """Prints what was told of each body in a folder, and how much memory all of it took."""
    predictions = RecordDecoder(TITANIC.contract, RECORDS)
    labels = LabelDecoder(TITANIC.contract, RECORDS)
    before, told = _peak_mb(), {}
    for path in sorted(folder.iterdir()):
        body = path.read_bytes()
        told[path.name] = (_predicted(predictions, body), _labelled(labels, body))
    sys.stdout.write(json.dumps({"told": told, "grown_mb": _peak_mb() - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
