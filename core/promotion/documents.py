"""What is filed with a version: dossier and model card, each as HTML and as PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.domain import Approval, Promotion, PromotionRequest
from core.problems.contract import Problem
from core.promotion.document import Document
from core.promotion.document_html import render_html
from core.promotion.dossier import dossier
from core.promotion.evidence import Evidence
from core.promotion.model_card import model_card
from core.rollout.view import RolloutView

DOSSIER, MODEL_CARD = "dossier", "model-card"


def documents(
    problem: Problem,
    evidence: Evidence,
    request: PromotionRequest,
    approvals: Sequence[Approval] = (),
    promotion: Promotion | None = None,
    shadows: Sequence[RolloutView] = (),
) -> Mapping[str, bytes]:
    """Every document of a request under its file name; equal values give equal bytes.

    Args:
        problem: what the model is for.
        evidence: as it was frozen.
        request: open or decided.
        approvals: those given so far, oldest first.
        promotion: what came of an approval.
        shadows: how the candidate has done in the shadow, newest first.
    """
    built = {
        DOSSIER: dossier(problem, evidence, request, approvals, promotion, shadows),
        MODEL_CARD: model_card(problem, evidence),
    }
    return {
        f"{name}.{kind}": content
        for name, document in built.items()
        for kind, content in (("html", html_bytes(document)), ("pdf", pdf_bytes(document)))
    }


def html_bytes(document: Document) -> bytes:
    """A document as an HTML file in UTF-8."""
    # A text may hold half a letter, which UTF-8 cannot write.
    return render_html(document).encode("utf-8", "xmlcharrefreplace")


def pdf_bytes(document: Document) -> bytes:
    """A document as a PDF file."""
    # ReportLab takes a second to import, and most processes never write a PDF.
    from core.adapters.pdf import render_pdf

    return render_pdf(document)
