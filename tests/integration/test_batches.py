"""Batches over real DVC and SQLite: malformed files, killed processes, two at once."""

from __future__ import annotations

import gzip
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.adapters.database import Database
from core.adapters.database_batches import BatchRecords
from core.bootstrap_store import connect_batch_versions
from core.data.batch_files import batches_folder
from core.data.batches import Added, BatchService
from core.errors import InvalidInputError
from core.problems.titanic import PROBLEM
from core.settings import CODE_ROOT, Settings, variable_of
from tests.s3 import S3Server
from tests.unit.core_fakes import INTAKE, make_trail

pytestmark = pytest.mark.timeout(300)

Row = dict[str, Any]
ROW: Row = {
    "PassengerId": 1,
    "Survived": 0,
    "Pclass": 3,
    "Name": '"Braund, Mr. Owen"',
    "Sex": "male",
    "Age": 22,
    "SibSp": 1,
    "Parch": 0,
    "Fare": 7.25,
    "Embarked": "S",
}


class House:
    """A home with what takes batches in."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = Database(f"sqlite:///{home / 'pilothouse.db'}")
        self.database.migrate()
        self.batches = BatchService(
            {PROBLEM.name: PROBLEM},
            BatchRecords(self.database),
            # A process of its own is told of the store by the environment as well.
            connect_batch_versions(Settings(home=home)),
            home,
            make_trail(self.database, home),
            INTAKE,
        )

    def add(self, content: bytes) -> Added:
        return self.batches.add("titanic", io.BytesIO(content), name="given", actor="ann")

    def files(self) -> dict[str, bytes | None]:
        """Everything below the folder of batches; a folder has no bytes."""
        folder = batches_folder(self.home)
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*")
        }

    def stored(self) -> list[str]:
        """Files of rows, and what DVC says of them."""
        return sorted(
            name
            for name, content in self.files().items()
            if content is not None and not name.startswith(".dvc")
        )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.database.close()


@pytest.fixture(params=["home", "s3"])
def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[str]]:
    """Where batches are kept; gives the names of the files of rows in the store, if it is one."""
    if request.param == "home":
        return list
    server: S3Server = request.getfixturevalue("s3")
    store = server.create_bucket()
    for name, value in server.settings(store).items():
        monkeypatch.setenv(variable_of(name), value)
    return lambda: [key for key in server.keys(store) if not key.endswith(".dvc")]


def csv_of(rows: list[Row], names: list[str] | None = None, sign: str = ",") -> bytes:
    names = names or list(ROW)
    lines = [sign.join(names)]
    lines += [sign.join(str(row.get(name, "")) for name in names) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def parquet_of(rows: list[Row], **changed: pa.Array) -> bytes:
    table = pa.Table.from_pylist(rows)
    for name, values in changed.items():
        table = table.set_column(table.column_names.index(name), name, values)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


#: Cells that break a hard rule, by column.
BROKEN_CELLS: dict[str, st.SearchStrategy[object]] = {
    "Pclass": st.sampled_from(["", "first", "0", "4", "2.5", "inf", "1e400", "0x1", "1 2"]),
    "Sex": st.just("") | st.integers(1_001, 3_000).map(lambda size: "x" * size),
    "Age": st.sampled_from(["old", "-1", "131", "-inf", "1970-01-01"]) | st.integers(131, 10**9),
    "SibSp": st.sampled_from(["", "none", "-1", "51", "0.5", "٣x"]),
    "Parch": st.sampled_from(["", "true", "-2", "1e9"]),
    "Fare": st.sampled_from(["free", "-0.01", "100001", "Infinity", "$5"]),
    "Survived": st.sampled_from(["yes", "2", "-1", "0.5", "inf"]) | st.text("abc", min_size=1),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "PassengerId": st.integers(1, 9_999),
            "Survived": st.sampled_from([0, 1, ""]),
            "Pclass": st.integers(1, 3),
            "Name": st.just(ROW["Name"]),
            "Sex": st.sampled_from(["male", "female"]),
            "Age": st.integers(0, 130) | st.just(""),
            "SibSp": st.integers(0, 8),
            "Parch": st.integers(0, 9),
            "Fare": st.floats(0, 500).map(lambda fare: round(fare, 2)),
            "Embarked": st.sampled_from(["S", "C", "Q", ""]),
        }
    ),
    min_size=1,
    max_size=8,
)
REQUIRED = ["Pclass", "Sex", "Age", "SibSp", "Parch", "Fare", "Embarked"]


def _typed(rows: list[Row]) -> list[Row]:
    return [{key: None if value == "" else value for key, value in row.items()} for row in rows]


@st.composite
def broken_cell(draw: st.DrawFn) -> bytes:
    rows, column = draw(ROWS), draw(st.sampled_from(sorted(BROKEN_CELLS)))
    index = draw(st.integers(0, len(rows) - 1))
    rows[index] = {**rows[index], column: draw(BROKEN_CELLS[column])}
    return csv_of(rows)


@st.composite
def missing_column(draw: st.DrawFn) -> bytes:
    gone = draw(st.sets(st.sampled_from(REQUIRED), min_size=1))
    return csv_of(draw(ROWS), [name for name in ROW if name not in gone])


@st.composite
def unknown_column(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(["", "survived", "Age ", "Unnamed: 0", "row_id", "at", "Fare€"]))
    return csv_of(draw(ROWS), [*ROW, name])


@st.composite
def repeated_column(draw: st.DrawFn) -> bytes:
    return csv_of(draw(ROWS), [*ROW, draw(st.sampled_from(list(ROW)))])


@st.composite
def ragged_row(draw: st.DrawFn) -> bytes:
    lines = csv_of(draw(ROWS)).splitlines()
    at = draw(st.integers(1, len(lines) - 1))
    lines[at] = draw(st.sampled_from([lines[at] + b",9", b"1,2,3", lines[at] + b',"open']))
    return b"\n".join(lines) + b"\n"


@st.composite
def other_encoding(draw: st.DrawFn) -> bytes:
    rows = [{**row, "Embarked": "Köln"} for row in draw(ROWS)]
    return csv_of(rows).decode().encode(draw(st.sampled_from(["latin-1", "utf-16", "utf-32"])))


@st.composite
def other_sign(draw: st.DrawFn) -> bytes:
    return csv_of(draw(ROWS), sign=draw(st.sampled_from([";", "\t", "|"])))


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    content = csv_of(draw(ROWS))
    if draw(st.booleans()):
        return gzip.compress(content, mtime=0)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("given.csv", content)
    return out.getvalue()


@st.composite
def without_header(draw: st.DrawFn) -> bytes:
    return csv_of(draw(ROWS)).partition(b"\n")[2]


@st.composite
def without_rows(draw: st.DrawFn) -> bytes:
    head = csv_of([]).rstrip()
    return head + b"\n" * draw(st.integers(0, 5)) if draw(st.booleans()) else b"\n" * 3


@st.composite
def cut_parquet(draw: st.DrawFn) -> bytes:
    whole = parquet_of(_typed(draw(ROWS)))
    return whole[: draw(st.integers(4, len(whole) - 1))]


@st.composite
def strange_parquet(draw: st.DrawFn) -> bytes:
    rows = _typed(draw(ROWS))
    column = draw(st.sampled_from(["Pclass", "SibSp", "Parch", "Fare"]))
    strange: list[list[object]] = [[[1]], [{"a": 1}], [b"1"], [True], ["one"], [-1], [1e9]]
    strange.append([float("inf")])
    if column != "Fare":  # which may be missing
        strange.append([None])
    values = draw(st.sampled_from(strange))
    return parquet_of(rows, **{column: pa.array(values * len(rows))})


@st.composite
def rubbish(draw: st.DrawFn) -> bytes:
    start = draw(st.sampled_from([b"", b"PAR1", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n", b"{}", b"\0"]))
    return start + draw(st.binary(max_size=200))


KINDS: dict[str, Callable[[], st.SearchStrategy[bytes]]] = {
    kind.__name__: kind
    for kind in (
        broken_cell,
        missing_column,
        unknown_column,
        repeated_column,
        ragged_row,
        other_encoding,
        other_sign,
        packed,
        without_header,
        without_rows,
        cut_parquet,
        strange_parquet,
        rubbish,
    )
}


def test_malformed_files_are_refused_with_a_reason_and_leave_nothing(house: House) -> None:
    good = csv_of([ROW])
    assert house.add(good).is_new
    # What is cleaned up after a first refusal is there before it: the folder it happens in.
    before = house.files()
    rows = house.batches.list("titanic")
    tried: dict[bytes, str] = {}

    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def refuse(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(sorted(KINDS)))
        content = data.draw(KINDS[kind]())
        tried[content] = kind
        with pytest.raises(InvalidInputError) as refused:
            house.add(content)
        assert refused.value.message.endswith(".")
        assert refused.value.fix
        assert house.files() == before
        assert house.batches.list("titanic") == rows

    refuse()
    assert len(tried) >= 200
    assert set(Counter(tried.values())) == set(KINDS)


SCRIPT = """
import sys, time
from pathlib import Path
from core.adapters.database_batches import BatchRecords
from tests.integration.test_batches import House
home, content, at = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
house = House(home)
def hang(*_):
    print("there", flush=True)
    time.sleep(600)
if at == "recording":
    BatchRecords.add = hang
def hear(share, doing):
    if doing == at:
        hang()
added = house.batches.add(
    "titanic", Path(content), name="given.csv", actor="bob", on_progress=hear
)
print(added.batch.id, added.is_new, flush=True)
"""


def _start(house: House, path: Path, at: str = "never") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(house.home), str(path), at],
        cwd=CODE_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("at", ["checking", "storing", "recording"])
def test_a_killed_process_leaves_nothing_that_lasts(
    bucket: Callable[[], list[str]], house: House, tmp_path: Path, at: str
) -> None:
    path = tmp_path / "given.csv"
    path.write_bytes(csv_of([ROW]))
    process = _start(house, path, at)
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert house.batches.list("titanic") == ()
    batch = house.add(path.read_bytes()).batch
    assert house.stored() == [
        f"titanic/{batch.id}.parquet",
        f"titanic/{batch.id}.parquet.dvc",
    ]
    assert not list((batches_folder(house.home) / "incoming").iterdir())
    cached = list((batches_folder(house.home) / ".dvc/cache/files/md5").glob("*/*"))
    assert len(cached) == 1
    md5 = batch.data_version.removeprefix("md5:")
    named = f"data-versions/batches/files/md5/{md5[:2]}/{md5[2:]}"
    assert bucket() in ([named], [])


def test_processes_that_add_at_once_do_not_break_each_other(
    bucket: Callable[[], list[str]], house: House, tmp_path: Path
) -> None:
    paths = []
    for index in range(3):
        paths.append(tmp_path / f"{index}.csv")
        # Two of them are the same file.
        paths[-1].write_bytes(csv_of([{**ROW, "Age": max(index, 1)}] * 50))
    processes = [_start(house, path) for path in paths]
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    ids, new = zip(*(out.split() for out, _ in told), strict=True)
    assert sorted(new) == ["False", "True", "True"]
    assert ids[0] == ids[1]
    batches = house.batches.list("titanic")
    assert {one.id for one in batches} == {*ids}
    for one in batches:
        assert house.batches.rows(one.id).num_rows == 50
    assert len(bucket()) in (0, 2)


def test_a_passenger_list_comes_back_reduced(house: House) -> None:
    batch = house.add(csv_of([ROW, {**ROW, "Survived": "", "Embarked": ""}])).batch
    assert (batch.rows, batch.given_labels) == (2, 1)
    assert batch.dropped == ("PassengerId", "Name")
    table = house.batches.rows(batch.id)
    assert table.column("Title").to_pylist() == ["Mr", "Mr"]
    assert "Braund" not in json.dumps(table.to_pylist())
    pointer = batches_folder(house.home) / "titanic" / f"{batch.id}.parquet.dvc"
    assert batch.data_version.removeprefix("md5:") in pointer.read_text()


def test_a_batch_among_a_thousand_is_added_in_seconds(house: House) -> None:
    house.add(csv_of([ROW]))
    (pointer,) = batches_folder(house.home).glob("titanic/*.dvc")
    text = pointer.read_text()
    for index in range(1_000):
        name = f"{index:032x}.parquet"
        own = text.replace(pointer.name.removesuffix(".dvc"), name)
        pointer.with_name(f"{name}.dvc").write_text(own)
    began = time.monotonic()
    house.add(csv_of([{**ROW, "Age": 5}]))
    # Were every entry read, it would take seconds even on an idle machine.
    assert time.monotonic() - began < 10
