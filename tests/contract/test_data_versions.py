"""What every store of data versions does: the one in memory and DVC's."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.adapters.dvc import DataVersions
from core.data.tables import file_md5
from core.data.training_data import TrainingDataStore, training_data_folder
from core.errors import UnavailableError
from tests.unit.core_fakes import FakeVersions

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Subject:
    """A store and the folder that its files lie in."""

    versions: DataVersions | FakeVersions
    folder: Path

    def write(self, name: str, content: bytes) -> Path:
        path = self.folder / "plums" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture(params=["fake", "dvc"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    folder = tmp_path / "batches"
    versions = FakeVersions() if request.param == "fake" else DataVersions(folder)
    return Subject(versions, folder)


@pytest.fixture
def dvc(tmp_path: Path) -> Subject:
    folder = tmp_path / "batches"
    return Subject(DataVersions(folder), folder)


def _cached(folder: Path) -> set[str]:
    """MD5 of everything in DVC's cache."""
    cache = folder / ".dvc" / "cache" / "files" / "md5"
    return {path.parent.name + path.name for path in cache.glob("*/*")}


class TestEveryStore:
    def test_a_file_is_named_by_its_md5_and_stays_in_place(self, subject: Subject) -> None:
        path = subject.write("a.parquet", b"plums")
        assert subject.versions.add(path) == file_md5(path)
        assert path.read_bytes() == b"plums"

    def test_a_forgotten_file_is_gone(self, subject: Subject) -> None:
        kept, gone = subject.write("a", b"1"), subject.write("b", b"2")
        for path in (kept, gone):
            subject.versions.add(path)
        subject.versions.forget(gone)
        assert [path.exists() for path in (kept, gone)] == [True, False]
        again = subject.write("b", b"3")
        assert subject.versions.add(again) == file_md5(again)

    def test_forgetting_what_is_not_whole(self, subject: Subject) -> None:
        subject.versions.forget(subject.folder / "plums" / "nothing")
        path = subject.write("a", b"never added")
        subject.versions.forget(path)
        assert not path.exists()


class TestTrainingData:
    """What runs were trained on, over either store."""

    @pytest.fixture(params=["fake", "dvc"])
    def versions(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> DataVersions | FakeVersions:
        is_fake = request.param == "fake"
        return FakeVersions() if is_fake else DataVersions(training_data_folder(tmp_path))

    def test_equal_data_is_one_version(
        self, versions: DataVersions | FakeVersions, tmp_path: Path
    ) -> None:
        store = TrainingDataStore(tmp_path, versions)
        runs = [tmp_path / "runs" / name / "raw.parquet" for name in "ab"]
        for rows in runs:
            rows.parent.mkdir(parents=True)
            rows.write_bytes(b"plums")
        kept = [store.keep("plums", rows) for rows in runs]
        assert kept == [f"training-data/plums/{file_md5(runs[0])}.parquet"] * 2
        # The workspace stays what it was, and nothing done to it reaches what is kept.
        runs[0].write_bytes(b"other")
        assert (tmp_path / kept[0]).read_bytes() == b"plums"
        assert store.keep("plums", runs[0]) != kept[0]
        assert len([*training_data_folder(tmp_path).glob("plums/*.parquet")]) == 2

    def test_dvc_has_it(self, tmp_path: Path) -> None:
        folder = training_data_folder(tmp_path)
        rows = tmp_path / "raw.parquet"
        rows.write_bytes(b"plums")
        kept = tmp_path / TrainingDataStore(tmp_path, DataVersions(folder)).keep("plums", rows)
        assert _cached(folder) == {file_md5(rows)}
        kept.unlink()
        tool = str(Path(sys.executable).with_name("dvc"))
        subprocess.run([tool, "checkout"], cwd=folder, capture_output=True, timeout=60, check=True)
        assert kept.read_bytes() == b"plums"


class TestDvc:
    def test_equal_bytes_are_kept_while_one_file_has_them(self, dvc: Subject) -> None:
        first, second = dvc.write("a", b"same"), dvc.write("b", b"same")
        md5 = dvc.versions.add(first)
        assert dvc.versions.add(second) == md5
        dvc.versions.forget(second)
        assert (_cached(dvc.folder), first.read_bytes()) == ({md5}, b"same")
        dvc.versions.forget(first)
        assert _cached(dvc.folder) == set()

    def test_rows_are_not_kept_twice(self, dvc: Subject) -> None:
        path = dvc.write("a", b"x" * 100_000)
        dvc.versions.add(path)
        held = sum(one.stat().st_blocks for one in {*dvc.folder.rglob("*")} if one.is_file())
        (cached,) = dvc.folder.glob(".dvc/cache/files/md5/*/*")
        assert cached.stat().st_ino == path.stat().st_ino or held < 2 * path.stat().st_blocks

    def test_an_entry_that_was_cut_off_is_forgotten(self, dvc: Subject) -> None:
        whole, broken = dvc.write("a", b"1"), dvc.write("b", b"2")
        for path in (whole, broken):
            dvc.versions.add(path)
        broken.with_name("b.dvc").write_text("outs:\n- md5: 12")
        dvc.versions.forget(broken)
        assert _cached(dvc.folder) == {file_md5(whole)}

    def test_the_command_line_of_dvc_knows_the_files(self, dvc: Subject) -> None:
        path = dvc.write("a", b"1")
        dvc.versions.add(path)
        tool = str(Path(sys.executable).with_name("dvc"))
        path.unlink()
        done = subprocess.run(
            [tool, "checkout"], cwd=dvc.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == b"1"

    def test_threads_take_turns(self, dvc: Subject) -> None:
        paths = [dvc.write(str(index), str(index).encode()) for index in range(4)]
        found: dict[Path, str] = {}
        threads = [
            threading.Thread(
                target=lambda path: found.update({path: dvc.versions.add(path)}), args=(path,)
            )
            for path in paths
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {path: file_md5(path) for path in paths}
        assert _cached(dvc.folder) == {*found.values()}

    def test_a_store_that_stays_busy_is_unavailable(self, dvc: Subject) -> None:
        import zc.lockfile

        dvc.versions.add(dvc.write("a", b"1"))
        waiting = DataVersions(dvc.folder, lock_timeout_s=0.1)
        lock = zc.lockfile.LockFile(str(dvc.folder / ".dvc" / "tmp" / "lock"))
        try:
            with pytest.raises(UnavailableError, match="Another process"):
                waiting.add(dvc.write("b", b"2"))
        finally:
            lock.close()
        waiting.add(dvc.write("b", b"2"))

    def test_it_says_nothing(self, dvc: Subject, capfd: pytest.CaptureFixture[str]) -> None:
        path = dvc.write("a", b"1")
        dvc.versions.add(path)
        dvc.versions.forget(path)
        assert capfd.readouterr() == ("", "")
