"""Requests that mean harm or are merely wrong, for every address that takes a body.

``requests()`` draws valid ones, of which the records are known, and what becomes of valid ones
when a value, the structure, the bytes or the headers are changed.
``tests.unit.hostile_answers`` says what is wrong with an answer.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.problems.contract import Problem
from tests.unit.protocols import (
    PROBLEMS,
    VERSION,
    Record,
    columns_of,
    csv_of,
    infer_binary,
    infer_document,
    records_of,
)

JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Request:
    """A POST. ``records`` are what a valid one asks for; ``None`` of one that was tampered with."""

    route: str
    problem: str
    path: str
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    records: Sequence[Record] | None = None
    change: str = "none"

    @property
    def given(self) -> dict[str, Any]:
        """What httpx takes."""
        return {"content": self.content, "headers": dict(self.headers)}


class Token(str):
    """A piece of a document that is written as it is, JSON or not."""


class Pairs(list[tuple[str, Any]]):
    """An object of which names may come twice."""


def text_of(value: Any) -> str:
    """A document as JSON, apart from its tokens."""
    if isinstance(value, Token):
        return str(value)
    if isinstance(value, Pairs | dict):
        pairs = value if isinstance(value, Pairs) else value.items()
        return "{" + ", ".join(f"{json.dumps(name)}: {text_of(of)}" for name, of in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def _split(records: Sequence[Record]) -> Record:
    rows = [list(record.values()) for record in records]
    return {"dataframe_split": {"columns": list(records[0]), "data": rows}}


def _labels(problem: Problem, records: Sequence[Record]) -> Record:
    value = problem.contract.label.positive
    return {
        "labels": [
            {"request_id": f"{abs(hash(str(record))):032x}"[-32:], "index": number, "label": value}
            for number, record in enumerate(records)
        ]
    }


#: Route -> address and document of some records.
DOCUMENTS: dict[str, tuple[str, Callable[[Problem, Sequence[Record]], Record]]] = {
    "predict": ("/predict/{}", lambda _, records: {"records": records}),
    "labels": ("/labels/{}", _labels),
    "infer": ("/v2/models/{}/infer", infer_document),
    "infer of a version": (
        f"/v2/models/{{}}/versions/{VERSION}/infer",
        lambda problem, records: infer_document(problem, records, nested=True),
    ),
    "dataframe_split": ("/invocations/{}", lambda _, records: _split(records)),
    "dataframe_records": ("/invocations/{}", lambda _, records: {"dataframe_records": records}),
    "instances": ("/invocations/{}", lambda _, records: {"instances": records}),
    "inputs": ("/invocations/{}", lambda _, records: {"inputs": columns_of(records)}),
}
ROUTES = (*DOCUMENTS, "infer, binary", "csv")


def _nested(depth: int, opening: str = "[", closing: str = "]") -> Token:
    return Token(opening * depth + closing * depth)


#: What is put in the place of a value.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 3.0, 3.5, "", "3", "male", "nan", [], {}, [1], {"a": 1}),
    *map(Token, ("NaN", "Infinity", "-Infinity", "nan", "1e999", "-1e999", "1e-999", "1e308")),
    *map(Token, ("-0", "-0.0", "00", "01", "1.", ".5", "+1", "0x10", "1_000", "undefined", "'a'")),
    *map(Token, ("2147483648", "9007199254740993", "9223372036854775808", "18446744073709551616")),
    *(Token("9" * 400), Token("9" * 5_000), Token("-" + "9" * 20_000), Token("0." + "1" * 30_000)),
    *(Token("1e" + "9" * 1_000), Token("1" + "0" * 300 + ".5")),
    *map(_nested, (2, 60, 1_100, 50_000)),
    *(_nested(1_100, '{"a":', "}"), Token("[" * 50_000), Token('{"a":' * 20_000)),
    *map(Token, ('"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\x"', '"\\u12"', '"\x01"', '"a')),
    *(
        "x" * 1_000,
        "x" * 1_001,
        "ä" * 1_000,
        "😀" * 1_001,
        "\ufeff",
        "\u202eevil",
        "../../etc/passwd",
    ),
    *(
        "__class__",
        "{{7*7}}",
        "'; DROP TABLE x; --",
        "<script>alert(1)</script>",
        "\r\nSet-Cookie: a",
    ),
)
_NAMES = ("", "records", "Age", "age", "Survived", "PassengerId", "\u0000", "x" * 500, "__proto__")


def _places(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _places(value, (*place, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from _places(value, (*place, number))


def _changed(document: Any, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not place:
        return change(document)
    first, *rest = place
    if isinstance(document, dict):
        return {
            name: _changed(value, tuple(rest), change) if name == first else value
            for name, value in document.items()
        }
    if isinstance(document, list):
        return [
            _changed(value, tuple(rest), change) if number == first else value
            for number, value in enumerate(document)
        ]
    return document  # an earlier change has left nothing at this place


def _restructured(value: Any, way: int, name: str) -> Any:
    """A value in another structure; what is no object gets into one."""
    if not isinstance(value, dict) or not value:
        return ({"value": value}, [value], [value, value], [])[way % 4]
    names = list(value)
    chosen = names[way % len(names)]
    return (
        {key: of for key, of in value.items() if key != chosen},
        {name if key == chosen else key: of for key, of in value.items()},
        Pairs([*value.items(), (chosen, value[chosen])]),
        Pairs([(chosen, None), *value.items()]),
        {**value, name: 1},
        [value],
        list(value.items()),
    )[way % 7]


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037", "utf-7")
_HEADERS: tuple[dict[str, str], ...] = (
    *(
        {"Content-Type": kind}
        for kind in ("text/plain", "application/xml", "image/png", "", "json")
    ),
    *({"Content-Type": kind} for kind in ("multipart/form-data; boundary=x", "text/csv", "*/*")),
    *({"Content-Type": f"application/json; charset={of}"} for of in ("latin-1", "utf-16", "x", "")),
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/vnd.apache.parquet"},
    {"Content-Type": "application/octet-stream"},
    {"Content-Type": "x" * 5_000},
    *({**JSON, "Content-Encoding": of} for of in ("gzip", "br", "deflate", "zstd", "nonsense")),
    *(
        {**JSON, LENGTH: of}
        for of in ("0", "1", "-1", "x", "", "1e3", "9" * 19, "0" * 30 + "9" * 6_000)
    ),
    {**JSON, "Expect": "100-continue"},
    {**JSON, "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
    {**JSON, "Accept": "text/html", "Accept-Encoding": "gzip", "Range": "bytes=0-1"},
    {**JSON, "Authorization": "Basic eDp5", "Cookie": "a=b" * 500},
    {**JSON, "Authorization": "Bearer " + "x" * 4_000},
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """One request to any address that takes a body."""
    valid = draw(_valid())
    how = draw(st.sampled_from(("none", "value", "structure", "anything", "bytes", "headers")))
    if how == "none":
        return valid
    tampered = replace(valid, records=None, change=how)
    if how == "headers":
        return replace(tampered, headers={**valid.headers, **draw(st.sampled_from(_HEADERS))})
    if how == "bytes" or valid.route not in DOCUMENTS:
        return replace(tampered, content=draw(_spoiled(valid.content)), change="bytes")
    if how == "anything":
        return replace(tampered, content=text_of(draw(_ANYTHING)).encode("utf-8", "surrogatepass"))
    document = json.loads(valid.content)
    places = list(_places(document))
    if how == "structure":
        way, name = draw(st.integers(0, 27)), draw(st.sampled_from(_NAMES) | st.text())
        place = draw(st.sampled_from(places))
        document = _changed(document, place, lambda of: _restructured(of, way, name))
    else:
        for place in draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            value = draw(st.sampled_from(VALUES) | _ANYTHING)
            document = _changed(document, place, lambda _, value=value: value)
    return replace(tampered, content=text_of(document).encode("utf-8", "surrogatepass"))


@st.composite
def _valid(draw: st.DrawFn) -> Request:
    name, route = draw(st.sampled_from(sorted(PROBLEMS))), draw(st.sampled_from(ROUTES))
    problem = PROBLEMS[name]
    records = records_of(problem, draw(st.integers(1, 5)), draw(st.integers(0, 2**32 - 1)))
    if route == "infer, binary":
        content, headers = infer_binary(problem, records)
        return Request(route, name, f"/v2/models/{name}/infer", content, headers, records)
    if route == "csv":
        headers = {"Content-Type": "text/csv"}
        return Request(route, name, f"/invocations/{name}", csv_of(records), headers, records)
    path, document = DOCUMENTS[route]
    content = json.dumps(document(problem, records)).encode()
    return Request(route, name, path.format(name), content, records=records)


@st.composite
def _spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    way = draw(st.integers(0, 7))
    if way == 0:
        return content[:at]
    if way == 1:
        return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]
    if way == 2:
        return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at + 4 :]
    if way == 3:
        text = content.decode("utf-8", "replace")
        return text.encode(draw(st.sampled_from(_ENCODINGS)), "replace")
    if way == 4:
        return gzip.compress(content, mtime=0)
    if way == 5:
        return content * draw(st.integers(2, 4))
    if way == 6:
        return random.Random(at).randbytes(at)
    return content[at:]


#: Generated, and neither kept, shrunk nor timed.
SAME_EACH_TIME = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def run(count: int, seed_of: str, ask: Callable[[Request], None]) -> None:
    """Gives ``count`` requests to ``ask``: the same ones each time."""

    @settings(SAME_EACH_TIME, max_examples=count)
    @given(requests())
    def each(request: Request) -> None:
        ask(request)

    each.__name__ = each.__qualname__ = seed_of
    each()
