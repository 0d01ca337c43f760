"""What every store of data versions does: the one in memory, DVC's, and DVC's with an S3 store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.adapters.dvc import DataVersions
from core.data.tables import file_md5
from core.data.training_data import TrainingDataStore, training_data_folder
from core.errors import UnavailableError
from core.settings_store import S3Store
from tests.ray_head import free_ports
from tests.s3 import S3Server
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


def _made(request: pytest.FixtureRequest, folder: Path) -> DataVersions | FakeVersions:
    if request.param == "fake":
        return FakeVersions()
    is_stored = request.param == "s3"
    return DataVersions(
        folder, request.getfixturevalue("s3").create_bucket() if is_stored else None
    )


@pytest.fixture(params=["fake", "dvc", "s3"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    folder = tmp_path / "batches"
    return Subject(_made(request, folder), folder)


@pytest.fixture(params=["dvc", "s3"])
def dvc(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    folder = tmp_path / "batches"
    return Subject(_made(request, folder), folder)


@pytest.fixture
def store(s3: S3Server) -> S3Store:
    return s3.create_bucket()


@pytest.fixture
def stored(store: S3Store, tmp_path: Path) -> Subject:
    folder = tmp_path / "batches"
    return Subject(DataVersions(folder, store), folder)


def _cached(folder: Path) -> set[str]:
    """MD5 of everything in DVC's cache."""
    cache = folder / ".dvc" / "cache" / "files" / "md5"
    return {path.parent.name + path.name for path in cache.glob("*/*")}


class TestEveryStore:
    def test_a_file_is_named_by_its_md5_and_stays_in_place(self, subject: Subject) -> None:
        path = subject.write("a.parquet", b"plums")
        assert subject.versions.add(path) == file_md5(path)
        assert path.read_bytes() == b"plums"

    def test_a_file_is_known_once_it_was_taken(self, subject: Subject) -> None:
        path = subject.write("a", b"1")
        assert not subject.versions.knows(path)
        subject.versions.add(path)
        assert subject.versions.knows(path)
        subject.versions.fetch(path)
        assert path.read_bytes() == b"1"

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

    @pytest.fixture(params=["fake", "dvc", "s3"])
    def versions(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> DataVersions | FakeVersions:
        return _made(request, training_data_folder(tmp_path))

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


def _in_store(s3: S3Server, store: S3Store) -> tuple[set[str], list[str]]:
    """MD5 of every object in the store, and the entries beside them."""
    folder = "data-versions/batches/"
    names = [key.removeprefix(folder) for key in s3.keys(store) if key.startswith(folder)]
    assert len(names) == len(s3.keys(store))
    objects = {name for name in names if name.startswith("files/md5/")}
    md5s = {name.removeprefix("files/md5/").replace("/", "") for name in objects}
    return md5s, sorted({*names} - objects)


class TestStore:
    """What lies in the S3 store, and what is read from there."""

    def test_each_file_is_there_by_its_hash_with_its_entry(
        self, s3: S3Server, store: S3Store, stored: Subject
    ) -> None:
        md5 = {name: stored.versions.add(stored.write(name, name.encode())) for name in "ab"}
        assert _in_store(s3, store) == ({*md5.values()}, ["plums/a.dvc", "plums/b.dvc"])
        stored.versions.forget(stored.folder / "plums" / "a")
        assert _in_store(s3, store) == ({md5["b"]}, ["plums/b.dvc"])

    def test_equal_bytes_stay_while_an_entry_names_them(
        self, s3: S3Server, store: S3Store, stored: Subject, tmp_path: Path
    ) -> None:
        md5 = {stored.versions.add(stored.write(name, b"same")) for name in "abc"}
        stored.versions.forget(stored.folder / "plums" / "a")
        assert _in_store(s3, store) == (md5, ["plums/b.dvc", "plums/c.dvc"])
        # The folder is lost: what the store itself says of the others counts.
        shutil.rmtree(stored.folder)
        stored.versions.add(stored.write("d", b"same"))
        stored.versions.forget(stored.folder / "plums" / "d")
        assert _in_store(s3, store) == (md5, ["plums/b.dvc", "plums/c.dvc"])

    def test_what_the_store_does_not_have_yet_may_be_needed_here(
        self, s3: S3Server, store: S3Store, stored: Subject
    ) -> None:
        md5 = stored.versions.add(stored.write("a", b"same"))
        # Another process is just before writing its entry to the store.
        DataVersions(stored.folder).add(stored.write("b", b"same"))
        stored.versions.forget(stored.folder / "plums" / "a")
        assert _in_store(s3, store) == ({md5}, [])

    @pytest.mark.parametrize("content", [b"", b"plums" * 3_000_000], ids=["empty", "parts"])
    def test_a_missing_file_comes_back_whole(self, stored: Subject, content: bytes) -> None:
        path = stored.write("a", content)
        stored.versions.add(path)
        shutil.rmtree(stored.folder)
        stored.versions.fetch(path)
        assert path.read_bytes() == content
        assert sorted(one.name for one in path.parent.iterdir()) == ["a", "a.dvc"]
        assert stored.versions.knows(path)
        # It is what DVC knows again, and goes as any other.
        stored.versions.forget(path)
        assert [*path.parent.iterdir()] == []

    def test_many_may_fetch_at_once(self, stored: Subject) -> None:
        path = stored.write("a", b"plums" * 100_000)
        stored.versions.add(path)
        shutil.rmtree(stored.folder)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(stored.versions.fetch, path) for _ in range(8)]:
                done.result()
        assert path.read_bytes() == b"plums" * 100_000
        assert sorted(one.name for one in path.parent.iterdir()) == ["a", "a.dvc"]

    def test_what_a_killed_process_left_goes_when_the_file_comes(self, stored: Subject) -> None:
        path = stored.write("a", b"1")
        stored.versions.add(path)
        path.unlink()
        old, new = (path.with_name(f".a.{name}") for name in ("old", "new"))
        for one in (old, new):
            one.write_bytes(b"half")
        two_days_ago = time.time() - 2 * 86_400
        os.utime(old, (two_days_ago, two_days_ago))
        stored.versions.fetch(path)
        assert (path.exists(), old.exists(), new.exists()) == (True, False, True)

    def test_what_nobody_has_does_not_come(self, stored: Subject) -> None:
        path = stored.folder / "plums" / "nothing"
        stored.versions.fetch(path)
        assert not path.exists()

    def test_other_bytes_than_were_stored_are_refused(
        self, s3: S3Server, store: S3Store, stored: Subject
    ) -> None:
        path = stored.write("a", b"plums")
        md5 = stored.versions.add(path)
        path.unlink()
        key = f"{store.prefix}/data-versions/batches/files/md5/{md5[:2]}/{md5[2:]}"
        s3.client().put_object(Bucket=store.bucket, Key=key, Body=b"pears")
        with pytest.raises(UnavailableError, match="not what was stored"):
            stored.versions.fetch(path)
        assert [one.name for one in path.parent.iterdir()] == ["a.dvc"]

    def test_what_was_cut_off_in_the_store_is_sent_again(
        self, s3: S3Server, store: S3Store, stored: Subject
    ) -> None:
        md5 = stored.versions.add(stored.write("a", b"plums"))
        key = f"{store.prefix}/data-versions/batches/files/md5/{md5[:2]}/{md5[2:]}"
        s3.client().put_object(Bucket=store.bucket, Key=key, Body=b"plu")
        assert stored.versions.add(stored.write("b", b"plums")) == md5
        assert s3.client().head_object(Bucket=store.bucket, Key=key)["ContentLength"] == 5

    def test_a_file_that_the_store_does_not_take_leaves_nothing(
        self, store: S3Store, stored: Subject
    ) -> None:
        kept = stored.write("a", b"1")
        stored.versions.add(kept)
        gone = DataVersions(stored.folder, replace(store, bucket="no-such-bucket"))
        with pytest.raises(UnavailableError, match="no bucket"):
            gone.add(stored.write("b", b"2"))
        (port,) = free_ports(1)
        down = replace(store, endpoint=f"http://127.0.0.1:{port}")
        with pytest.raises(UnavailableError, match="does not answer"):
            DataVersions(stored.folder, down).add(stored.write("c", b"3"))
        assert sorted(one.name for one in kept.parent.iterdir()) == ["a", "a.dvc"]
        assert _cached(stored.folder) == {file_md5(kept)}

    def test_while_the_store_is_down_nothing_is_forgotten_by_half(
        self, store: S3Store, stored: Subject
    ) -> None:
        path = stored.write("a", b"1")
        stored.versions.add(path)
        (port,) = free_ports(1)
        down = DataVersions(stored.folder, replace(store, endpoint=f"http://127.0.0.1:{port}"))
        for act in (down.forget, down.knows):
            with pytest.raises(UnavailableError, match="does not answer"):
                act(path)
        assert stored.versions.knows(path)
        # What was never stored needs no store to be forgotten.
        down.forget(stored.folder / "plums" / "nothing")
        path.unlink()
        with pytest.raises(UnavailableError, match="does not answer"):
            down.fetch(path)

    def test_a_process_that_died_before_its_entry_was_stored_is_known_by_that(
        self, s3: S3Server, store: S3Store, tmp_path: Path
    ) -> None:
        folder = training_data_folder(tmp_path)
        rows = tmp_path / "raw.parquet"
        rows.write_bytes(b"plums")
        name = TrainingDataStore(tmp_path, DataVersions(folder)).keep("plums", rows)
        assert s3.keys(store) == []
        assert TrainingDataStore(tmp_path, DataVersions(folder, store)).keep("plums", rows) == name
        assert s3.keys(store)[-1] == f"data-versions/{name}.dvc"

    def test_a_repository_is_moved_by_copying_files(
        self, s3: S3Server, store: S3Store, stored: Subject
    ) -> None:
        """As docs/object-store.md says."""
        path = stored.write("a", b"plums")
        DataVersions(stored.folder).add(path)
        start = f"{store.prefix}/data-versions/batches"
        cache = stored.folder / ".dvc" / "cache"
        moved = {f"{start}/plums/a.dvc": path.with_name("a.dvc")}
        moved |= {
            f"{start}/{one.relative_to(cache)}": one
            for one in (cache / "files").rglob("*")
            if one.is_file()
        }
        for key, file in moved.items():
            s3.client().upload_file(str(file), store.bucket, key)
        shutil.rmtree(stored.folder)
        stored.versions.fetch(path)
        assert path.read_bytes() == b"plums"
        assert stored.versions.knows(path)

    def test_the_key_is_in_no_file(self, store: S3Store, stored: Subject) -> None:
        stored.versions.add(stored.write("a", b"1"))
        files = [path for path in stored.folder.rglob("*") if path.is_file()]
        assert files
        for secret in (store.secret, store.key_id):
            assert [path for path in files if secret.encode() in path.read_bytes()] == []
