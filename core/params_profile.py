"""Resource profiles: what Spark gets of the cluster, by a name or written out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import Field, ValidationError, model_validator

from core.errors import InvalidInputError, Offence
from core.frozen import Frozen

#: What an executor needs to start: Spark refuses less than 450 MiB.
LEAST_EXECUTOR_MB = 512
_MB_PER_G = 1024
#: The most of each figure that ``_WRITTEN_OUT`` takes.
MOST_EXECUTORS = MOST_CORES = 9_999
MOST_MEMORY_GB = 99_999
#: Executors, cores of each, and memory in total, such as ``2x1c-2g``.
_WRITTEN_OUT = re.compile(r"(\d{1,4})x(\d{1,4})c-(\d{1,5}(?:\.\d{1,3})?)g")


class Profile(Frozen):
    """Spark's resources: totals over the executors; the driver is apart."""

    name: str
    executors: int = Field(ge=1, description="Number of executors.")
    cores: int = Field(ge=1, description="Cores, in total over the executors.")
    memory_mb: int = Field(ge=512, description="Memory in MiB, in total over the executors.")

    @model_validator(mode="after")
    def _divisible(self) -> Profile:
        if self.cores % self.executors:
            raise ValueError("cores must be a multiple of executors")
        if self.memory_mb_per_executor < LEAST_EXECUTOR_MB:
            raise ValueError(f"an executor needs {LEAST_EXECUTOR_MB} MiB")
        return self

    @property
    def cores_per_executor(self) -> int:
        """Cores of one executor."""
        return self.cores // self.executors

    @property
    def memory_mb_per_executor(self) -> int:
        """MiB of one executor."""
        return self.memory_mb // self.executors


def write_profile(executors: int, cores_per_executor: int, memory_gb: float) -> str:
    """Writes a free choice as ``read_profile`` takes it; memory in GiB, in total."""
    return f"{executors}x{cores_per_executor}c-{memory_gb:g}g"


def read_profile(text: str, named: Iterable[Profile]) -> Profile | None:
    """Reads a free choice such as ``2x1c-2g``; ``None`` if ``text`` is not written so.

    That is two executors of one core each, with 2 GiB in total. A choice that is one of
    ``named`` under another name is that one, so that both find the same warm session.

    Raises:
        InvalidInputError: it is written so and breaks a rule of profiles.
    """
    found = _WRITTEN_OUT.fullmatch(text)
    if found is None:
        return None
    executors, each, memory_gb = int(found[1]), int(found[2]), float(found[3])
    memory_mb = round(memory_gb * _MB_PER_G)
    try:
        chosen = Profile(
            name=write_profile(executors, each, memory_gb),
            executors=executors,
            cores=executors * each,
            memory_mb=memory_mb,
        )
    except ValidationError as exc:
        raise InvalidInputError(
            f"Profile {text} cannot be used.",
            fix="Give it 1 or more executors with 1 or more cores each, and "
            f"{LEAST_EXECUTOR_MB} MiB of memory for each of them.",
            offences=[Offence("profile", "breaks a rule of profiles")],
        ) from exc
    same = (one for one in named if _figures(one) == _figures(chosen))
    return next(same, chosen)


def _figures(profile: Profile) -> tuple[int, int, int]:
    return profile.executors, profile.cores, profile.memory_mb
