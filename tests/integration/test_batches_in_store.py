"""Everything that reads a batch, in the home and with an S3 store whose home has lost the rows."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from core.bootstrap import connect_arrivals, connect_labelled_rows, connect_trainable_rows
from core.bootstrap_store import connect_batch_versions
from core.data.batch_files import batch_file, batches_folder
from core.domain import Batch
from core.errors import NotFoundError, UnavailableError
from core.monitoring.arrivals import batch_rows
from core.monitoring.stored_batch import open_batch
from tests.ray_head import free_ports
from tests.s3 import S3Server
from tests.unit.core_fakes import PROBLEM, World, make_world

pytestmark = pytest.mark.timeout(300)
FILES = tuple(
    "weight,stones,colour,taste\n"
    + "".join(f"{30 + row + shift},1,{'blue' if row % 2 else 'yellow'},\n" for row in range(40))
    for shift in (0, 5)
)


@dataclass(frozen=True)
class Orchard:
    """An installation, and how its home loses what it has of batches."""

    world: World
    is_stored: bool

    def add(self, content: str) -> Batch:
        batches = self.world.pilothouse.batches
        return batches.add("plums", io.BytesIO(content.encode()), name="g.csv", actor="ann").batch

    def lose(self) -> None:
        """Without a store nothing may be lost, and everything has to read the same."""
        folder = batches_folder(self.world.pilothouse.settings.home)
        if self.is_stored and folder.exists():
            shutil.rmtree(folder)

    def seen(self, first: Batch, second: Batch) -> dict[str, Any]:
        """What each reader makes of the batches, each after its own loss."""
        pilothouse = self.world.pilothouse
        settings, home = pilothouse.settings, pilothouse.settings.home
        arrivals = connect_arrivals(settings, {"plums": PROBLEM})

        def checked(batch: Batch) -> list[Any]:
            given = (home, "plums", batch.id, arrivals.labels, arrivals.fetch)
            whole, pieces = batch_rows(*given), open_batch(*given)
            return [whole.to_pydict(), pieces.rows, pieces.labelled_sample(9, 1).to_pydict()]

        readers = {
            "list": lambda: pilothouse.batches.list("plums"),
            "rows": lambda: pilothouse.batches.rows(first.id).to_pydict(),
            "column": lambda: pilothouse.batches.rows(first.id, ["weight"]).to_pydict(),
            "compared": lambda: pilothouse.batches.compare(second.id, first.id),
            "checked": lambda: checked(second),
            "counted": lambda: connect_trainable_rows(settings)("plums", first.id),
            "trained on": lambda: connect_labelled_rows(settings)(
                "plums", first.id
            ).trainable.to_pydict(),
        }
        found = {}
        for name, read in readers.items():
            self.lose()
            found[name] = read()
        return found


@pytest.fixture(params=["home", "s3"])
def orchard(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Orchard]:
    given: dict[str, str] = {}
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        given = server.settings(server.create_bucket())
    world = make_world(tmp_path, versions=connect_batch_versions, **given)
    yield Orchard(world, bool(given))
    world.close()


def test_everything_reads_what_the_home_has_lost(orchard: Orchard) -> None:
    first, second = (orchard.add(content) for content in FILES)
    labels = "\n".join(f"{first.id},{row},sweet" for row in range(0, 40, 3))
    orchard.lose()
    report = orchard.world.pilothouse.labels.add(
        "plums",
        io.BytesIO(f"batch_id,row_id,taste\n{labels}\n".encode()),
        actor="ann",
        name="late.csv",
    )
    assert report.joined == 14
    seen = orchard.seen(first, second)
    assert [one.id for one in seen["list"]] == [second.id, first.id]
    assert seen["rows"]["weight"] == [30.0 + row for row in range(40)]
    assert seen["column"] == {"weight": seen["rows"]["weight"]}
    assert seen["checked"][0]["weight"] == [35.0 + row for row in range(40)]
    assert seen["checked"][1] == 40
    assert 0 < seen["counted"] <= 14
    assert len(seen["trained on"]["weight"]) == seen["counted"]
    assert (seen["compared"].first.rows, seen["compared"].second.rows) == (40, 40)
    # The same file is known, whatever the home has; another one is added as ever.
    orchard.lose()
    assert orchard.add(FILES[0]).id == first.id
    assert orchard.add(FILES[0] + "70,2,blue,\n").rows == 41


def test_one_that_is_nowhere_is_said(orchard: Orchard) -> None:
    batch = orchard.add(FILES[0])
    world = orchard.world
    connect_batch_versions(world.pilothouse.settings).forget(
        batch_file(world.pilothouse.settings.home, "plums", batch.id)
    )
    with pytest.raises(NotFoundError, match="rows of batch"):
        world.pilothouse.batches.rows(batch.id)


def test_a_store_that_is_down_refuses_a_batch_and_keeps_nothing(
    s3: S3Server, tmp_path: Any
) -> None:
    (port,) = free_ports(1)
    given = s3.settings(s3.create_bucket()) | {"s3_endpoint": f"http://127.0.0.1:{port}"}
    world = make_world(tmp_path, versions=connect_batch_versions, **given)
    with pytest.raises(UnavailableError, match="does not answer"):
        Orchard(world, is_stored=True).add(FILES[0])
    home = world.pilothouse.settings.home
    assert world.pilothouse.batches.list("plums") == ()
    left = [one for one in batches_folder(home).rglob("*") if one.is_file()]
    assert [one for one in left if "plums" in one.parts or "md5" in one.parts] == []
    assert [*(batches_folder(home) / "incoming").iterdir()] == []
    world.close()
