"""Dossier and model card: what they say, that nothing escapes, that they need no network."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from pypdf import PdfReader

from core.adapters.pdf import render_pdf
from core.domain import Approval, Promotion, PromotionRequest, RequestStatus, Verdict
from core.problems.titanic import PROBLEM
from core.promotion.document import Document, Section, Text, facts, table
from core.promotion.document_html import render_html
from core.promotion.documents import documents
from core.promotion.dossier import dossier
from core.promotion.evidence_words import headline
from core.promotion.model_card import model_card
from core.rollout.notes import RolloutNotes, ShadowNotes
from core.rollout.values import Rollout, RolloutKind, RolloutStatus
from core.rollout.view import RolloutView
from tests.unit.promotion_values import (
    OPENED,
    make_difference,
    make_evidence,
    make_gates,
    make_slice,
)

REQUEST = PromotionRequest(
    id="req-4",
    problem="titanic",
    version=4,
    run_id="4" * 32,
    status=RequestStatus.APPROVED,
    requested_by="retraining policy",
    requested_at=OPENED,
    incumbent_version=3,
    gates=make_gates(),
    decided_by="alice",
    decided_at=OPENED + timedelta(hours=1),
    reason="The <b>new</b> fares & Łódź, 中.",
    evidence_path="promotion/evidence.json",
    evidence_sha256="5" * 64,
)
PROMOTION = Promotion(
    id="p",
    problem="titanic",
    version=4,
    run_id="4" * 32,
    rule="approval",
    decided_by="alice",
    reason=REQUEST.reason or "",
    since=OPENED,
    request_id="req-4",
    four_eyes="not in force: one local operator",
    passed_over=("slices: fail",),
)
APPROVALS = (Approval("req-4", "alice", OPENED, "Looked at every slice."),)
#: What a file that needs no other file does not have.
FETCHED = {"src", "href", "srcset", "data", "action", "poster", "background"}


class Tags(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def pdf_text(content: bytes) -> str:
    pages = PdfReader(io.BytesIO(content)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def the_dossier() -> Document:
    return dossier(PROBLEM, make_evidence(), REQUEST, APPROVALS, PROMOTION)


class TestDocuments:
    def test_both_come_as_html_and_as_pdf_and_equal_values_give_equal_bytes(self) -> None:
        given = (PROBLEM, make_evidence(), REQUEST, APPROVALS, PROMOTION)
        written = documents(*given)
        assert list(written) == ["dossier.html", "dossier.pdf", "model-card.html", "model-card.pdf"]
        assert all(written[name].startswith(b"%PDF-") for name in written if name.endswith("pdf"))
        assert written == documents(*given)

    @pytest.mark.parametrize("kind", ["html", "pdf"])
    def test_the_dossier_holds_numbers_decision_and_hashes(self, kind: str) -> None:
        written = documents(PROBLEM, make_evidence(), REQUEST, APPROVALS, PROMOTION)
        content = written[f"dossier.{kind}"]
        text = pdf_text(content) if kind == "pdf" else " ".join(Tags(content.decode()).text)
        for fact in (
            "v4's AUC is +0.012 against v3's: surely better.",
            "0.884 [0.844, 0.914]",
            "124 core-seconds",
            "Looked at every slice.",
            "slices: fail",
            "not in force: one local operator",
            "5" * 64,
            "Fare has drifted: PSI 0.31.",
            "The <b>new</b> fares & Łódź, 中.",
        ):
            assert fact in text

    @pytest.mark.parametrize("kind", ["html", "pdf"])
    def test_the_model_card_holds_use_inputs_and_metrics(self, kind: str) -> None:
        content = documents(PROBLEM, make_evidence(), REQUEST)[f"model-card.{kind}"]
        text = pdf_text(content) if kind == "pdf" else " ".join(Tags(content.decode()).text)
        for fact in ("maxIter=34", "0.884 [0.844, 0.914]", "pounds of 1912", "boat, body", "713"):
            assert fact in text

    def test_an_open_request_says_that_nobody_has_decided(self) -> None:
        waiting = replace(REQUEST, status=RequestStatus.OPEN, decided_by=None, reason=None)
        page = render_html(dossier(PROBLEM, make_evidence(), waiting))
        assert "Nobody has decided yet." in page

    def test_evidence_that_lacks_everything_it_may_lack_is_still_a_page(self) -> None:
        bare = make_evidence(
            incumbent=None, judged=None, latency=None, parity=None, cause=None, gates=(), notes=()
        )
        for name, content in documents(PROBLEM, bare, REQUEST).items():
            assert "None" not in (pdf_text(content) if name.endswith("pdf") else content.decode())
        assert "Nothing is in Production" in render_html(dossier(PROBLEM, bare, REQUEST))


class TestHtml:
    @pytest.mark.parametrize("name", ["dossier.html", "model-card.html"])
    def test_nothing_is_fetched_and_nothing_runs(self, name: str) -> None:
        page = documents(PROBLEM, make_evidence(), REQUEST, APPROVALS)[name].decode()
        found = Tags(page)
        assert not found.attributes & FETCHED
        assert not {one for one in found.attributes if one.startswith("on")}
        assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "base"}
        assert not re.search(r"https?://|url\(|@import", page)
        assert "default-src 'none'" in page

    def test_every_text_is_escaped(self) -> None:
        evil = "<img src=x onerror=alert(1)>"
        document = Document(
            evil, evil, (Section(evil, (Text(evil), table((evil, "b"), [(evil, evil)], evil))),)
        )
        found = Tags(render_html(document))
        assert "img" not in found.tags
        # Title, heading, lead, section, sentence, header, two cells, note.
        assert " ".join(found.text).count(evil) == 9


class TestPdf:
    def test_letters_of_other_scripts_and_none_at_all_do_not_crash_it(self) -> None:
        odd = "Łódź é Ω Ж 中文 かな 한글 −≥≈ \U0001f600 \x00 \ud800 <b>&amp;"
        text = pdf_text(render_pdf(Document(odd, odd, (Section("s", (facts([("k", odd)]),)),))))
        assert "Łódź é Ω Ж 中文 かな 한글 −≥≈ [U+1F600] [U+0000] [U+D800] <b>&amp;" in text

    def test_a_long_table_goes_on_over_pages_under_its_header(self) -> None:
        rows = [(f"slice {number}", "0.123") for number in range(200)]
        content = render_pdf(Document("t", "l", (Section("s", (table(("Slice", "P"), rows),)),)))
        pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
        assert len(pages) > 1
        assert all("Slice" in page for page in pages)
        assert "slice 199" in pages[-1]

    def test_words_longer_than_the_page_and_empty_tables_are_drawn(self) -> None:
        section = Section("s", (facts([("k" * 300, "v" * 3000)]), facts([])))
        assert pdf_text(render_pdf(Document("t", "l", (section,)))).count("v") == 3000


class TestHeadline:
    @pytest.mark.parametrize(
        ("low", "value", "said", "verdict"),
        [
            (0.003, 0.012, "surely better", Verdict.PASS),
            (-0.004, 0.012, "cannot tell", Verdict.CANNOT_TELL),
            (-0.03, -0.02, "surely worse", Verdict.FAIL),
        ],
    )
    def test_it_says_how_surely_the_candidate_is_better(
        self, low: float, value: float, said: str, verdict: Verdict
    ) -> None:
        first = headline(make_evidence(difference=make_difference(value, low=low)))[0]
        assert said in first.text
        assert first.verdict is verdict

    def test_the_larger_set_of_rows_speaks(self) -> None:
        assert (
            "262 rows of the holdout and the held-back fifth" in headline(make_evidence())[0].detail
        )
        evidence = make_evidence()
        *others, both = evidence.comparisons
        alone = evidence.model_copy(
            update={"comparisons": (*others, both.model_copy(update={"difference": None}))}
        )
        assert "178 rows of the holdout." in headline(alone)[0].detail

    def test_slices_that_are_too_small_count_for_nothing(self) -> None:
        evidence = make_evidence()
        assert evidence.judged is not None
        small = make_slice("Deck", "G", Verdict.FAIL, too_small=True)
        slices = (make_slice("Sex", "male"), small)
        judged = evidence.judged.model_copy(update={"slices": slices})
        told = headline(evidence.model_copy(update={"judged": judged}))[1]
        assert told.text == "No slice of 1 surely loses more than is allowed."
        assert told.verdict is Verdict.PASS


def test_a_row_that_does_not_fit_its_header_is_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        table(("a", "b"), [("1",)])


def test_the_card_names_what_a_gate_says_against_the_version() -> None:
    page = render_html(model_card(PROBLEM, make_evidence()))
    assert "slices: fail. Sex female loses 0.080 of recall" in page


def test_the_dossier_tells_of_the_shadow() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    rollout = Rollout(
        id="r1",
        problem="plums",
        kind=RolloutKind.SHADOW,
        version=2,
        run_id="run",
        incumbent_version=1,
        status=RolloutStatus.STOPPED,
        shares=(0.25,),
        step=0,
        step_since=now,
        started_by="ann",
        started_at=now,
        reason="to see it",
        source="2",
        bundle_sha256="",
    )
    notes = RolloutNotes(shadow=ShadowNotes(requests=40, rows=80, agreed=76))
    given = (PROBLEM, make_evidence(), REQUEST, APPROVALS, PROMOTION)
    page = render_html(dossier(*given, [RolloutView(rollout, notes)]))
    assert "80 records of 40 requests compared, 95.00 % with the same label." in page
    assert "has scored no live requests" in render_html(dossier(*given))
