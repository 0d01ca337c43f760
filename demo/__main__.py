"""Takes the tour: ``make demo``, and ``make demo-down`` to end what it has left running."""

from __future__ import annotations

from typing import Annotated

import typer
import yaml

from core.cli_output import FAILED, say_error
from core.errors import PilothouseError
from core.settings import Settings, load_settings, silence_vendors
from demo.first_steps import FIRST
from demo.later_steps import LATER
from demo.people import BOB
from demo.place import CHANGES, clear, delivered_params, demo_settings, prepare, value_at
from demo.screen import Screen
from demo.tour import Tour, duration, table_of, walk

INTERRUPTED = 130
_HOW_TO_END = "`make demo-down` ends its services and removes its folder."


def main(
    down: Annotated[
        bool, typer.Option("--down", help="End the services of a tour and remove its folder.")
    ] = False,
) -> None:
    """Take the whole loop in an installation of its own, which is left running."""
    screen = Screen()
    try:
        settings = demo_settings(load_settings())
        tour = Tour(settings, screen)
        was_there = clear(settings.home, lambda: _end(tour))
        if down:
            screen.say("The tour is over." if was_there else "There is no tour to end.")
            return
        _take(tour)
    except PilothouseError as exc:
        screen.say("")
        say_error(exc)
        if not down:
            screen.say(f"It was left as it is, with its logs. {_HOW_TO_END}")
        raise typer.Exit(FAILED) from exc
    except KeyboardInterrupt:
        screen.say(f"The tour was interrupted. {_HOW_TO_END}")
        raise typer.Exit(INTERRUPTED) from None


def _end(tour: Tour) -> None:
    tour.crew.run(None, "pilothouse down")


def _take(tour: Tour) -> None:
    settings, screen = tour.settings, tour.screen
    prepare(settings)
    silence_vendors()
    screen.say(
        "A tour of the whole loop: train, approve, serve, drift, alert, retrain, approve, canary, "
        "roll back, trace. It takes some minutes. Each command is one that people use, and "
        f"nothing is staged. All of it is in {settings.home}, an installation of its own."
    )
    delivered = delivered_params()
    screen.table(
        "To be short, it has other parameters than are delivered",
        ["parameter", "delivered", "here", "because"],
        [
            (one.key, _written(value_at(delivered, one.key)), _written(one.value), one.why)
            for one in CHANGES
        ],
    )
    taken = walk(tour, (*FIRST, *LATER))
    screen.table("What was done", ["step", "who", "what came of it", "took"], table_of(taken))
    _part(settings, screen, sum(one.seconds for one in taken))


def _written(value: object) -> str:
    """A parameter as it stands in the file."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def _part(settings: Settings, screen: Screen, seconds: float) -> None:
    people = settings.home / "people"
    screen.say("")
    screen.say(f"The tour took {duration(seconds)}. It is left running, to be looked at:")
    screen.say(f"  panel    {settings.panel_link}, with the token in {people}/{BOB.name}.token")
    screen.say(f"  shell    . {people}/{BOB.name}.sh, then .venv/bin/pilothouse as {BOB.name}")
    screen.say(f"  models   {settings.serving_url}/docs")
    screen.say(f"To end it: {_HOW_TO_END}")


if __name__ == "__main__":
    typer.run(main)
