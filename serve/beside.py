"""The second versions that a replica holds for rollouts, loaded apart from everything else.

``ModelStore`` publishes what is decided here in its snapshot, so that a request sees Production
and the second version at one moment. No Ray inside.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from core.deployment.endpoint import Beside, EndpointConfig
from core.scoring.bundle import BundleRef
from serve.loading import Load, Loads, reason_of
from serve.predictor import LoadedModel
from serve.rollout_counts import RolloutCounts
from serve.shadow import Shadow

logger = logging.getLogger(__name__)

#: Rollouts whose counts are kept after their end. A request that began before is counted still,
#: and one that a deployment leaves out for a moment goes on where it was.
KEPT = 16


@dataclass(frozen=True)
class Active:
    """A rollout of one problem, as this replica takes part in it.

    ``model`` is ``None`` while it is on its way, and where ``failure`` says why it cannot be
    loaded. ``shadow`` is there where the version is loaded and is one.
    """

    plan: Beside
    counts: RolloutCounts
    model: LoadedModel | None = None
    failure: str = ""
    shadow: Shadow | None = None

    @property
    def canary(self) -> LoadedModel | None:
        """The model that may answer; ``None`` where there is none, or a shadow."""
        return self.model if self.plan.kind == "canary" else None

    def state(self) -> dict[str, object]:
        """What ``GET /readyz`` tells, as ``core.deployment.answers.ReadyBeside`` has it."""
        return {
            "rollout": self.plan.rollout,
            "step": self.plan.step,
            "version": self.plan.model.version,
            "loaded": self.model is not None,
            "failure": self.failure,
        }


Held = Mapping[str, Active]
#: Changes what is held; may be called by several threads.
Publish = Callable[[Callable[[Held], Held]], None]


def reusable(models: Iterable[LoadedModel | None], ref: BundleRef) -> LoadedModel | None:
    """The one of these models that is the version at ``ref``; ``None`` if none is.

    The hash of the page of facts names a version's files wherever they are fetched from.
    """
    for model in models:
        if model is None or (model.ref.problem, model.ref.version) != (ref.problem, ref.version):
            continue
        if model.ref == ref:
            return model
        if ref.sha256 and model.bundle_sha256 == ref.sha256:
            return replace(model, ref=ref)
    return None


class SecondVersions:
    """Decides what is held beside Production, and loads it in threads of its own.

    A load that hangs holds up its thread and nothing else. One that failed is tried again by
    ``load_missing``.
    """

    def __init__(self, load: Load, publish: Publish) -> None:
        self._load = load
        self._publish = publish
        self._changing = threading.Lock()
        self._counts: dict[str, RolloutCounts] = {}
        self._loading: set[tuple[BundleRef, Loads]] = set()
        self._loads: Loads | None = None

    def counts(self) -> tuple[RolloutCounts, ...]:
        """Of every rollout that this process has taken part in lately."""
        with self._changing:
            return tuple(self._counts.values())

    def at_once(self, config: EndpointConfig, held: Held) -> Held:
        """What of a new configuration needs no load: another step or share, and an end.

        Production may take its time to load, and a canary that is taken back must not wait for
        it. What is about to become Production stays until then.
        """
        kept: dict[str, Active] = {}
        for name, active in held.items():
            wanted = config.models.get(name)
            plan = wanted.beside if wanted else None
            if plan and _same(active.plan, plan):
                kept[name] = replace(active, plan=plan)
            elif wanted and reusable([active.model], wanted.production):
                kept[name] = active
        _close_shadows(held, kept)
        return kept

    def settled(
        self, config: EndpointConfig, held: Held, spare: Mapping[str, Iterable[LoadedModel | None]]
    ) -> Held:
        """What is held under ``config`` once Production has been switched.

        Args:
            config: the configuration.
            held: what is held now.
            spare: problem -> loaded models that may be used again.
        """
        self._loads = Loads.of(config)
        settled: dict[str, Active] = {}
        for name, wanted in config.models.items():
            plan, before = wanted.beside, held.get(name)
            if plan is None:
                continue
            model = reusable(spare.get(name, ()), plan.model)
            failure = ""
            if model is None and before and _same(before.plan, plan):
                failure = before.failure
            active = Active(plan, self._counts_of(plan), failure=failure)
            settled[name] = self._with_model(active, model, before) if model else active
        _close_shadows(held, settled)
        return settled

    def load_missing(self, config: EndpointConfig | None, held: Held) -> None:
        """Starts to load what is not loaded and not on its way; returns at once."""
        for active in held.values():
            if active.model is None and config is not None:
                self._start(active.plan.model, config)

    def _start(self, ref: BundleRef, config: EndpointConfig) -> None:
        on_its_way = (ref, Loads.of(config))
        with self._changing:
            if on_its_way in self._loading:
                return
            self._loading.add(on_its_way)
        work = threading.Thread(
            target=self._run, args=(ref, config, on_its_way), name="second-version", daemon=True
        )
        work.start()

    def _run(
        self, ref: BundleRef, config: EndpointConfig, on_its_way: tuple[BundleRef, Loads]
    ) -> None:
        model: LoadedModel | None = None
        failure = ""
        try:
            model = self._load(ref, config)
            logger.info("%s v%d is loaded beside Production", ref.problem, ref.version)
        except Exception as exc:
            # Whatever onnxruntime raises: it is told, and tried again.
            failure = reason_of(exc)
            logger.exception("%s v%d cannot be loaded", ref.problem, ref.version)
        with self._changing:
            self._loading.discard(on_its_way)

        def put(held: Held) -> Held:
            active = held.get(ref.problem)
            if active is None or active.plan.model != ref or active.model is not None:
                return held
            if on_its_way[1] != self._loads:  # with limits from before: another is on its way
                return held
            active.counts.tell_load(failure)
            loaded = replace(active, failure=failure)
            if model is not None:
                loaded = self._with_model(loaded, model, None)
            return {**held, ref.problem: loaded}

        self._publish(put)

    def _with_model(self, active: Active, model: LoadedModel, before: Active | None) -> Active:
        """The same with the model, and with what a shadow needs."""
        active.counts.tell_load("")
        shadow: Shadow | None = None
        if active.plan.kind == "shadow":
            shadow = (
                before.shadow if before and before.plan.rollout == active.plan.rollout else None
            )
            if shadow is None or shadow.model is not model:
                comparison = active.counts.comparison
                shadow = Shadow(model, comparison, active.plan.queue_requests)
        return replace(active, model=model, shadow=shadow)

    def _counts_of(self, plan: Beside) -> RolloutCounts:
        with self._changing:
            found = self._counts.pop(plan.rollout, None) or RolloutCounts(
                plan.rollout, plan.examples
            )
            # The newest comes last.
            self._counts[plan.rollout] = found
            for old in list(self._counts)[:-KEPT]:
                del self._counts[old]
        return found


def _close_shadows(before: Held, after: Held) -> None:
    """Ends the shadows that are not there any more."""
    for name, active in before.items():
        if active.shadow and (name not in after or after[name].shadow is not active.shadow):
            active.shadow.close()


def _same(one: Beside, other: Beside) -> bool:
    """Whether both are of one rollout, and of one version."""
    return (one.rollout, one.model) == (other.rollout, other.model)
