"""Files that would do harm are refused in a sentence, and whoever takes them in stays small."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from core.data.batch_files import batches_folder
from core.data.confined import ConfinedParquet
from core.data.given_file import open_given
from core.data.names import shown_name
from core.data.turns import Turns, turns_folder
from core.errors import ConflictError, InvalidInputError
from core.params_intake import IntakeParams
from core.promotion.audit import Outcome
from core.settings import CODE_ROOT
from tests.unit.core_fakes import INTAKE, World, make_world
from tests.unit.hostile_files import MAGIC, parquet_of, plums, promising

HEADER = b"weight,stones,colour\n"
GOOD = HEADER + b"40,1,blue\n"
#: Small enough that a file of some MB is beyond them.
SMALL = INTAKE.model_copy(
    update={"max_file_mb": 64, "max_decoded_mb": 64, "max_rows": 1_000_000, "reader_mb": 256}
)
#: What Python, Arrow and pandas take before a file is opened is some 350 MiB; read as they
#: come, these files would take from ten times to a thousand times this.
MOST_MB = 1_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.close()


def _long_csv(kind: str) -> bytes:
    mb = b"x" * (1 << 20)
    return {
        "one line": mb * 40,
        "one field": HEADER + b"40,1," + mb * 40 + b"\n",
        "open quote": HEADER + b'40,1,"' + (mb[:1_000] + b"\n") * 40_000,
        "columns": b"a," * 1_000_000 + b"a\n" + b"1," * 1_000_000 + b"1\n",
        "named columns": b",".join(b"c%d" % i for i in range(5_000)) + b"\n",
        "values": HEADER + b"," * (40 << 20) + b"\n",
        "rows": HEADER + b"40,1,blue\n" * 1_100_000,
    }[kind]


#: Content and what is said of it.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "rows promised": (lambda: promising(10**9), "has 1,000,000,000 rows"),
    "rows repeated": (lambda: parquet_of(plums(1_000_001, "blue")), "1,000,000 is the most"),
    "nested for ever": (lambda: promising(1, depth=100_000), "cannot be read to its end"),
    "columns": (
        lambda: parquet_of({f"c{i}": pa.array([1]) for i in range(1_001)}),
        "has 1,001 columns",
    ),
    "pages decompress": (
        lambda: parquet_of({"weight": pa.array(np.zeros(10_000_000))}, use_dictionary=False),
        "has 10,000,000 rows",
    ),
    "promises little, decodes to much": (
        lambda: parquet_of(plums(500_000, "x" * 200)),
        "more than 64 MiB once it is decoded",
    ),
    "one text a million times": (
        lambda: parquet_of(plums(1_000_000, "x" * 1_000_000)),
        "takes more than 256 MiB of memory",
    ),
    "one long text": (
        lambda: parquet_of({**plums(1, "blue"), "colour": pa.array(["x" * (9 << 20)])}),
        "has a text of more than 8 MiB",
    ),
    "page of one text": (
        lambda: parquet_of({**plums(1, "blue"), "colour": pa.array(["x" * (70 << 20)])}),
        "more than 64 MiB once it is decoded",
    ),
    "footer of rubbish": (
        lambda: MAGIC + os.urandom(1 << 20) + b"\xff\xff\x0f\x00" + MAGIC,
        "neither CSV nor Parquet",
    ),
    "csv one line": (lambda: _long_csv("one line"), "neither CSV nor Parquet"),
    "csv one field": (lambda: _long_csv("one field"), "a row of more than 8 MiB"),
    "csv open quote": (lambda: _long_csv("open quote"), "a row of more than 8 MiB"),
    "csv columns": (lambda: _long_csv("columns"), "neither CSV nor Parquet"),
    "csv named columns": (lambda: _long_csv("named columns"), "has 5,000 columns"),
    "csv values": (lambda: _long_csv("values"), "a row of more than 8 MiB"),
    "csv rows": (lambda: _long_csv("rows"), "1,000,000 is the most"),
}


def test_hostile_files_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, (content, _) in HOSTILE.items():
        (folder / name).write_bytes(content())
    with (folder / "sparse").open("wb") as file:
        file.truncate(65 << 20)
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.intake_child", str(folder), SMALL.model_dump_json()],
        cwd=CODE_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "64 MiB is the most" in found["said"].pop("sparse")
    for name, (_, said) in HOSTILE.items():
        assert said in found["said"][name], name
    assert "accepted" not in found["said"].values()
    assert found["peak_mb"] < MOST_MB


def test_what_is_small_enough_is_read_in_full(tmp_path: Path) -> None:
    rows = 200_000
    path = tmp_path / "plums"
    path.write_bytes(parquet_of(plums(rows, "blue")))
    opened = open_given(path, "plums", INTAKE)
    assert isinstance(opened, ConfinedParquet)
    assert opened.names == ("weight", "stones", "colour")
    chunks = list(opened.chunks(["colour", "weight"]))
    assert len(chunks) > 1
    assert [one.table.column_names for one in chunks] == [["colour", "weight"]] * len(chunks)
    assert np.concatenate([one.rows for one in chunks]).tolist() == list(range(rows))
    assert chunks[-1].share == 1.0


def test_a_path_need_not_be_text(world: World, tmp_path: Path) -> None:
    path = tmp_path / "\udcff\udcfe.parquet"
    path.write_bytes(parquet_of(plums(3, "blue")))
    added = world.pilothouse.batches.add("plums", path, name=path.name, actor="ann")
    assert (added.batch.rows, added.batch.name) == (3, "??.parquet")


def test_a_reader_that_is_given_up_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "plums"
    path.write_bytes(parquet_of(plums(900_000, "blue")))
    chunks = open_given(path, "plums", INTAKE).chunks(["colour"])
    next(iter(chunks))
    readers = [
        one
        for one in psutil.Process().children()
        if "core.data.confined_reader" in " ".join(one.cmdline())
    ]
    assert readers
    chunks.close()  # type: ignore[attr-defined]
    assert not any(one.is_running() for one in readers)


def test_the_reader_is_told_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_ALERT_URL", "json://host/T0pSecretToken")
    path = tmp_path / "plums"
    path.write_bytes(parquet_of(plums(900_000, "blue")))
    chunks = open_given(path, "plums", INTAKE).chunks(["colour"])
    next(iter(chunks))
    (reader,) = (p for p in psutil.Process().children() if "confined_reader" in str(p.cmdline()))
    assert "T0pSecretToken" not in str(reader.environ())
    chunks.close()  # type: ignore[attr-defined]


def _tar(kind: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        member = tarfile.TarInfo("../../etc/passwd")
        member.size = len(GOOD)
        archive.addfile(member, io.BytesIO(GOOD))
    return out.getvalue()


def _zip(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return out.getvalue()


ARCHIVES: list[tuple[str, bytes]] = [
    ("gzip", gzip.compress(GOOD)),
    ("bzip2", bz2.compress(GOOD, 1)),
    ("bzip2", bz2.compress(GOOD, 9)),
    ("bzip2", bz2.compress(b"")),
    ("xz", lzma.compress(GOOD)),
    ("lzma", lzma.compress(GOOD, lzma.FORMAT_ALONE)),
    ("zip", _zip("monday.csv")),
    ("zip", _zip()),
    ("tar", _tar(tarfile.USTAR_FORMAT)),
    ("tar", _tar(tarfile.GNU_FORMAT)),
    ("tar", _tar(tarfile.PAX_FORMAT)),
    ("zstd", b"\x28\xb5\x2f\xfd" + GOOD),
    ("zstd", b"\x52\x2a\x4d\x18\x04\0\0\0" + GOOD),
    ("7z", b"7z\xbc\xaf\x27\x1c" + GOOD),
    ("rar", b"Rar!\x1a\x07\x01\0" + GOOD),
    ("rar", b"Rar!\x1a\x07\0" + GOOD),
    ("lz4", b"\x04\x22\x4d\x18" + GOOD),
    ("compress", b"\x1f\x9d\x90" + GOOD),
]


@pytest.mark.parametrize("name", ["monday.csv", "monday.parquet", "monday"])
@pytest.mark.parametrize(
    ("kind", "content"), ARCHIVES, ids=[f"{kind}-{i}" for i, (kind, _) in enumerate(ARCHIVES)]
)
def test_what_is_packed_is_refused_whatever_it_is_called(
    tmp_path: Path, kind: str, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError) as refused:
        open_given(tmp_path / name, name, INTAKE)
    assert refused.value.message == f"The file {name} is compressed ({kind})."
    assert "Unpack it" in refused.value.fix


def test_a_table_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    for first in (b"BZh9", b"LZIP", b"Rar!", b"x" * 257 + b"ustar"):
        path.write_bytes(first + b",weight\n1,2\n")
        assert open_given(path, "words.csv", INTAKE).names == (first.decode(), "weight")


class TestNames:
    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("../../etc/passwd", "../../etc/passwd"),
            ("/etc/passwd", "/etc/passwd"),
            ("C:\\Windows\\x.csv", "C:\\Windows\\x.csv"),
            ("a\0b.csv", "a�b.csv"),
            ("a\nERROR all is lost\r.csv", "a�ERROR all is lost�.csv"),
            ("a\u2028b\u2029c\x85d", "a�b�c�d"),
            ("\u202egpj.vsc", "�gpj.vsc"),
            ("zero\u200bwidth\ufeff", "zero�width�"),
            ("\x1b]0;title\x07\x1b[31m", "�]0;title��[31m"),
            ("\udcff.csv", "?.csv"),
            ("größe 名前.csv", "größe 名前.csv"),
            ("x" * 100_000, "x" * 200),
            ("  \t ", "�"),
            ("", "without a name"),
            (".", "."),
            ("..", ".."),
        ],
    )
    def test_it_is_text_in_records_and_trail_and_never_a_path(
        self, world: World, tmp_path: Path, name: str, shown: str
    ) -> None:
        core = world.pilothouse
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        batch = core.batches.add("plums", io.BytesIO(GOOD), name=name, actor="ann").batch
        labels = f"batch_id,row_id,taste\n{batch.id},0,sweet\n".encode()
        core.labels.add("plums", io.BytesIO(labels), name=name, actor="ann")
        assert batch.name == shown
        after = {path for path in tmp_path.rglob("*") if path.is_file()}
        own = {p.name for p in after - before}
        assert not any("passwd" in one or "x.csv" in one for one in own)
        stored = batches_folder(core.settings.home)
        assert {str(p.relative_to(stored)) for p in after if stored in p.parents} == {
            f"plums/{batch.id}.parquet"
        }
        rows = core.audit.list(2)
        assert rows[0].entry.object == f"file {shown}"
        assert shown in rows[1].entry.detail
        for row in rows:
            assert len(f"{row.entry.object}{row.entry.detail}".splitlines()) == 1

    def test_names_of_columns_are_one_short_line_as_well(self, world: World) -> None:
        bad = "x\nERROR all is lost " + "y" * 10_000
        names = {bad: pa.array([1]), **{f"c{i}": pa.array([1]) for i in range(500)}}
        with pytest.raises(InvalidInputError) as refused:
            world.pilothouse.batches.add(
                "plums", io.BytesIO(parquet_of(names)), name="a.parquet", actor="ann"
            )
        assert len(refused.value.message.splitlines()) == 1
        assert len(refused.value.message) < 1_000
        assert "and 491 more unknown" in refused.value.message
        for one in refused.value.offences:
            assert len(one.field) <= 80
            assert shown_name(one.field) == one.field


class TestSize:
    def test_a_stream_that_is_too_large_is_not_read(self, world: World) -> None:
        class Stream(io.BytesIO):
            def read(self, *args: int | None) -> bytes:
                raise AssertionError("it was read")

            read1 = readinto = read  # type: ignore[assignment]

        stream = Stream()
        stream.seek = lambda *args: INTAKE.max_bytes + 1  # type: ignore[method-assign]
        for add in (world.pilothouse.batches.add, world.pilothouse.labels.add):
            with pytest.raises(InvalidInputError, match=r"1,024.0 MiB; 1,024 MiB is the most"):
                add("plums", stream, name="a.csv", actor="ann")

    def test_a_stream_that_cannot_tell_is_cut_off(self, tmp_path: Path) -> None:
        class Endless(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, into: memoryview) -> int:  # type: ignore[override]
                into[:] = b"1" * len(into)
                return len(into)

        made = make_world(tmp_path, intake=SMALL)
        for add in (made.pilothouse.batches.add, made.pilothouse.labels.add):
            with pytest.raises(InvalidInputError, match="64 MiB is the most"):
                add("plums", io.BufferedReader(Endless()), name="a.csv", actor="ann")
        stored = batches_folder(made.pilothouse.settings.home)
        assert not [path for path in stored.rglob("*") if path.is_file()]
        made.close()

    def test_too_many_labels_are_not_held_in_memory(self, tmp_path: Path) -> None:
        made = make_world(tmp_path, intake=INTAKE.model_copy(update={"max_labels": 2}))
        labels = "batch_id,row_id,taste\n" + "b,0,sweet\n" * 3
        with pytest.raises(InvalidInputError, match="has 3 rows and perhaps more; 2 is the most"):
            made.pilothouse.labels.add(
                "plums", io.BytesIO(labels.encode()), name="a.csv", actor="ann"
            )
        made.close()


#: Takes a turn, says so, and keeps it until it is killed.
HOLDER = """
import sys, time
from pathlib import Path
from core.data.turns import Turns
from core.params_intake import IntakeParams
with Turns(Path(sys.argv[1]), IntakeParams.model_validate_json(sys.argv[2])).take():
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(home: Path, limits: IntakeParams) -> Iterator[subprocess.Popen[str]]:
    """Another process that is taking in a file."""
    argv = [sys.executable, "-c", HOLDER, str(turns_folder(home)), limits.model_dump_json()]
    with subprocess.Popen(argv, cwd=CODE_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


class TestTurns:
    LIMITS = INTAKE.model_copy(update={"at_once": 2, "wait_s": 0})

    def test_no_more_than_so_many_at_a_time_whichever_process(self, tmp_path: Path) -> None:
        made = make_world(tmp_path, intake=self.LIMITS)
        core = made.pilothouse
        home = core.settings.home
        labels = b"batch_id,row_id,taste\nb,0,sweet\n"
        with holder(home, self.LIMITS), holder(home, self.LIMITS) as second:
            for add, content in ((core.batches.add, GOOD), (core.labels.add, labels)):
                with pytest.raises(ConflictError) as refused:
                    add("plums", io.BytesIO(content), name="a.csv", actor="ann")
                assert "2 files are being taken in just now" in refused.value.message
                assert "Wait until one of them is done" in refused.value.fix
                row = core.audit.list(1)[0]
                assert (row.entry.outcome, row.entry.object) == (Outcome.REFUSED, "file a.csv")
            assert not batches_folder(home).exists()
            # A process that dies, however it does, gives its turn back.
            os.kill(second.pid, signal.SIGKILL)
            second.wait()
            assert core.batches.add("plums", io.BytesIO(GOOD), name="a.csv", actor="ann").is_new
        made.close()

    def test_the_next_one_waits_for_its_turn(self, tmp_path: Path) -> None:
        limits = INTAKE.model_copy(update={"at_once": 1, "wait_s": 60})
        entered, told = threading.Event(), list[str]()

        def wait() -> None:
            with Turns(tmp_path, limits).take():
                told.append("second")

        with Turns(tmp_path, limits).take():
            waiting = threading.Thread(target=wait)
            waiting.start()
            entered.wait(0.3)
            told.append("first")
        waiting.join()
        assert told == ["first", "second"]
