"""Scripts as modules: `scripts/` is no package, so that nothing imports it by accident."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from core.settings import CODE_ROOT


def script(name: str) -> ModuleType:
    """The script of that name, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, CODE_ROOT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
