"""Lends LightGBM an OpenMP runtime where the system has none.

NannyML imports LightGBM, whose wheel wants ``libgomp.so.1`` from the system; a bare Debian
lacks it. Scikit-learn's wheel brings the same library, under a name of its own so that it
disturbs nobody. Loaded once under the name that is wanted, it serves LightGBM as well: the
dynamic linker looks for a library among those that are loaded, by the name inside the file.
"""

from __future__ import annotations

import ctypes
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

from core.errors import SetupError

WANTED = "libgomp.so.1"
_OWN_NAME = re.compile(rb"libgomp-[0-9a-f]+\.so\.[0-9.]+\0")


def has_openmp() -> bool:
    """Whether the system, or this process already, has the runtime."""
    try:
        ctypes.CDLL(WANTED)
    except OSError:
        return False
    return True


def bundled_openmp() -> Path | None:
    """The runtime in scikit-learn's wheel; ``None`` where there is none."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent.parent / "scikit_learn.libs"
    return next(iter(sorted(folder.glob("libgomp-*.so*"))), None)


def lend_openmp() -> None:
    """Loads the bundled runtime for this process where the system has none.

    Raises:
        SetupError: there is no runtime at all.
    """
    if has_openmp():
        return
    bundled = bundled_openmp()
    if bundled is None:
        raise SetupError(
            "NannyML needs the OpenMP runtime libgomp, which is not there.",
            fix="On Debian: apt-get install libgomp1.",
        )
    renamed = _OWN_NAME.sub(_as_wanted, bundled.read_bytes())
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        file.write(renamed)
        file.flush()
        # What is loaded stays when the file goes.
        ctypes.CDLL(file.name, mode=ctypes.RTLD_GLOBAL)


def _as_wanted(own: re.Match[bytes]) -> bytes:
    # A name in an ELF file ends with a zero and has to keep its place.
    return WANTED.encode().ljust(len(own[0]), b"\0")
