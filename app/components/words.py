"""Values as an operator reads them: times, durations, numbers and names. No Streamlit."""

from __future__ import annotations

from datetime import datetime, timedelta

from core.domain import Batch, Run, RunStatus, Sweep
from core.params import Profile
from core.training.preflight import is_oversubscribed
from core.wording import COSTS as COSTS
from core.wording import FAMILIES as FAMILIES
from core.wording import LOWER_IS_BETTER as LOWER_IS_BETTER
from core.wording import METRICS as METRICS
from core.wording import NOTHING as NOTHING
from core.wording import clock as clock
from core.wording import cost as cost
from core.wording import count as count
from core.wording import family_name as family_name
from core.wording import interval as interval
from core.wording import metric_name as metric_name
from core.wording import milliseconds as milliseconds
from core.wording import number as number
from core.wording import per_second as per_second
from core.wording import share as share
from core.wording import signed as signed
from core.wording import utc as utc

#: Search strategies of ``params.yaml`` in words.
STRATEGIES = {"grid": "Grid", "tpe": "Adaptive (TPE)"}
_SERVICES = {"mlflow": "MLflow", "store": "S3 store"}


def family_short(family: str) -> str:
    """A model family in few letters, for the tick of an axis."""
    return family.upper()


def service_name(service: str) -> str:
    """A service as its makers write it."""
    return _SERVICES.get(service, service.capitalize())


def short_id(identifier: str) -> str:
    """The first eight characters, enough to tell runs apart on one screen."""
    return identifier[:8]


def run_label(run: Run, family: str | None) -> str:
    """A short, unique name for legends, such as ``v3 · rf · 1a2b3c4d``."""
    version = f"v{run.model_version}" if run.model_version is not None else None
    return " · ".join(part for part in (version, family, short_id(run.id)) if part)


def sweep_label(sweep: Sweep) -> str:
    """A sweep in a list, such as ``2026-01-31 08:15 UTC · 2c-2g · lr, gbt · ✓ finished``."""
    profiles, families = ", ".join(sweep.profiles), ", ".join(sweep.families)
    return f"{clock(sweep.started_at)} · {profiles} · {families} · {status_word(sweep.status)}"


def batch_label(batch: Batch) -> str:
    """A batch in a list, such as ``2026-01-31 08:15 UTC · monday.csv · 1a2b3c4d``."""
    return f"{clock(batch.added_at)} · {batch.name} · {short_id(batch.id)}"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = (utc(now) - utc(moment)).total_seconds()
    if seconds < 5:
        return "just now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def when(moment: datetime, now: datetime) -> str:
    """Time with its age, such as ``2026-01-31 08:15 UTC (3 h ago)``."""
    return f"{clock(moment)} ({ago(moment, now)})"


def elapsed(run: Run | Sweep, now: datetime) -> timedelta:
    """How long a run or sweep took, or has taken so far, in whole seconds; never negative."""
    end = run.ended_at or (now if run.status.is_active else run.started_at)
    seconds = round((utc(end) - utc(run.started_at)).total_seconds())
    return timedelta(seconds=max(seconds, 0))


def duration(span: timedelta) -> str:
    """A duration in two units at most, such as ``1 min 37 s``."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def gib(megabytes: int) -> str:
    """Memory in GiB from MiB, such as ``1.5 GiB``."""
    return f"{megabytes / 1024:.1f} GiB"


def profile_sentence(profile: Profile, driver_memory_mb: int) -> str:
    """What a resource profile means, in plain words."""
    share = f"{count(profile.cores_per_executor, 'core')} and {gib(profile.memory_mb_per_executor)}"
    if profile.executors == 1:
        workers = f"1 Spark executor with {share}"
        total = ""
    else:
        workers = f"{profile.executors} Spark executors with {share} each"
        total = f" ({count(profile.cores, 'core')} and {gib(profile.memory_mb)} in total)"
    return f"{workers}{total}. Spark's driver takes {gib(driver_memory_mb)} of memory besides."


def grid_sentence(size: int, tried: int) -> str:
    """How much of a grid a search tries; models that are the same count once."""
    whole = f"The full grid of these families has {count(size, 'model')}"
    if tried == size:
        return f"{whole}; all of it is tried."
    return (
        f"{whole}; {tried} of them are tried, a sample drawn with the seed in which the families "
        "take turns."
    )


def profile_label(profile: Profile, physical_cores: int) -> str:
    """A profile's name, and whether it has more cores than the machine."""
    return (
        f"{profile.name} (oversubscribed)"
        if is_oversubscribed(profile, physical_cores)
        else profile.name
    )


def oversubscription(profile: Profile, physical_cores: int) -> str:
    """What it means that a profile is oversubscribed; empty where it is not."""
    if not is_oversubscribed(profile, physical_cores):
        return ""
    return (
        f"Oversubscribed: it asks for {count(profile.cores, 'core')} and this machine has "
        f"{physical_cores}, so its executors take turns and its times say little."
    )


def status_word(status: RunStatus) -> str:
    """A run's status as a word with a sign, so that colour is never the only hint."""
    signs = {
        RunStatus.QUEUED: "◌",
        RunStatus.RUNNING: "▶",
        RunStatus.FINISHED: "✓",
        RunStatus.FAILED: "✕",
        RunStatus.CANCELLED: "■",
    }
    return f"{signs[status]} {status.value}"


def plain(text: str) -> str:
    """Keeps Markdown from reading formulas and links into a message."""
    for sign in "\\$[]*_":
        text = text.replace(sign, f"\\{sign}")
    return text


def approve_command(request_id: str, *, in_steps: bool = False) -> str:
    """The command that approves a promotion request."""
    verb = "rollout canary" if in_steps else "promote approve"
    return f'pilothouse {verb} {request_id} --reason "…"'


def reject_command(request_id: str) -> str:
    """The command that rejects a promotion request."""
    return f'pilothouse promote reject {request_id} --reason "…"'


def rollout_command(verb: str, problem: str) -> str:
    """The command that holds, continues or stops a rollout of a problem."""
    return f'pilothouse rollout {verb} {problem} --reason "…"'


def trace_command(request_id: str) -> str:
    """The command that traces an answer and scores it again."""
    return f"pilothouse trace {request_id} --replay"
