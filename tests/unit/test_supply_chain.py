"""What is locked: its licences are listed and allowed, its known holes explained."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from email.message import Message
from pathlib import Path

import pytest

from core.settings import CODE_ROOT
from tests.unit.scripts import script

audit, licences = script("audit"), script("licences")
LOCK = licences.locked((CODE_ROOT / licences.LOCK).read_text(encoding="utf-8"))
RULES = licences.read_rules((CODE_ROOT / licences.RULES).read_text(encoding="utf-8"))
TODAY = date(2026, 11, 22)
#: As pip-audit says it.
DOCUMENT = {
    "dependencies": [
        {"name": "sound", "version": "1.0", "vulns": []},
        {
            "name": "leaky",
            "version": "2.0",
            "vulns": [
                {
                    "id": "PYSEC-2026-1",
                    "aliases": ["CVE-2026-1", "GHSA-x"],
                    "fix_versions": ["2.1"],
                    "description": "It leaks\nmemory | more.",
                }
            ],
        },
        {"name": "strange", "skip_reason": "not on the index"},
    ],
    "fixes": [],
}


def _known(identifier: str, until: date = TODAY, package: str = "leaky") -> object:
    return audit.Known(identifier, package, "It does no harm here.", until)


class TestTheListOfLicences:
    def test_it_is_the_one_that_is_written(self) -> None:
        done = subprocess.run(
            [sys.executable, str(CODE_ROOT / "scripts" / "licences.py"), "--check"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def test_it_is_that_of_the_lock(self) -> None:
        text = (CODE_ROOT / licences.PAGE).read_text(encoding="utf-8")
        rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+?) \| (.*) \|$", text, re.MULTILINE)
        listed = {name: version for name, version, *_ in rows if set(name) != {"-"}}
        listed.pop("package")
        assert listed == LOCK

    def test_whatever_is_not_allowed_is_explained(self) -> None:
        text = (CODE_ROOT / licences.PAGE).read_text(encoding="utf-8")
        rows = re.findall(r"^\| (\S+) \| \d\S* \| (.+?) \| (.*) \|$", text, re.MULTILINE)
        assert len(rows) == len(LOCK)
        found = [licences.Entry(name, "1", licence, note) for name, licence, note in rows]
        assert list(licences.faults(found, RULES)) == []

    def test_a_stranger_is_a_fault_and_so_is_an_idle_rule(self) -> None:
        rules = licences.Rules(frozenset({"MIT"}), {}, {"gone": {"note": "It was here."}})
        found = [licences.Entry("a", "1", "SSPL-1.0", ""), licences.Entry("b", "1", "MIT", "")]
        assert [fault.split(":")[0] for fault in licences.faults(found, rules)] == ["a", "gone"]


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND 0BSD", True),
        ("GPL-3.0-only AND 0BSD OR MIT", True),
        ("GPL-3.0-only AND (0BSD OR MIT)", False),
        ("(GPL-3.0-only OR MIT) AND 0BSD", True),
        ("MIT WITH a-wrong-exception", False),
        ("GPL-2.0-only WITH an-exception", True),
        ("unknown", False),
    ],
)
def test_an_expression_is_allowed_by_its_parts(licence: str, allowed: bool) -> None:
    known = frozenset({"MIT", "0BSD", "GPL-2.0-only WITH an-exception"})
    assert licences.is_allowed(licence, known) is allowed


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"License-Expression": "MIT", "License": "BSD"}, "MIT"),
        ({"License": "Apache 2.0"}, "Apache-2.0"),
        ({"License": "BSD-3-Clause\nand the whole text"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        (
            {"License": "Somebody's own words", "Classifier": "License :: OSI Approved :: MIT"},
            "MIT",
        ),
        ({"Classifier": "Topic :: Software"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_licence_is_found_wherever_it_is_said(said: dict[str, str], licence: str) -> None:
    message = Message()
    for key, value in said.items():
        message[key] = value
    rules = licences.Rules(frozenset({"MIT", "BSD-3-Clause"}), RULES.words, {})
    assert licences.licence_of("a", message, rules) == licence


def test_what_the_rules_say_of_a_package_counts_most() -> None:
    message = Message()
    message["License-Expression"] = "MIT"
    rules = licences.Rules(frozenset(), {}, {"a": {"licence": "ISC"}})
    assert licences.licence_of("a", message, rules) == "ISC"


class TestTheAudit:
    def test_a_hole_is_known_under_each_of_its_names(self) -> None:
        (hole,) = audit.holes(DOCUMENT)
        assert hole.ids == ("PYSEC-2026-1", "CVE-2026-1", "GHSA-x")
        for name in hole.ids:
            assert audit.open_holes([hole], [_known(name)], TODAY) == ()
        assert audit.open_holes([hole], [_known("CVE-2026-2")], TODAY) == (hole,)
        assert audit.open_holes([hole], [_known("CVE-2026-1", package="sound")], TODAY) == (hole,)

    def test_an_exception_ends(self) -> None:
        (hole,) = audit.holes(DOCUMENT)
        known = [_known("CVE-2026-1", until=date(2026, 11, 21))]
        assert audit.open_holes([hole], known, TODAY) == (hole,)
        assert audit.useless([hole], known) == ()

    def test_one_that_is_needed_no_more_is_found(self) -> None:
        known = _known("CVE-2020-1")
        assert audit.useless(audit.holes(DOCUMENT), [known]) == (known,)

    def test_the_report_has_all_of_it(self) -> None:
        left, asked = tuple(audit.holes(DOCUMENT)), audit.skipped(DOCUMENT)
        text = audit.report(left, (), [_known("CVE-2020-1")], asked)
        row = "| leaky | 2.0 | PYSEC-2026-1 | 2.1 | It leaks memory \\| more. |"
        assert row in text
        assert "- leaky, CVE-2020-1" in text
        assert "- strange: not on the index" in text
        quiet = audit.report((), [_known("CVE-2026-1")], (), ())
        assert "None without an exception." in quiet
        assert "- leaky, CVE-2026-1, until 2026-11-22: It does no harm here." in quiet

    def test_the_exceptions_of_today_are_whole(self) -> None:
        text = (CODE_ROOT / audit.EXCEPTIONS).read_text(encoding="utf-8")
        for known in audit.read_exceptions(text):
            assert known.package in LOCK

    @pytest.mark.parametrize(
        "text",
        [
            '[[exception]]\nid = "CVE-1"\npackage = "a"\nreason = "it does no harm"\n',
            '[[exception]]\nid = "CVE-1"\npackage = "a"\nreason = ""\nuntil = 2026-12-31\n',
            '[[exception]]\nid = "C"\npackage = "a"\nreason = "it is fine"\nuntil = "later"\n',
            '[[exception]]\nid = "C"\npackage = "a"\nreason = "a b c"\nuntil = 2026-12-31\nx = 1\n',
        ],
    )
    def test_an_exception_that_does_not_say_why_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=re.escape(audit.EXCEPTIONS)):
            audit.read_exceptions(text)


@pytest.mark.parametrize(
    ("dependencies", "code"),
    [
        ([{"name": "sound", "version": "1.0", "vulns": []}], 0),
        (DOCUMENT["dependencies"][1:2], 1),
        # Whoever could not ask does not know that all is well.
        ([{"name": "strange", "skip_reason": "not on the index"}], 1),
    ],
)
def test_the_audit_fails_unless_all_is_known_to_be_well(
    dependencies: list[object], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "ask", lambda: {"dependencies": dependencies})
    monkeypatch.setattr(sys, "argv", ["audit.py", str(tmp_path)])
    assert audit.main() == code
    assert (tmp_path / "report.md").exists()
