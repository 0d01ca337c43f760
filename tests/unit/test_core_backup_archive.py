"""What goes into a backup, how an archive is written, and what a reader believes of one."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from core.backup import archive
from core.backup.archive import ArchiveWriter
from core.backup.archive_reading import Archive, OnlyLook, read_archive
from core.backup.contents import STORES, Kind, below_home, chosen, store_of
from core.backup.deciding import (
    Ours,
    Situation,
    flaws,
    in_the_way,
    is_below,
    objection_to_archive,
    objection_to_format,
    objection_to_situation,
)
from core.backup.manifest import (
    DESCRIPTION_FILE,
    FORMAT,
    MANIFEST_FILE,
    Description,
    Manifest,
    Member,
)
from core.backup.unpacking import Unpacking
from core.errors import ConflictError, InvalidInputError, NotFoundError

DESCRIBED = Description(
    format=FORMAT,
    pilothouse="0.1.0",
    mlflow="3.17.2",
    revision="0008",
    made_at=datetime(2026, 11, 22, tzinfo=UTC),
    made_by="ann",
    home="/srv/one",
    with_secrets=True,
)
OURS = Ours("0.1.0", "3.17.2", frozenset({"0007", "0008"}), "/srv/two")
LARGE = os.urandom(20 << 10)


class TestContents:
    @pytest.mark.parametrize(
        "name",
        [
            "pilothouse.db",
            "mlflow/mlflow.db",
            "mlflow/artifacts/1/models/m-1/artifacts/model.onnx",
            "batches/plums/0a.parquet",
            "batches/plums/0a.parquet.dvc",
            "batches/.dvc/config",
            "batches/.dvc/cache/files/md5/0a/1b",
            "batches/.dvcignore",
            "training-data/plums/0a.parquet",
            "inference/plums/segments/20261122T0000-1.arrow",
            "inference/plums/daily/2026-11-22/v1-1.parquet",
            "labels/plums/compaction.json",
            "secrets/audit.key",
            "audit/anchor",
            "rollouts/0a/replica.json",
            "load/slo.json",
            "runs/0a/run.log",
            "sweeps/0a/sweep.log",
        ],
    )
    def test_what_cannot_be_made_again_is_taken(self, name: str) -> None:
        assert store_of(name) is not None

    @pytest.mark.parametrize(
        "name",
        [
            "pilothouse.db-wal",
            "decisions.lock",
            "ports.json",
            "run/lifecycle.lock",
            "logs/worker.log",
            "runs/0a/workspace/raw.parquet",
            "runs/0a/workspace/deep.log",
            "batches/incoming/plums-0a/given",
            "batches/incoming-labels/plums-0a/given",
            "batches/.dvc/tmp/lock",
            "batches/.dvc/site/state.db",
            "training-data/plums/.0a.parquet.1b",
            "inference/plums/lock",
            "inference/plums/segments/.new-20261122T0000-1.arrow",
            "secrets/.audit.key.lock",
            "audit/.anchor.lock",
            "bundles/plums/0a/model.onnx",
            "good-models/plums/versions.json",
            "references/0a.parquet",
            "metrics/replica.prom",
            "key-use/replica.json",
            "load/measured.json",
            "backups/old.tar.gz",
            "before-restore-20261122T000000Z/pilothouse.db",
            "mlflow",
            "batches",
        ],
    )
    def test_what_is_made_again_or_belongs_to_processes_is_not(self, name: str) -> None:
        assert store_of(name) is None

    def test_files_that_compaction_names_are_taken_although_they_are_hidden(self) -> None:
        assert store_of("inference/plums/daily/2026-11-22/.v1-2.parquet") is not None

    def test_secrets_are_one_part_and_can_be_left(self) -> None:
        left = set(chosen(with_secrets=True)) - set(chosen(with_secrets=False))
        assert [store.folder for store in left] == ["secrets"]

    def test_what_is_spoken_of_is_copied_after_what_speaks_of_it(self) -> None:
        order = [store.folder for store in STORES]
        ours, mlflow = order.index("pilothouse.db"), order.index("mlflow/mlflow.db")
        assert order.index("audit/anchor") < ours < mlflow
        spoken_of = [store for store in STORES[mlflow + 1 :] if store.kind is Kind.DATABASE]
        assert spoken_of == []
        assert {"mlflow/artifacts", "batches", "training-data"} <= set(order[mlflow + 1 :])

    @pytest.mark.parametrize(
        "name",
        [
            "home/../outside",
            "home/batches/../../outside",
            "/home/pilothouse.db",
            "home//pilothouse.db",
            "home/./pilothouse.db",
            "home/batches/plums/..",
            "home/mlflow/artifacts/a\0b",
            "pilothouse.db",
            "home/run/haproxy",
            "home/.restore/journal.json",
            "other/pilothouse.db",
            "home",
            "",
        ],
    )
    def test_names_that_lead_elsewhere_have_no_place(self, name: str) -> None:
        assert below_home(name) is None

    def test_a_name_of_the_home_has_its_place(self) -> None:
        assert below_home("home/mlflow/mlflow.db") == "mlflow/mlflow.db"


class TestDeciding:
    def test_what_fits_is_not_objected_to(self) -> None:
        assert objection_to_archive(DESCRIBED, OURS) is None
        assert objection_to_format(FORMAT, "0.1.0") is None

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"pilothouse": "0.2.0"}, "made by Pilothouse 0.2.0, which is newer than 0.1.0"),
            ({"pilothouse": "0.10.0"}, "made by Pilothouse 0.10.0"),
            ({"mlflow": "3.18.0"}, "made by MLflow 3.18.0"),
            ({"revision": "0009"}, "schema 0009, which this release does not know"),
            ({"revision": ""}, "does not know"),
            (
                {"artifacts_elsewhere": ("file:///srv/one/mlflow/artifacts/1",)},
                "would not find them in /srv/two",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, changed: dict[str, object], said: str) -> None:
        found = objection_to_archive(DESCRIBED.model_copy(update=changed), OURS)
        assert found is not None
        assert said in found.message
        assert found.fix

    @pytest.mark.parametrize(
        "changed",
        [
            {"pilothouse": "0.0.9"},
            {"mlflow": "3.9.0"},
            {"revision": "0007"},
            {"artifacts_elsewhere": ("s3://bucket/1", "/srv/one-more/1")},
        ],
    )
    def test_older_releases_and_stores_elsewhere_are_fine(self, changed: dict[str, object]) -> None:
        assert objection_to_archive(DESCRIBED.model_copy(update=changed), OURS) is None

    def test_places_in_the_same_home_are_found_again(self) -> None:
        bound = {"artifacts_elsewhere": ("/srv/two/mlflow/1",), "home": "/srv/two"}
        assert objection_to_archive(DESCRIBED.model_copy(update=bound), OURS) is None

    def test_a_newer_format_is_refused(self) -> None:
        found = objection_to_format(FORMAT + 1, "3.0")
        assert found is not None
        assert "Install Pilothouse 3.0" in found.fix

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("/srv/one/x", True),
            ("file:/srv/one/x", True),
            ("file:///srv/one/x", True),
            ("file://host/srv/one/x", True),
            ("/srv/one", False),
            ("/srv/one-more/x", False),
            ("s3://srv/one/x", False),
        ],
    )
    def test_places_below_a_home(self, location: str, expected: bool) -> None:
        assert is_below(location, "/srv/one") is expected

    @pytest.mark.parametrize(
        ("running", "present", "immovable", "replace", "said"),
        [
            ((), (), (), False, None),
            ((), ("pilothouse.db",), (), True, None),
            (("the worker",), (), (), False, "in use: the worker"),
            (("process 1",), ("pilothouse.db",), (), True, "in use"),
            ((), ("pilothouse.db",), (), False, "in the home already: pilothouse.db"),
            ((), ("a", "b", "c", "d", "e"), (), False, "a, b, c and 2 more things"),
            ((), ("mlflow",), ("mlflow",), True, "another file system"),
        ],
    )
    def test_when_a_restore_may_happen(
        self,
        running: tuple[str, ...],
        present: tuple[str, ...],
        immovable: tuple[str, ...],
        replace: bool,
        said: str | None,
    ) -> None:
        found = objection_to_situation(Situation(running, present, immovable, replace))
        if said is None:
            assert found is None
        else:
            assert found is not None
            assert said in found.message

    def test_what_belongs_to_the_machine_is_not_in_the_way(self) -> None:
        entries = ["run", "logs", "ports.json", "backups", "before-restore-1", ".restore"]
        assert in_the_way([*entries, "mlflow", "secrets"], with_secrets=True) == (
            "mlflow",
            "secrets",
        )
        assert in_the_way([*entries, "mlflow", "secrets"], with_secrets=False) == ("mlflow",)

    def test_every_flaw_is_found(self) -> None:
        manifest = Manifest(
            members=(
                Member(name="whole", size=1, sha256="a", mode=0),
                Member(name="changed", size=1, sha256="a", mode=0),
                Member(name="missing", size=1, sha256="a", mode=0),
                Member(name="shared", size=1, sha256="a", mode=0, same_as="whole"),
                Member(name="astray", size=1, sha256="b", mode=0, same_as="whole"),
                Member(name="whole", size=1, sha256="a", mode=0),
            )
        )
        found = {"whole": (1, "a"), "changed": (1, "b"), "extra": (1, "a"), "last": (1, "c")}
        assert flaws(manifest, found, apart=("last",)) == (
            "whole is named 2 times",
            "changed is not what was backed up",
            "missing is missing",
            "astray is not what was backed up",
            "extra was not backed up",
        )


def _write(path: Path, fill: Callable[[ArchiveWriter], None]) -> str:
    with path.open("wb") as file, ArchiveWriter(file) as writer:
        writer.add_bytes(DESCRIPTION_FILE, DESCRIBED.model_dump_json().encode())
        fill(writer)
        return writer.close()


class TestWriting:
    def test_what_was_written_is_read_and_unpacked(self, tmp_path: Path) -> None:
        source = tmp_path / "model.onnx"
        source.write_bytes(LARGE)
        source.chmod(0o640)
        os.utime(source, (1000, 1000))
        copy, locked = tmp_path / "copy", tmp_path / "locked"
        copy.write_bytes(LARGE)
        locked.write_bytes(LARGE[::-1])
        locked.chmod(0o444)

        def fill(writer: ArchiveWriter) -> None:
            assert writer.add_file("home/mlflow/artifacts/model.onnx", source)
            assert writer.add_file("home/mlflow/artifacts/copy", copy)
            assert writer.add_file("home/batches/plums/a.parquet", locked)
            assert writer.add_file("home/batches/.dvc/cache/files/md5/0a/1b", locked)
            writer.add_bytes("home/audit/anchor", b"{}")

        path = tmp_path / "a.tar.gz"
        digest = _write(path, fill)
        new = tmp_path / "new"
        unpacking = Unpacking(new, lambda description: None)
        read = read_archive(path, unpacking)
        unpacking.finish(read)

        assert read.sha256 == digest
        assert read.description == DESCRIBED
        placed = new / "mlflow" / "artifacts" / "model.onnx"
        assert placed.read_bytes() == LARGE
        assert placed.stat().st_mode & 0o777 == 0o640
        assert placed.stat().st_mtime == 1000
        # Stored once; files that somebody may write to do not become one.
        assert (new / "mlflow" / "artifacts" / "copy").read_bytes() == LARGE
        assert (new / "mlflow" / "artifacts" / "copy").stat().st_nlink == 1
        shared = (new / "batches" / "plums" / "a.parquet").stat()
        assert (shared.st_nlink, shared.st_mode & 0o777) == (2, 0o444)
        assert path.stat().st_size < 2.5 * len(LARGE)

    def test_a_plain_tool_opens_it(self, tmp_path: Path) -> None:
        path = tmp_path / "a.tar.gz"
        _write(path, lambda writer: writer.add_bytes("home/audit/anchor", b"{}"))
        with tarfile.open(path) as tar:
            assert tar.getnames() == [DESCRIPTION_FILE, "home/audit/anchor", MANIFEST_FILE]

    def test_what_is_gone_or_no_file_is_left_out(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")

        def fill(writer: ArchiveWriter) -> None:
            assert not writer.add_file("home/audit/anchor", tmp_path / "gone")
            assert not writer.add_file("home/audit/anchor", tmp_path / "pipe")
            assert not writer.add_file("home/audit/anchor", tmp_path)

        _write(tmp_path / "a.tar.gz", fill)
        read = read_archive(tmp_path / "a.tar.gz", OnlyLook())
        assert [one.name for one in read.manifest.members] == [DESCRIPTION_FILE]

    def test_a_file_that_grows_is_as_it_was_at_one_moment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "_AT_ONCE", 16)
        log, name = tmp_path / "segment", "home/inference/plums/segments/1.arrow"
        log.write_bytes(b"x" * 1000)
        seen = archive._header

        def while_read(*given: object) -> tarfile.TarInfo:
            if given[0] == name:
                with log.open("ab") as file:
                    file.write(b"more")
            return seen(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(archive, "_header", while_read)
        path = tmp_path / "a.tar.gz"
        _write(path, lambda writer: _ignore(writer.add_file(name, log)))
        members = {one.name: one.size for one in read_archive(path, OnlyLook()).manifest.members}
        assert members[name] == 1000

    def test_a_file_that_is_cut_meanwhile_fails_the_backup(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive, "_AT_ONCE", 16)
        log = tmp_path / "artifact"
        log.write_bytes(b"x" * 1000)
        seen = archive._header

        def while_read(*given: object) -> tarfile.TarInfo:
            os.truncate(log, 10)
            return seen(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(archive, "_header", while_read)
        with (tmp_path / "a.tar.gz").open("wb") as file, ArchiveWriter(file) as writer:
            with pytest.raises(ConflictError, match="became shorter"):
                writer.add_file("home/mlflow/artifacts/a", log)

    def test_a_full_disk_is_an_error_and_nothing_else(self) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any, /) -> int:
                if self.tell() + len(data) > 10_000:
                    raise OSError(28, "No space left on device")
                return super().write(data)

        with ArchiveWriter(Full()) as writer:
            with pytest.raises(OSError, match="No space"):
                writer.add_bytes("home/audit/anchor", os.urandom(1 << 20))


def _ignore(_: object) -> None:
    """A result that does not matter."""


def _tar(path: Path, members: Iterator[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def _hostile(path: Path, info: tarfile.TarInfo, content: bytes = b"") -> Path:
    """An archive that begins as one of ours."""
    described = tarfile.TarInfo(DESCRIPTION_FILE)
    first = (described, DESCRIBED.model_dump_json().encode())
    return _tar(path, iter([first, (info, content)]))


def _info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


class TestReading:
    @pytest.fixture
    def whole(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.tar.gz"
        source = tmp_path / "model"
        source.write_bytes(LARGE)
        _write(path, lambda writer: _ignore(writer.add_file("home/mlflow/artifacts/m", source)))
        return path

    def _refused(self, path: Path, tmp_path: Path) -> str:
        folder = tmp_path / "new"
        unpacking = Unpacking(folder, lambda description: None)
        with pytest.raises(InvalidInputError) as raised:
            read_archive(path, unpacking)
        outside = {entry.name for entry in tmp_path.iterdir()}
        assert outside <= {"a.tar.gz", "model", "new", "bad.tar.gz", "target"}
        return str(raised.value)

    @pytest.mark.parametrize(
        "info",
        [
            _info("home/../../outside"),
            _info("/outside"),
            _info("home/mlflow/artifacts/link", tarfile.SYMTYPE, "/etc/passwd"),
            _info("home/mlflow/artifacts/link", tarfile.LNKTYPE, "../outside"),
            _info("home/mlflow/artifacts/link", tarfile.LNKTYPE, DESCRIPTION_FILE),
            _info("home/mlflow/artifacts/device", tarfile.CHRTYPE),
            _info("home/mlflow/artifacts/pipe", tarfile.FIFOTYPE),
            _info("home/mlflow/artifacts", tarfile.DIRTYPE),
            _info("home/run/haproxy"),
            _info("home/.restore/journal.json"),
        ],
        ids=lambda info: f"{info.name} {info.type!r}",
    )
    def test_what_no_backup_holds_is_refused(self, tmp_path: Path, info: tarfile.TarInfo) -> None:
        said = self._refused(_hostile(tmp_path / "bad.tar.gz", info), tmp_path)
        known = ("not an ordinary file", "has no place", "outside the destination")
        assert any(one in said for one in known)

    def test_a_file_is_not_written_through_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "target").mkdir()
        (tmp_path / "new" / "mlflow").mkdir(parents=True)
        (tmp_path / "new" / "pilothouse.db").symlink_to(tmp_path / "target" / "db")
        unpacking = Unpacking(tmp_path / "new", lambda description: None)
        bad = _hostile(tmp_path / "bad.tar.gz", _info("home/pilothouse.db"), b"x")
        with pytest.raises(OSError, match="exists"):
            read_archive(bad, unpacking)
        assert list((tmp_path / "target").iterdir()) == []

    def test_a_member_that_is_there_twice_is_refused(self, tmp_path: Path) -> None:
        described = _info(DESCRIPTION_FILE), DESCRIBED.model_dump_json().encode()
        twice = [(_info("home/audit/anchor"), b"1"), (_info("home/audit/anchor"), b"2")]
        bad = _tar(tmp_path / "bad.tar.gz", iter([described, *twice]))
        assert "there twice" in self._refused(bad, tmp_path)

    def test_it_begins_with_its_description(self, tmp_path: Path) -> None:
        bad = _tar(tmp_path / "bad.tar.gz", iter([(_info("home/audit/anchor"), b"1")]))
        assert "does not begin" in self._refused(bad, tmp_path)

    def test_what_the_manifest_does_not_say_is_refused(self, tmp_path: Path) -> None:
        page = DESCRIBED.model_dump_json().encode()
        members = [
            (_info(DESCRIPTION_FILE), page),
            (_info("home/audit/anchor"), b"forged"),
            (_info(MANIFEST_FILE), Manifest(members=()).model_dump_json().encode()),
        ]
        said = self._refused(_tar(tmp_path / "bad.tar.gz", iter(members)), tmp_path)
        assert "home/audit/anchor was not backed up" in said

    def test_a_newer_format_says_what_to_install(self, tmp_path: Path) -> None:
        page = json.dumps({"format": FORMAT + 1, "pilothouse": "9.0", "unheard": "of"})
        bad = _tar(tmp_path / "bad.tar.gz", iter([(_info(DESCRIPTION_FILE), page.encode())]))
        assert "Install Pilothouse 9.0" in self._refused(bad, tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"plums", gzip.compress(b"plums" * 1000)], ids=["empty", "text", "gzip"]
    )
    def test_another_file_is_no_backup(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bad.tar.gz").write_bytes(content)
        assert "not a whole backup" in self._refused(tmp_path / "bad.tar.gz", tmp_path)

    def test_a_file_that_is_not_there_is_not_found(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            read_archive(tmp_path / "none", OnlyLook())

    def test_cut_off_anywhere_it_is_refused(self, whole: Path, tmp_path: Path) -> None:
        content = whole.read_bytes()
        bad = tmp_path / "bad.tar.gz"
        for length in [*range(0, len(content) - 1, 997), len(content) - 1, len(content) - 9]:
            bad.write_bytes(content[:length])
            with pytest.raises(InvalidInputError):
                read_archive(bad, OnlyLook())

    def test_a_flipped_bit_anywhere_is_found(self, whole: Path, tmp_path: Path) -> None:
        content = whole.read_bytes()
        bad, refused = tmp_path / "bad.tar.gz", 0
        # The header of gzip holds a time and a system that mean nothing here.
        for place in [*range(10, len(content), 499), len(content) - 5]:
            flipped = bytearray(content)
            flipped[place] ^= 0x10
            bad.write_bytes(flipped)
            try:
                read_archive(bad, OnlyLook())
            except InvalidInputError:
                refused += 1
            else:
                # The compressed form has bits that say nothing; what is in it is unharmed.
                assert gzip.decompress(flipped) == gzip.decompress(content)
        assert refused > 20

    def test_the_taker_hears_what_it_is_before_anything_is_unpacked(self, whole: Path) -> None:
        class Refusing(OnlyLook):
            def accept(self, description: Description) -> None:
                raise ConflictError(f"not {description.pilothouse}")

            def open(self, member: str, mtime: float) -> BinaryIO:
                raise AssertionError("nothing is unpacked")

        with pytest.raises(ConflictError, match=r"not 0\.1\.0"):
            read_archive(whole, Refusing())

    def test_a_whole_one_is_read(self, whole: Path) -> None:
        read: Archive = read_archive(whole, OnlyLook())
        assert read.manifest.size > len(LARGE)
