"""docs/report.md as it is in Git, and the pure parts that make it of figures."""

from __future__ import annotations

import io
import re
import shutil
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from benchmarks.report import Section, Target, Timing, render
from core.delivery.earlier import present_report
from core.errors import InvalidInputError
from core.settings import CODE_ROOT
from core.training.report import EvaluationReport
from core.training.resources_page import read_report
from reporting import __main__ as command
from reporting import diagram
from reporting.__main__ import PAGE, RESULTS, SWEEP, pdf_of
from reporting.collect import BENCHMARKS, benchmarks_of
from reporting.pdf import headings_of, render_page
from reporting.pictures import ARCHITECTURE, candidates_name, days_name, draw_all, holdout_name
from reporting.results import read_results, write_results
from reporting.tables import picture_of_architecture, regions, with_regions
from tests.unit.report_values import results_of
from tests.unit.sweep_values import measured, sweep_of

RENEW = "call `make report-page`, or `make report` where the models are others"
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


@pytest.fixture(scope="module")
def page() -> str:
    return (CODE_ROOT / PAGE).read_text(encoding="utf-8")


def _words(pdf: bytes) -> str:
    text = " ".join(one.extract_text() for one in PdfReader(io.BytesIO(pdf)).pages)
    return " ".join(text.split())


# What is in Git.


def test_the_page_is_what_its_figures_give(page: str) -> None:
    results = read_results(CODE_ROOT / RESULTS)
    assert with_regions(page, results, read_report(CODE_ROOT / SWEEP)) == page, RENEW


def test_every_marked_region_is_known_and_none_is_missing(page: str) -> None:
    marked = re.findall(r"<!-- figures: (\w+) -->", page)
    assert sorted(marked) == sorted(regions(results_of(), sweep_of(measured())))


def test_the_benchmarks_are_those_of_their_page() -> None:
    benchmarks = (CODE_ROOT / BENCHMARKS).read_text(encoding="utf-8")
    assert read_results(CODE_ROOT / RESULTS).benchmarks == tuple(benchmarks_of(benchmarks)), RENEW


def _without_seconds(report: EvaluationReport) -> EvaluationReport:
    """The report but for what differs between two runs that give the same model."""
    timeless = tuple(
        one.model_copy(update={"seconds": 0.0, "done_s": None}) for one in report.candidates
    )
    return report.model_copy(update={"candidates": timeless})


def test_it_is_about_the_models_that_git_holds() -> None:
    for one in read_results(CODE_ROOT / RESULTS).trained:
        present = present_report(CODE_ROOT, one.report.problem)
        assert _without_seconds(one.report) == _without_seconds(present), RENEW


def test_every_picture_and_linked_file_is_there(page: str) -> None:
    folder = (CODE_ROOT / PAGE).parent
    files = [*PICTURE.findall(page), *re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page)]
    assert len(files) > 30
    assert [name for name in files if not (folder / name).exists()] == []


def test_the_pdf_says_what_the_page_says(page: str) -> None:
    kept = (CODE_ROOT / pdf_of(PAGE)).read_bytes()
    drawn = render_page(page, (CODE_ROOT / PAGE).parent, picture_of_architecture())
    assert _words(kept) == _words(drawn), RENEW
    assert all(heading in _words(kept) for heading in headings_of(page))


def test_the_pdf_has_every_picture(page: str) -> None:
    # Nothing but the diagram is drawn otherwise than on the page.
    expected = len(PICTURE.findall(page)) + page.count("```mermaid")
    reader = PdfReader(CODE_ROOT / pdf_of(PAGE))
    assert sum(len(one.images) for one in reader.pages) == expected
    assert expected >= 8


def test_it_has_the_parts_that_a_report_has(page: str) -> None:
    headings = [re.sub(r"^[\d.]+ ", "", heading) for heading in headings_of(page)]
    wanted = ["Abstract", "Introduction", "Architecture", "Tools, and why these", "Implementation"]
    wanted += ["Results", "Resource analysis and recommended scheme", "Limits"]
    wanted += ["Conclusion and future work", "References"]
    assert [heading for heading in headings if heading in wanted] == wanted


def test_every_reference_is_listed_and_used(page: str) -> None:
    body, references = page.split("## References")
    used = {int(n) for group in re.findall(r"\[([\d, ]+)\](?!\()", body) for n in group.split(",")}
    listed = {int(n) for n in re.findall(r"^(\d+)\. ", references, re.MULTILINE)}
    # The last one lists documentation.
    assert used == listed - {max(listed)}


# How it is made.


def test_the_chosen_candidate_comes_first_and_one_that_was_given_up_last() -> None:
    lines = regions(results_of(), sweep_of(measured()))["candidates"].splitlines()
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert rows[0].startswith("| Random Forest (chosen) | depth 1 | 0.8300 ± 0.0100 |")
    assert rows[-1].startswith("| Gradient-Boosted Trees |")
    assert "(given up)" in rows[-1]


def test_the_holdout_says_intervals_threshold_and_parity() -> None:
    text = regions(results_of(), sweep_of(measured()))["holdout"]
    assert "| AUC | 0.8000 | 0.7500 to 0.8500 |" in text
    assert "threshold 0.512 maximises accuracy" in text
    assert "at most 3.0e-07 in probability over 20,200 records" in text


def test_a_day_without_an_estimate_has_none_and_its_drift_is_told() -> None:
    text = regions(results_of(), sweep_of(measured()))["days"]
    assert "| 1 | 100 | ok | 0.050 | 0.020 | 0.820 | 0.815 | Day 1 is told. |" in text
    assert "| 2 | 100 | critical | 0.400 | 0.020 | – | 0.815 | Day 2 is told. |" in text


def test_a_missed_target_is_told_as_missed() -> None:
    text = regions(results_of(), sweep_of(measured()))["benchmarks"]
    assert "| Digging | seconds / hole | ≤ 1 | 2 | **missed** |" in text


def test_where_the_runs_come_from_is_told() -> None:
    told = regions(results_of(), sweep_of(measured()))["runs"]
    assert told == "Commit `0123456789ab-dirty`. 2026-11-22, 2 cores. Data: Orchard `md5:aa`."


def test_targets_are_read_as_a_benchmark_writes_them() -> None:
    section = Section(
        "Digging",
        (Timing("spade", (2.0,)),),
        (Target("holes", 3, 2, at_least=True), Target("seconds", 3, 2)),
    )
    written = f"<!-- figures: dig -->\n{render(section, '2 cores.')}\n<!-- end of figures: dig -->"
    (found,) = benchmarks_of(f"{written}\n<!-- figures: no -->\nnone\n<!-- end of figures: no -->")
    assert (found.title, found.conditions) == ("Digging", "2 cores. One run of each.")
    told = [(aim.what, aim.limit, aim.measured, aim.outcome) for aim in found.aims]
    assert told == [("holes", "≥ 2", "3", "reached"), ("seconds", "≤ 2", "3", "**missed**")]


def test_both_drawings_of_the_diagram_have_all_of_it() -> None:
    text = diagram.mermaid(diagram.ARCHITECTURE)
    drawn = {words.get_text() for words in diagram.draw(diagram.ARCHITECTURE).axes[0].texts}
    for node in diagram.ARCHITECTURE.nodes:
        assert f'"{"<br/>".join(node.words)}"' in text
        assert "\n".join(node.words) in drawn
    for edge in diagram.ARCHITECTURE.edges:
        assert re.search(rf"^  {edge.source} -->.* ?{edge.target}$", text, re.MULTILINE)
        assert not edge.words or edge.words in drawn


def test_every_edge_and_group_of_the_diagram_names_nodes() -> None:
    names = {node.name for node in diagram.ARCHITECTURE.nodes}
    assert len(names) == len(diagram.ARCHITECTURE.nodes)
    used = {end for edge in diagram.ARCHITECTURE.edges for end in (edge.source, edge.target)}
    assert used == names
    assert {one for group in diagram.ARCHITECTURE.groups for one in group.members} < names


def test_equal_figures_give_equal_pictures(tmp_path: Path) -> None:
    names = draw_all(results_of(), tmp_path / "a")
    draw_all(results_of(), tmp_path / "b")
    made = [candidates_name("orchard"), holdout_name("orchard"), days_name("orchard")]
    assert sorted(names) == sorted([ARCHITECTURE, *made])
    for name in names:
        first, second = ((tmp_path / f / f"{name}.png").read_bytes() for f in "ab")
        assert len(first) > 5000
        assert first == second


def _drawn(text: str, folder: Path) -> bytes:
    return render_page(text, folder, "diagram.png")


def test_a_page_becomes_text_with_an_outline_and_pictures(tmp_path: Path) -> None:
    shutil.copyfile(CODE_ROOT / "docs" / "report" / f"{ARCHITECTURE}.png", tmp_path / "diagram.png")
    text = """# A & B

<!-- hidden -->

With **bold**, `a < b` and [a link](https://example.org/x) beside [a file](other.md).

## One

1. first
2. second

- point

> said

```
  kept   as it is
```

```mermaid
flowchart LR
```

| name | what |
| --- | --- |
| `x` | a, b |

### Deeper

![of it](diagram.png)
"""
    pdf = _drawn(text, tmp_path)
    reader = PdfReader(io.BytesIO(pdf))
    words = _words(pdf)
    for part in ("A & B", "a < b", "a file", "first", "point", "said", "kept as it is", "a, b"):
        assert part in words
    assert "hidden" not in words
    assert "other.md" not in words
    assert sum(len(one.images) for one in reader.pages) == 2
    assert reader.metadata is not None
    assert reader.metadata.title == "A & B"
    links = [note.get_object()["/A"]["/URI"] for note in reader.pages[0]["/Annots"]]
    assert links == ["https://example.org/x"]
    (one, (deeper,)) = reader.outline
    assert (one.title, deeper.title) == ("One", "Deeper")
    assert pdf == _drawn(text, tmp_path)


def test_a_picture_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"gone\.png"):
        _drawn("![x](gone.png)", tmp_path)


def test_a_wide_table_stays_on_the_page(tmp_path: Path) -> None:
    names = [f"column-with-a-long-name-{place}" for place in range(12)]
    rows = [names, ["---"] * 12, ["a-value-without-any-space-in-it"] * 12]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    assert "column-with-a-long-name-11" in _words(_drawn(table, tmp_path)).replace(" ", "")


def test_figures_come_back_as_they_were_kept(tmp_path: Path) -> None:
    write_results(results_of(), tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == results_of()


@pytest.mark.parametrize("content", [None, "{}"])
def test_figures_that_cannot_be_read_say_what_to_do(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"results\.json holds no figures"):
        read_results(path)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the command reads, with other figures."""
    for path in (PAGE, SWEEP, BENCHMARKS):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CODE_ROOT / path, tmp_path / path)
    shutil.copytree(CODE_ROOT / "docs" / "images", tmp_path / "docs" / "images")
    write_results(results_of(), tmp_path / RESULTS)
    monkeypatch.setattr(command, "CODE_ROOT", tmp_path)
    return tmp_path


def test_the_command_writes_page_and_pdf_from_what_was_kept(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (clone / PAGE).read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["reporting", "--recorded"])
    assert command.main() == 0
    text = (clone / PAGE).read_text(encoding="utf-8")
    assert "| Orchard |" in text
    assert "Titanic survival |" not in text
    # What people wrote stays.
    assert headings_of(before)[:4] == headings_of(text)[:4]
    assert "orchard-days.png" in text
    assert "Random Forest (chosen)" in _words((clone / pdf_of(PAGE)).read_bytes())
    # The benchmarks are read anew from their page.
    assert "Digging" not in text
    assert read_results(clone / RESULTS).benchmarks


def test_a_page_without_marks_is_left_alone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / PAGE).write_text("# Mine\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["reporting", "--recorded"])
    assert command.main() == 1
    assert (clone / PAGE).read_text(encoding="utf-8") == "# Mine\n"
    assert not (clone / pdf_of(PAGE)).exists()
