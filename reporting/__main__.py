"""Writes docs/report.md, its pictures and its PDF from real runs; `make report` calls it.

The pipeline runs where it is not up to date, in which case this takes minutes; days then pass
over the models it has made. With --recorded nothing runs: page and PDF are written from the
figures of the last time, in seconds.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import PilothouseError
from core.params import load_params
from core.problems import load_problem
from core.settings import CODE_ROOT, load_settings
from core.training.resources_page import read_report
from reporting.collect import BENCHMARKS, beginning, benchmarks_of, collect, run_pipeline
from reporting.pdf import render_page
from reporting.pictures import draw_all
from reporting.results import read_results, write_results
from reporting.tables import FOLDER, picture_of_architecture, with_regions

LOG = logging.getLogger(__name__)
PAGE = Path("docs", "report.md")
RESULTS = PAGE.parent / FOLDER / "results.json"
#: The sweep that docs/resources.md is written from.
SWEEP = Path("tests", "unit", "recorded", "titanic_sweep.json")
DAYS = 10


def main() -> int:
    """Does what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m reporting", description=__doc__)
    parser.add_argument("--recorded", action="store_true", help="run nothing, write from figures")
    parser.add_argument("--days", type=int, default=DAYS, help=f"days that pass, {DAYS} by default")
    given = parser.parse_args()
    if given.days < 1:
        parser.error("--days is below 1")
    logging.basicConfig(level="INFO", format="%(message)s")
    # MLflow, DVC and others tell at this level what is not about the report.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("reporting").setLevel(logging.INFO)
    LOG.setLevel(logging.INFO)
    began = time.monotonic()
    try:
        if not given.recorded:
            run(CODE_ROOT, given.days)
        write(CODE_ROOT)
    except (OSError, ValueError, PilothouseError) as exc:
        LOG.error("%s", exc)
        return 1
    LOG.info("%s and %s are written, in %.0f s.", PAGE, pdf_of(PAGE), time.monotonic() - began)
    return 0


def run(root: Path, days: int) -> None:
    """Runs what the report is about, and keeps its figures."""
    settings = load_settings()
    params = load_params(settings.params_file)
    problems = [load_problem(name, settings.packages) for name in params.problems]
    began = beginning(root)
    with _step("The pipeline: dvc repro, minutes where something has changed"):
        run_pipeline(root, problems)
    with _step(f"{days} days of later data, checked day by day"):
        results = collect(root, problems, params, began, days=days)
        write_results(results, root / RESULTS)


def write(root: Path) -> None:
    """Writes pictures, page and PDF from the figures that are kept.

    Raises:
        ValueError: the page lacks the marks of a region.
        InvalidInputError: figures or sweep cannot be read, or the page cannot be drawn.
    """
    page, kept = root / PAGE, root / RESULTS
    with _step("Pictures, page and PDF"):
        # Benchmarks are run by themselves; what their page has by now costs nothing to read.
        told = tuple(benchmarks_of((root / BENCHMARKS).read_text(encoding="utf-8")))
        results = read_results(kept).model_copy(update={"benchmarks": told})
        text = page.read_text(encoding="utf-8")
        written = with_regions(text, results, read_report(root / SWEEP))
        draw_all(results, page.parent / FOLDER)
        drawn = render_page(written, page.parent, picture_of_architecture())
        write_results(results, kept)
        page.write_text(written, encoding="utf-8")
        (root / pdf_of(PAGE)).write_bytes(drawn)


def pdf_of(page: Path) -> Path:
    """Where a page's PDF lies."""
    return page.with_suffix(".pdf")


@contextmanager
def _step(what: str) -> Iterator[None]:
    LOG.info("%s …", what)
    began = time.monotonic()
    yield
    LOG.info("%s: %.0f s", what.partition(":")[0], time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
