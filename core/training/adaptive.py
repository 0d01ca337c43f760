"""A search that learns from its trials: what is tried next depends on what was found.

Trials run side by side, yet the outcome depends on no thread's speed: trial ``i`` is
proposed when exactly the trials up to ``i - parallel`` are told, in order, and it is
given up in comparison with the best of these alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Protocol

from core.problems.contract import SearchSpace
from core.training.report import Candidate
from core.training.trials import Trial

#: A mean AUC that is behind by less is never a reason to give up a trial.
LEAST_MARGIN = 0.005
#: So many proposals in a row that were tried before: there is nothing left to try.
REPEATS = 50


@dataclass(frozen=True)
class Proposal:
    """A trial that a proposer wants to know about; ``number`` tells proposals apart."""

    number: int
    trial: Trial


class Proposer(Protocol):
    """Chooses trials by what it was told of earlier ones. Called from one thread."""

    def ask(self) -> Proposal:
        """Returns what to try next; it may have been tried before."""
        ...

    def tell(self, proposal: Proposal, candidate: Candidate) -> None:
        """Hears what became of a proposal."""
        ...


#: Builds a proposer from a search space, the families to search, the budget and the seed.
Proposers = Callable[[SearchSpace, Sequence[str], int, int], Proposer]
#: Hears the AUC of the folds done so far and says whether to stop here.
GiveUp = Callable[[Sequence[float]], bool]
#: Fits a trial under an index.
Evaluate = Callable[[int, Trial, GiveUp], Candidate]


def is_hopeless(fold_auc: Sequence[float], best: Candidate | None) -> bool:
    """Whether a trial is so far behind on its first folds that the rest is not worth it.

    It is, if its mean is more than one standard error of the best candidate's mean
    below the best candidate's mean on the same folds.
    """
    if best is None:
        return False
    behind = fmean(best.fold_auc[: len(fold_auc)]) - fmean(fold_auc)
    return behind > max(best.standard_error or 0.0, LEAST_MARGIN)


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The highest mean AUC among candidates that were not given up; ties go to the first."""
    whole = [candidate for candidate in candidates if not candidate.pruned]
    return max(whole, key=lambda c: (c.mean_auc, -c.index), default=None)


@dataclass(frozen=True)
class Budget:
    """When to stop: so many candidates, or no new one after so many seconds."""

    trials: int
    seconds: float | None = None

    def allows(self, tried: int, elapsed_s: float) -> bool:
        """Whether one more candidate may start; the first always may."""
        in_time = self.seconds is None or elapsed_s < self.seconds or not tried
        return tried < self.trials and in_time


def search_adaptively(
    proposer: Proposer,
    evaluate: Evaluate,
    budget: Budget,
    parallel: int,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Candidate, ...]:
    """Tries what ``proposer`` proposes, ``parallel`` trials at a time.

    A proposal that was tried before is answered from memory and costs no budget.
    Candidates come in order of proposal; the first is never given up.
    """
    candidates: list[Candidate] = []
    known: dict[tuple[object, ...], Future[Candidate]] = {}
    waiting: deque[tuple[Proposal, Future[Candidate]]] = deque()
    began, repeats = clock(), 0

    def goes_on() -> bool:
        return repeats < REPEATS and budget.allows(len(known), clock() - began)

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="trial") as pool:
        while True:
            while len(waiting) < parallel and goes_on():
                proposal = proposer.ask()
                key = proposal.trial.key
                repeats = repeats + 1 if key in known else 0
                if key not in known:
                    give_up = partial(is_hopeless, best=best_of(candidates))
                    known[key] = pool.submit(evaluate, len(known), proposal.trial, give_up)
                waiting.append((proposal, known[key]))
            if not waiting:
                return tuple(candidates)
            proposal, future = waiting.popleft()
            candidate = future.result()
            proposer.tell(proposal, candidate)
            if candidate.index == len(candidates):
                candidates.append(candidate)
