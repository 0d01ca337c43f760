"""What is taken in as a batch, what is refused, and what is left behind of either."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.database import Database
from core.adapters.database_batches import BatchRecords
from core.data import batches, reading_csv, reading_parquet
from core.data.batch_files import batch_file, batches_folder
from core.data.batches import BatchService
from core.domain import SoftFinding
from core.errors import DataContractError, InvalidInputError, NotFoundError, UnavailableError
from core.params_intake import IntakeParams
from core.problems.contract import Problem, ReducedInput
from tests.unit.core_fakes import INTAKE, PROBLEM, FakeVersions, make_trail
from tests.unit.stores import address_in

STAMPED = replace(
    PROBLEM,
    name="stamped",
    contract=replace(
        PROBLEM.contract,
        fields=(
            *PROBLEM.contract.fields[:2],
            replace(PROBLEM.contract.fields[2], nullable=True),
        ),
        identifiers=("tree",),
        leaky=("sugar",),
        reduced=(ReducedInput("note", "What was said", "a blue one", "colour", str.lower),),
        timestamp="picked",
    ),
)
COUNTED: Problem = replace(
    PROBLEM,
    name="counted",
    contract=replace(
        PROBLEM.contract, label=replace(PROBLEM.contract.label, positive=1, negative=0)
    ),
)
GOOD = "weight,stones,colour,taste\n40,1,blue,sweet\n50.5,,yellow,\n"


class Orchard:
    """A service over a real database and stand-ins for DVC."""

    def __init__(self, home: Path, limits: IntakeParams = INTAKE) -> None:
        self.home = home
        self.limits = limits
        self.database = Database(address_in(home))
        self.database.migrate()
        self.versions = FakeVersions()
        self.trail = make_trail(self.database, home)
        self.service = self.again()

    def again(self) -> BatchService:
        """The service as another process builds it."""
        problems = {one.name: one for one in (PROBLEM, STAMPED, COUNTED)}
        return BatchService(
            problems,
            BatchRecords(self.database),
            self.versions,  # type: ignore[arg-type]
            self.home,
            self.trail,
            self.limits,
        )

    def add(self, content: str | bytes, problem: str = "plums") -> batches.Added:
        given = content.encode() if isinstance(content, str) else content
        return self.service.add(problem, io.BytesIO(given), name="given.csv", actor="ann")

    def left(self) -> list[str]:
        """Files below the folder of batches."""
        folder = batches_folder(self.home)
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def is_empty(self) -> bool:
        folder = batches_folder(self.home) / "incoming"
        waiting = list(folder.iterdir()) if folder.exists() else []
        rows = [one for name in ("plums", "stamped") for one in self.service.list(name)]
        return not (self.left() or waiting or rows or self.versions.tracked)


@pytest.fixture
def orchard(tmp_path: Path) -> Iterator[Orchard]:
    made = Orchard(tmp_path)
    yield made
    made.database.close()


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


class TestAccepted:
    def test_a_csv_is_stored_typed_and_recorded(self, orchard: Orchard) -> None:
        added = orchard.add(GOOD)
        batch = added.batch
        assert added.is_new
        assert (batch.problem, batch.name, batch.added_by) == ("plums", "given.csv", "ann")
        assert (batch.rows, batch.given_labels) == (2, 1)
        place = batch_file(orchard.home, "plums", batch.id)
        assert batch.data_version == f"md5:{orchard.versions.tracked[place]}"
        assert orchard.left() == [f"plums/{batch.id}.parquet"]
        table = orchard.service.rows(batch.id)
        assert table.to_pydict() == {
            "row_id": [0, 1],
            "weight": [40.0, 50.5],
            "stones": [1.0, None],
            "colour": ["blue", "yellow"],
            "label": [1.0, None],
        }
        assert table.schema.types == [
            pa.int64(),
            pa.float64(),
            pa.float64(),
            pa.string(),
            pa.float64(),
        ]
        assert orchard.service.get(batch.id) == batch
        assert orchard.service.list("plums") == (batch,)

    def test_the_same_bytes_are_recognised(self, orchard: Orchard) -> None:
        first = orchard.add(GOOD)
        again = orchard.service.add(
            "plums", io.BytesIO(GOOD.encode()), name="another name.csv", actor="bob"
        )
        assert (again.batch, again.is_new) == (first.batch, False)
        assert len(orchard.left()) == 1
        assert orchard.add(GOOD + "60,2,blue,sour\n").is_new

    def test_a_parquet_file_gives_the_same_rows_as_a_csv(self, orchard: Orchard) -> None:
        csv = orchard.add(GOOD)
        table = pa.table(
            {
                "taste": pa.array(["sweet", None]).dictionary_encode(),
                "stones": pa.array([1, None], pa.int8()),
                "weight": pa.array([40.0, 50.5], pa.float32()),
                "colour": pa.array(["blue", "yellow"], pa.large_string()),
            }
        )
        parquet = orchard.add(_parquet(table))
        rows = [orchard.service.rows(one.batch.id) for one in (csv, parquet)]
        assert rows[0].equals(rows[1])
        assert csv.batch.data_version == parquet.batch.data_version

    def test_without_a_label_column_every_label_is_missing(self, orchard: Orchard) -> None:
        batch = orchard.add("weight,stones,colour\n40,1,blue\n").batch
        assert batch.given_labels == 0
        assert orchard.service.rows(batch.id).column("label").to_pylist() == [None]

    @pytest.mark.parametrize("ones", ["1", "1.0"])
    def test_labels_that_are_numbers_are_compared_as_numbers(
        self, orchard: Orchard, ones: str
    ) -> None:
        batch = orchard.add(
            f"weight,stones,colour,taste\n40,1,blue,{ones}\n40,1,blue,0\n40,1,blue,\n", "counted"
        ).batch
        assert orchard.service.rows(batch.id).column("label").to_pylist() == [1.0, 0.0, None]

    def test_what_must_not_be_kept_is_dropped_and_named(self, orchard: Orchard) -> None:
        batch = orchard.add(
            "tree,sugar,weight,stones,note,picked\n"
            "7,0.3,40,1,BLUE,2026-01-31T10:00:00+02:00\n"
            "8,0.2,95,1,secret,2026-01-30\n",
            "stamped",
        ).batch
        assert batch.dropped == ("tree", "sugar", "note")
        assert batch.first_at == datetime(2026, 1, 30, tzinfo=UTC)
        assert batch.last_at == datetime(2026, 1, 31, 8, tzinfo=UTC)
        assert batch.findings == (SoftFinding("weight", "outside the usual range 20 to 90", 1),)
        table = orchard.service.rows(batch.id)
        assert table.column_names == ["row_id", "weight", "stones", "colour", "label", "at"]
        assert table.column("colour").to_pylist() == ["blue", None]
        assert table.schema.field("at").type == pa.timestamp("us", tz="UTC")

    def test_times_of_a_parquet_file_may_be_times(self, orchard: Orchard) -> None:
        moments = pa.array([datetime(2026, 1, 31, 10, 0, 0, 7)], pa.timestamp("ns"))
        table = pa.table({"weight": [40], "stones": [1], "colour": ["blue"], "picked": moments})
        batch = orchard.add(_parquet(table), "stamped").batch
        assert batch.first_at == datetime(2026, 1, 31, 10, 0, 0, 7, tzinfo=UTC)

    def test_chunks_are_one_batch(self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 12)
        monkeypatch.setattr(reading_parquet, "CHUNK_ROWS", 300)
        weights = [20 + index % 80 for index in range(1_000)]
        rows = "".join(f"{weight},1,blue,sweet\n" for weight in weights)
        csv = orchard.add("weight,stones,colour,taste\n" + rows).batch
        table = pa.table(
            {"weight": weights, "stones": [1] * 1_000, "colour": ["blue"] * 1_000, "taste": "sweet"}
            | {"taste": ["sweet"] * 1_000}
        )
        parquet = orchard.add(_parquet(table)).batch
        for batch in (csv, parquet):
            assert (batch.rows, batch.given_labels) == (1_000, 1_000)
            assert sum(one.rows for one in batch.findings) == sum(w > 90 for w in weights)
            stored = orchard.service.rows(batch.id)
            assert stored.column("row_id").to_pylist() == list(range(1_000))
            assert stored.column("weight").to_pylist() == weights

    def test_progress_grows_to_the_end(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 12)
        told: list[tuple[float, str]] = []
        content = GOOD + "40,1,blue,sweet\n" * 2_000
        orchard.service.add(
            "plums",
            io.BytesIO(content.encode()),
            name="x",
            actor="ann",
            on_progress=lambda share, doing: told.append((share, doing)),
        )
        shares = [share for share, _ in told]
        assert shares == sorted(shares)
        assert (len(shares) > 5, shares[-1]) == (True, 1.0)
        assert list(dict.fromkeys(doing for _, doing in told)) == [
            "reading",
            "checking",
            "storing",
            "stored",
        ]

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../etc/passwd", "../../etc/passwd"),
            ("a\nb\x1b[31m", "a�b�[31m"),
            ("\udcff.csv", "?.csv"),
            ("", "without a name"),
            ("x" * 300, "x" * 200),
        ],
    )
    def test_a_name_is_shown_and_never_a_path(
        self, orchard: Orchard, name: str, shown: str
    ) -> None:
        batch = orchard.service.add(
            "plums", io.BytesIO(GOOD.encode()), name=name, actor="ann"
        ).batch
        assert batch.name == shown
        assert orchard.left() == [f"plums/{batch.id}.parquet"]


REFUSED: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is empty"),
    ("blank lines", b"\n\n\n", "neither CSV nor Parquet"),
    ("header only", GOOD.splitlines()[0].encode() + b"\n", "has no rows"),
    ("header without an end", GOOD.splitlines()[0].encode(), "has no rows"),
    ("picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "neither CSV nor Parquet"),
    ("gzip", gzip.compress(GOOD.encode()), "is compressed (gzip)"),
    ("zip", b"PK\x03\x04rest", "is compressed (zip)"),
    ("UTF-16", GOOD.encode("utf-16"), "is in UTF-16"),
    ("Latin-1", GOOD.replace("blue", "blü").encode("latin-1"), "is not in UTF-8"),
    ("Latin-1 header", GOOD.replace("colour", "cölour").encode("latin-1"), "is not in UTF-8"),
    ("semicolons", GOOD.replace(",", ";").encode(), "separated by semicolons"),
    ("tabs", GOOD.replace(",", "\t").encode(), "separated by tabs"),
    ("column twice", b"weight,weight\n1,2\n", "more than one column weight"),
    ("column missing", b"weight,colour\n40,blue\n", "stones missing"),
    ("column unknown", GOOD.replace("taste", "Taste").encode(), "'Taste' unknown"),
    ("index of pandas", b",weight,stones,colour\n0,40,1,blue\n", "'' unknown"),
    ("false Parquet", b"PAR1 and nothing else", "neither CSV nor Parquet"),
    ("short row", b"weight,stones,colour\n40,1,blue\n40,1\n", "2 values where the header has 3"),
    ("open quote", b'weight,stones,colour\n40,"1,blue\n41,1,blue\n', "values where the header has"),
    ("infinite", b"weight,stones,colour\ninf,1,blue\n", "inf is not finite"),
    ("label", GOOD.replace("sweet", "bitter").encode(), "'bitter' is no label"),
    ("long text", b"weight,stones,colour\n40,1," + b"x" * 1_001, "1001 characters"),
]


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "said"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
    )
    def test_it_says_why_and_leaves_nothing(
        self, orchard: Orchard, content: bytes, said: str
    ) -> None:
        with pytest.raises(InvalidInputError) as refused:
            orchard.add(content)
        assert said in refused.value.message
        assert refused.value.fix
        assert "given.csv" in refused.value.message or refused.value.offences
        assert orchard.is_empty()

    @pytest.mark.parametrize(
        ("column", "said"),
        [
            (pa.array([[1], [2]]), "list<"),
            (pa.array([{"a": 1}, {"a": 2}]), "struct<"),
            (pa.array([b"1", b"2"]), "binary"),
            (pa.array([True, False]), "'true' is not a number"),
            (pa.array([datetime(2026, 1, 1), None]), "is not a number"),
            (pa.array(["40", "many"]), "'many' is not a number"),
        ],
    )
    def test_types_of_parquet_that_are_no_numbers(
        self, orchard: Orchard, column: pa.Array, said: str
    ) -> None:
        table = pa.table({"weight": column, "stones": [1, 1], "colour": ["blue", "blue"]})
        with pytest.raises(InvalidInputError) as refused:
            orchard.add(_parquet(table))
        assert said in refused.value.message + str(refused.value.offences)
        assert orchard.is_empty()

    def test_a_damaged_parquet_file(self, orchard: Orchard) -> None:
        table = pa.table({"weight": [40.5 + i for i in range(5_000)], "stones": [1] * 5_000})
        content = bytearray(_parquet(table.append_column("colour", pa.array(["blue"] * 5_000))))
        content[200:4_000] = bytes(3_800)
        with pytest.raises(InvalidInputError, match="damaged"):
            orchard.add(bytes(content))
        assert orchard.is_empty()

    def test_every_offence_has_row_column_and_rule(self, orchard: Orchard) -> None:
        rows = ["40,1,blue,sweet", "0,9,,sour", "x,1,blue", "40,1,blue,bitter", "heavy,1,blue,"]
        with pytest.raises(DataContractError) as refused:
            orchard.add("\n".join(["weight,stones,colour,taste", *rows]))
        told = [(one.row, one.field, one.problem) for one in refused.value.offences]
        assert told == [
            (1, "colour", "a value is required"),
            (1, "stones", "9.0 is not at most 3"),
            (1, "weight", "0.0 is not at least 1"),
            (2, "all columns", "3 values where the header has 4"),
            (3, "taste", "'bitter' is no label"),
            (4, "weight", "'heavy' is not a number"),
        ]
        assert refused.value.message.startswith("6 values break the contract, the first colour")

    def test_offences_are_counted_over_the_whole_file(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 12)
        good, bad = "40,1,blue\n", "0,1,blue\n"
        content = "weight,stones,colour\n" + good * 5_000 + "1\n" + bad * 2_000
        with pytest.raises(DataContractError, match=r"^2,001 values break") as refused:
            orchard.add(content)
        assert [one.row for one in refused.value.offences] == list(range(5_000, 5_100))
        assert orchard.is_empty()

    def test_a_file_of_another_shape_is_given_up(self, orchard: Orchard) -> None:
        content = "weight,stones,colour\n" + "1,2\n" * 5_000
        with pytest.raises(InvalidInputError, match="1,000 rows and more"):
            orchard.add(content)
        assert orchard.is_empty()

    def test_a_row_longer_than_what_is_read_at_a_time(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading_csv, "BLOCK_BYTES", 1 << 20)
        with pytest.raises(InvalidInputError, match="a row of more than 1 MiB"):
            orchard.add(b"weight,stones,colour\n40,1," + b"x" * (3 << 20) + b"\n40,1,blue\n")
        assert orchard.is_empty()

    @pytest.mark.parametrize(
        ("time", "said"),
        [
            ("", "a time is required"),
            ("yesterday", "'yesterday' is not a date and time"),
            ("now", "'now' is not a date and time"),
            ("1767225600", "'1767225600' is not a date and time"),
            ("31.01.2026", "is not a date and time"),
            ("0001-01-01", "is not a date and time"),
            ("2026-02-30", "is not a date and time"),
        ],
    )
    def test_times_that_are_none(self, orchard: Orchard, time: str, said: str) -> None:
        content = f"weight,stones,picked\n40,1,2026-01-31\n40,1,{time}\n"
        with pytest.raises(DataContractError) as refused:
            orchard.add(content, "stamped")
        (offence,) = refused.value.offences
        assert (offence.row, offence.field) == (1, "picked")
        assert said in offence.problem
        assert orchard.is_empty()

    def test_what_is_no_file(self, orchard: Orchard, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path, error in (
            (tmp_path, InvalidInputError),
            (tmp_path / "pipe", InvalidInputError),
            (Path("/dev/zero"), InvalidInputError),
            (tmp_path / "nowhere.csv", NotFoundError),
            (Path("a\0b"), InvalidInputError),
        ):
            with pytest.raises(error):
                orchard.service.add("plums", path, name=path.name, actor="ann")
        assert orchard.is_empty()

    def test_an_unknown_problem(self, orchard: Orchard) -> None:
        for act in (lambda: orchard.add(GOOD, "pears"), lambda: orchard.service.list("pears")):
            with pytest.raises(NotFoundError, match="no problem called 'pears'"):
                act()

    def test_a_file_that_changes_meanwhile(self, orchard: Orchard, tmp_path: Path) -> None:
        path = tmp_path / "growing.csv"
        path.write_text(GOOD)

        def grow(share: float, doing: str) -> None:
            with path.open("a") as file:
                file.write("40,1,blue,sweet\n")

        with pytest.raises(InvalidInputError, match="changed while it was read"):
            orchard.service.add("plums", path, name="x", actor="ann", on_progress=grow)
        assert orchard.is_empty()
        assert path.exists()


class Killed(BaseException):
    """A process that ends where this is raised."""


class TestLeftovers:
    def test_what_fails_later_is_taken_back(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: BatchRecords, batch: object, also: object) -> None:
            raise UnavailableError("The database does not answer.")

        monkeypatch.setattr(BatchRecords, "add", fail)
        with pytest.raises(UnavailableError):
            orchard.add(GOOD)
        assert orchard.is_empty()

    @pytest.mark.parametrize("at", ["checking", "storing", "stored"])
    def test_an_interruption_leaves_nothing_but_what_is_whole(
        self, orchard: Orchard, at: str
    ) -> None:
        def interrupt(share: float, doing: str) -> None:
            if doing == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            orchard.service.add(
                "plums", io.BytesIO(GOOD.encode()), name="x", actor="a", on_progress=interrupt
            )
        if at == "stored":
            (batch,) = orchard.service.list("plums")
            assert orchard.left() == [f"plums/{batch.id}.parquet"]
        else:
            assert orchard.is_empty()

    def test_the_next_add_cleans_up_after_a_killed_process(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A killed process takes nothing back; its lock is gone with it.
        with monkeypatch.context() as patch:
            patch.setattr("core.data.incoming._take_back", lambda preparation, undo: None)
            patch.setattr(BatchRecords, "add", lambda self, batch, also: _raise(Killed))
            with pytest.raises(Killed):
                orchard.add(GOOD)
        assert len(orchard.versions.tracked) == 1
        assert not orchard.is_empty()
        with pytest.raises(InvalidInputError):
            orchard.add(b"")
        assert orchard.is_empty()

    def test_cleaning_up_waits_while_dvc_is_busy(
        self, orchard: Orchard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("core.data.incoming._take_back", lambda preparation, undo: None)
            patch.setattr(BatchRecords, "add", lambda self, batch, also: _raise(Killed))
            with pytest.raises(Killed):
                orchard.add(GOOD)
        orchard.versions.plug.pulled = True
        with pytest.raises(UnavailableError):
            orchard.add(GOOD)
        assert not orchard.is_empty()
        orchard.versions.plug.pulled = False
        batch = orchard.add(GOOD).batch
        assert orchard.left() == [f"plums/{batch.id}.parquet"]
        assert len(orchard.versions.tracked) == 1

    def test_nobody_cleans_up_what_goes_on(self, orchard: Orchard) -> None:
        other: list[batches.Added] = []

        def add_another(share: float, doing: str) -> None:
            if doing == "storing":
                content = GOOD + "60,1,blue,sour\n"
                other.append(
                    orchard.again().add(
                        "plums", io.BytesIO(content.encode()), name="y", actor="bob"
                    )
                )

        orchard.service.add(
            "plums", io.BytesIO(GOOD.encode()), name="x", actor="ann", on_progress=add_another
        )
        assert len(orchard.service.list("plums")) == len(orchard.left()) == 2

    def test_of_two_who_give_the_same_file_at_once_one_is_first(self, orchard: Orchard) -> None:
        gate = threading.Barrier(2)
        added: list[batches.Added] = []

        def add() -> None:
            def wait(share: float, doing: str) -> None:
                if doing == "storing":
                    gate.wait()

            added.append(
                orchard.again().add(
                    "plums", io.BytesIO(GOOD.encode()), name="x", actor="a", on_progress=wait
                )
            )

        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(one.is_new for one in added) == [False, True]
        assert added[0].batch == added[1].batch
        assert orchard.left() == [f"plums/{added[0].batch.id}.parquet"]


class TestReading:
    def test_batches_are_listed_newest_first(self, orchard: Orchard) -> None:
        ids = [orchard.add(GOOD + "40,1,blue,sweet\n" * index).batch.id for index in range(3)]
        assert [one.id for one in orchard.service.list("plums")] == ids[::-1]
        assert [one.id for one in orchard.service.list("plums", 2)] == ids[:0:-1]
        assert orchard.service.list("stamped") == ()

    def test_what_is_not_there(self, orchard: Orchard) -> None:
        for read in (orchard.service.get, orchard.service.rows):
            with pytest.raises(NotFoundError, match="no batch 'nobody'"):
                read("nobody")
        batch = orchard.add(GOOD).batch
        batch_file(orchard.home, "plums", batch.id).unlink()
        with pytest.raises(NotFoundError, match="are gone"):
            orchard.service.rows(batch.id)

    def test_two_batches_are_compared_the_other_one_first(self, orchard: Orchard) -> None:
        one, two = orchard.add(GOOD).batch, orchard.add(GOOD + "60,2,blue,sour\n").batch
        found = orchard.service.compare(two.id, one.id)
        assert (found.first.rows, found.second.rows) == (2, 3)
        other = orchard.add("weight,stones,picked\n40,1,2026-01-31\n", "stamped").batch
        with pytest.raises(InvalidInputError, match="is of plums"):
            orchard.service.compare(one.id, other.id)

    def test_a_batch_of_an_older_contract_is_compared_where_it_can_be(
        self, orchard: Orchard
    ) -> None:
        one, two = orchard.add(GOOD).batch, orchard.add(GOOD + "60,2,blue,sour\n").batch
        file = batch_file(orchard.home, "plums", one.id)
        older = pq.read_table(file).drop_columns(["colour"])
        file.unlink()
        pq.write_table(older, file)
        found = orchard.service.compare(two.id, one.id)
        assert "colour" not in {column.name for column in found.columns}
        (differs,) = [column for column in found.schema if column.differs]
        assert (differs.name, differs.first, differs.second) == ("colour", None, "text")
        with pytest.raises(NotFoundError, match="has no column colour"):
            orchard.service.rows(one.id, ["colour"])

    def test_a_batch_is_compared_with_the_reference(self, orchard: Orchard) -> None:
        batch = orchard.add(GOOD).batch
        with pytest.raises(NotFoundError, match="no reference"):
            orchard.service.compare(batch.id, "reference")
        rows = pa.concat_tables([orchard.service.rows(batch.id)] * 2)
        with_reference = BatchService(
            {"plums": PROBLEM},
            BatchRecords(orchard.database),
            orchard.versions,  # type: ignore[arg-type]
            orchard.home,
            orchard.trail,
            INTAKE,
            lambda problem: rows,
        )
        found = with_reference.compare(batch.id, "reference")
        assert (found.first.rows, found.second.rows) == (4, 2)


def _raise(error: type[BaseException]) -> None:
    raise error
