"""A process that approves a request and kills itself at a named step, as SIGKILL does."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path

from tests.unit import stores
from tests.unit.lifecycle import Lifecycle, Reaper, lifecycle

REASON = "better on every slice"
STATE = "outside.pickle"


class Suicidal(Reaper):
    """Saves at each step what outlives the process, and at the chosen one ends it."""

    def __init__(self, chosen: str) -> None:
        super().__init__()
        self.chosen = chosen
        self.life: Lifecycle | None = None

    def step(self, name: str) -> None:
        if self.life is not None:
            save(self.life)
            if name == self.chosen:
                os.kill(os.getpid(), signal.SIGKILL)


def save(life: Lifecycle) -> None:
    """Keeps registry, replicas and evidence in a file, wholly or not at all."""
    outside = (life.registry.versions, life.tracker.runs, life.replicas, life.evidence.kept)
    versions, runs, replicas, kept = outside
    state = (versions, runs, replicas.wanted, replicas.answers, kept)
    unfinished = life.folder / f"{STATE}.new"
    unfinished.write_bytes(pickle.dumps(state))
    unfinished.rename(life.folder / STATE)


def restore(life: Lifecycle) -> None:
    """Brings back what was saved."""
    state = pickle.loads((life.folder / STATE).read_bytes())
    life.registry.versions, life.tracker.runs = state[0], state[1]
    life.replicas.wanted, life.replicas.answers, life.evidence.kept = state[2:]


def main(folder: Path, request_id: str, chosen: str, address: str = "") -> None:
    """Approves, in the database at ``address`` if it is not the folder's."""
    if address:
        stores.choice = lambda _: address
    reaper = Suicidal(chosen)
    with lifecycle(folder, reaper=reaper) as life:
        restore(life)
        process = life.process()
        reaper.life = life
        process.promotions.approve(request_id, reason=REASON, actor="bob")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
