"""What Prometheus reads: each process writes one small file, whoever is asked joins them.

A file is Prometheus' text format (version 0.0.4) and is replaced whole. Replicas and the worker
write theirs every few seconds; a file that nobody has written for a minute belongs to a process
that has gone, and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: What replicas count and others read.
REQUESTS = "pilothouse_requests_total"
DURATION = "pilothouse_request_duration_seconds"
MODEL = "pilothouse_model_info"
SHARE = "pilothouse_rollout_share"
_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
#: Upper bounds of the histogram in seconds: from a tenth of a usual answer to a timeout. Each is
#: at most 1.5 times the one below up to a second, so that a percentile between them is honest.
BOUNDS_S = (
    *(float(f"{step}e{power}") for power in (-4, -3, -2, -1) for step in _STEPS),
    *(1.0, 2.0, 5.0, 10.0),
)

STALE_S = 60.0
#: A file that no process has touched for so long is removed.
KEPT_S = 86_400.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = "# HELP "
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})


@dataclass(frozen=True)
class Sample:
    """One number; ``suffix`` is ``_bucket``, ``_sum`` or ``_count`` within a histogram."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True)
class Family:
    """All samples of one metric that one process has."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[Sample]


def metrics_folder(home: Path) -> Path:
    """Folder of the files of all processes."""
    return home / "metrics"


def render(families: Iterable[Family]) -> str:
    """Metrics as text; those without a sample are left out."""
    return "".join(_section(family) for family in families if family.samples)


def join(texts: Iterable[str]) -> str:
    """Texts of several processes as one, in which each metric is named once."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for section in text.split(_HELP)[1:]:
            said, kind, *samples = section.splitlines()
            found.setdefault(f"{_HELP}{said}\n{kind}\n", []).extend(samples)
    return "".join(f"{head}{_lines(samples)}" for head, samples in found.items())


def write_metrics(folder: Path, source: str, text: str) -> None:
    """Replaces the file of a process; ``source`` is unique.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    unborn = folder / f".{source}.prom"
    unborn.write_text(text, encoding="utf-8")
    unborn.replace(folder / f"{source}.prom")


def remove_metrics(folder: Path, source: str) -> None:
    """Removes the file of a process that ends."""
    (folder / f"{source}.prom").unlink(missing_ok=True)


def read_metrics(folder: Path, *, but: str = "") -> list[str]:
    """The files of processes that live, without that of ``but``."""
    texts = []
    for file in sorted(folder.glob("[!.]*.prom")):
        try:
            if file.stem != but and time.time() - file.stat().st_mtime < STALE_S:
                texts.append(file.read_text(encoding="utf-8"))
        except OSError:
            # Its process has just ended.
            continue
    return texts


def forget_old(folder: Path) -> None:
    """Removes the files of processes that have long ended."""
    for file in folder.glob("[!.]*.prom"):  # a hidden one is being written
        with suppress(FileNotFoundError):
            if time.time() - file.stat().st_mtime > KEPT_S:
                file.unlink()


def _section(family: Family) -> str:
    samples = [
        f"{family.name}{sample.suffix}{_labels(sample.labels)} {sample.value:.17g}"
        for sample in family.samples
    ]
    return (
        f"{_HELP}{family.name} {family.help}\n# TYPE {family.name} {family.kind}\n{_lines(samples)}"
    )


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _lines(samples: Iterable[str]) -> str:
    return "".join(f"{sample}\n" for sample in samples)
