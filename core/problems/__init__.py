"""The problems this installation knows, found by name.

A problem is one module with a ``PROBLEM`` in one of the packages that the
setting ``problem_packages`` lists, and one line under ``problems`` in
``params.yaml``.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence

from core.errors import NotFoundError
from core.problems.contract import Problem


def load_problem(name: str, packages: Sequence[str]) -> Problem:
    """Returns the problem called ``name`` from the first package that has it.

    Raises:
        NotFoundError: no package has a module of that name with a ``PROBLEM``.
    """
    if name.isidentifier():
        for package in packages:
            qualified = f"{package}.{name}"
            try:
                module = importlib.import_module(qualified)
            except ModuleNotFoundError as exc:
                # A missing import inside the module is its own fault and must show.
                if exc.name is None or not f"{qualified}.".startswith(f"{exc.name}."):
                    raise
                continue
            problem = getattr(module, "PROBLEM", None)
            if isinstance(problem, Problem):
                return problem
    raise NotFoundError(
        f"There is no problem called {name!r}.",
        fix=f"Add {name}.py with a PROBLEM to one of: {', '.join(packages)}.",
    )


def require_problem(name: str, problems: Collection[str]) -> None:
    """Refuses a name that is not among the problems of this installation.

    Raises:
        NotFoundError: it is not.
    """
    if name not in problems:
        raise NotFoundError(
            f"There is no problem called {name!r}.",
            fix=f"Choose one of: {', '.join(problems)}.",
        )
