"""Runs the benchmarks named on the command line, or all; see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import candidate, check, growth, keys, large_check, page, search, serving
from benchmarks.machine import describe_machine
from benchmarks.report import Section, render, replace_figures

BENCHMARKS: Mapping[str, Callable[[int], Section]] = {
    "search": search.measure,
    "candidate": candidate.measure,
    "page": page.measure,
    "check": check.measure,
    "large_check": large_check.measure,
    "growth": growth.measure,
    "keys": keys.measure,
    "serving": serving.measure,
}


def main() -> int:
    """Prints the figures. A missed target is a finding, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--repeat", type=int, default=1, help="times each way is measured")
    parser.add_argument("--write", type=Path, help="document that keeps the figures")
    given = parser.parse_args()
    strangers = sorted(set(given.names) - set(BENCHMARKS))
    if strangers or given.repeat < 1:
        parser.error(f"there is no {', '.join(strangers)}" if strangers else "--repeat is below 1")
    logging.basicConfig(level="WARNING")
    for name in given.names or BENCHMARKS:
        conditions = describe_machine()
        figures = render(BENCHMARKS[name](given.repeat), conditions)
        sys.stdout.write(figures + "\n\n")
        sys.stdout.flush()
        if given.write:
            document = given.write.read_text(encoding="utf-8")
            given.write.write_text(replace_figures(document, name, figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
