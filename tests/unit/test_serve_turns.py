"""Requests that wait to be scored are taken in meanwhile, so that Ray Serve can count them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from serve.http import Answer
from serve.recorder import Answered, Record
from serve.routes import IN_A_TURN, INLINE_BYTES, Scoring

REQUESTS = 40


def ignore(answered: Answered) -> None:
    """An inference log that keeps nothing."""


class Replica:
    """Counts requests as Ray Serve does, and looks at the count in every turn of the loop."""

    def __init__(self) -> None:
        self.ongoing = 0
        self.seen: list[int] = []
        self.order: list[int] = []
        self.scoring = Scoring(ignore)

    async def ask(self, number: int) -> None:
        self.ongoing += 1
        try:
            await self.scoring.run(10, self._work(number))
        finally:
            self.ongoing -= 1

    def _work(self, number: int) -> Callable[[Record], Answer]:
        def work(record: Record) -> Answer:
            self.order.append(number)
            return Answer(b"")

        return work

    async def look(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.seen.append(self.ongoing)


def test_few_bodies_are_scored_in_a_turn_while_the_others_are_counted() -> None:
    async def run() -> Replica:
        replica = Replica()
        asked = [asyncio.create_task(replica.ask(number)) for number in range(REQUESTS)]
        looks = asyncio.create_task(replica.look())
        await asyncio.gather(*asked)
        looks.cancel()
        replica.scoring.close()
        return replica

    replica = asyncio.run(run())
    assert replica.order == list(range(REQUESTS)), "in the order in which they came"
    # However Ray's look falls, it sees about as many as wait: all at once was 0, 40 or 0.
    fallen = [early - late for early, late in zip(replica.seen, replica.seen[1:], strict=False)]
    assert replica.seen[0] >= REQUESTS - IN_A_TURN
    assert max(fallen) <= IN_A_TURN


def test_a_caller_who_leaves_keeps_nobody_waiting() -> None:
    async def run() -> list[int]:
        replica = Replica()
        asked = [asyncio.create_task(replica.ask(number)) for number in range(5)]
        await asyncio.sleep(0)
        for gone in (asked[0], asked[2]):
            gone.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await replica.ask(9)
        replica.scoring.close()
        return replica.order

    assert asyncio.run(run()) == [1, 3, 4, 9]


def test_a_large_body_does_not_wait_for_a_turn() -> None:
    async def run() -> Answer:
        scoring = Scoring(ignore)
        released = asyncio.Event()

        async def hold() -> None:
            async with scoring._turn:
                await released.wait()

        held = [asyncio.create_task(hold()) for _ in range(IN_A_TURN)]
        await asyncio.sleep(0)
        answer = await scoring.run(INLINE_BYTES + 1, lambda record: Answer(b"large"))
        released.set()
        await asyncio.gather(*held)
        scoring.close()
        return answer

    assert asyncio.run(run()).body == b"large"
