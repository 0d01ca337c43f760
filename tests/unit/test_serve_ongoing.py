"""Waiting for the end of requests that began before a switch."""

from __future__ import annotations

import asyncio

from serve.ongoing import Ongoing


def test_only_what_began_before_is_waited_for() -> None:
    async def switch() -> tuple[bool, bool, bool]:
        ongoing = Ongoing()
        before = ongoing.begin()
        waiting = asyncio.create_task(ongoing.wait_for_earlier(60.0))
        await asyncio.sleep(0)
        ongoing.begin()
        await asyncio.sleep(0.05)
        waited = not waiting.done()
        ongoing.end(before)
        return waited, await waiting, await ongoing.wait_for_earlier(0.0)

    assert asyncio.run(switch()) == (True, True, False)


def test_with_nothing_going_on_there_is_nothing_to_wait_for() -> None:
    ongoing = Ongoing()
    ongoing.end(ongoing.begin())
    assert asyncio.run(ongoing.wait_for_earlier(0.0))


def test_a_request_that_never_ends_is_given_up_and_counted_until_it_does() -> None:
    ongoing = Ongoing()
    endless = ongoing.begin()
    assert not asyncio.run(ongoing.wait_for_earlier(0.02))
    ongoing.end(ongoing.begin())
    assert not asyncio.run(ongoing.wait_for_earlier(0.0))
    ongoing.end(endless)
    assert asyncio.run(ongoing.wait_for_earlier(0.0))
