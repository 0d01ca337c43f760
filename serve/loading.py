"""Loads a version, and what stands in for one that cannot be had; no Ray inside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from core.deployment.endpoint import EndpointConfig
from core.errors import PilothouseError
from core.scoring.bundle import Bundle, BundleRef, cached_bundle, obtain_bundle, read_bundle
from core.scoring.good_models import GoodModels
from serve.predictor import LoadedModel, warm_up

logger = logging.getLogger(__name__)

Load = Callable[[BundleRef, EndpointConfig], LoadedModel]


class Loads(NamedTuple):
    """What of a configuration a loaded model depends on."""

    max_records: int
    max_body_mb: int
    packages: tuple[str, ...]

    @classmethod
    def of(cls, config: EndpointConfig) -> Loads:
        """Of a configuration."""
        return cls(config.max_records, config.max_body_mb, config.packages)


def load_model(ref: BundleRef, config: EndpointConfig) -> LoadedModel:
    """Loads a version from this machine's copies or the registry, and keeps one that works.

    Raises:
        PilothouseError: there is no such problem or bundle, the registry does not
            answer, or the bundle does not fit this code.
    """
    bundle = _bundle(ref, config)
    loaded = warm_up(ref, bundle, config)
    _keep(config, ref, bundle)
    return loaded


def load_second(ref: BundleRef, config: EndpointConfig) -> LoadedModel:
    """The same for a version beside Production: it has not served well yet, so it is not kept.

    Raises:
        PilothouseError: as ``load_model``.
    """
    return warm_up(ref, _bundle(ref, config), config)


def keep_served(model: LoadedModel, config: EndpointConfig) -> None:
    """Keeps a version that was loaded beside Production and now serves.

    Its files are where they were fetched to a while ago; the registry is not asked.
    """
    ref = model.ref.model_copy(update={"sha256": model.bundle_sha256})
    try:
        bundle = _good(ref, config) or read_bundle(cached_bundle(ref, config.cache), ref.sha256)
    except (PilothouseError, OSError) as exc:
        logger.warning("%s v%d is not kept: %s", ref.problem, ref.version, exc)
    else:
        _keep(config, ref, bundle)


def load_stand_in(problem: str, config: EndpointConfig) -> LoadedModel | None:
    """The newest version that has served well on this machine and still loads, from disk alone."""
    if config.good_models is None:
        return None
    good = GoodModels(config.good_models)
    for ref in good.list(problem):
        try:
            return warm_up(ref, good.read(ref), config)
        except Exception:
            # Whatever onnxruntime raises: the one before it may do.
            logger.exception("%s v%d cannot stand in", problem, ref.version)
    return None


def reason_of(exc: Exception) -> str:
    """Why a load failed, in words."""
    if isinstance(exc, PilothouseError):
        return str(exc)
    return f"{type(exc).__name__}: {str(exc)[:200]}"


def _bundle(ref: BundleRef, config: EndpointConfig) -> Bundle:
    """From this machine's copies or the registry."""
    return _good(ref, config) or obtain_bundle(ref, config.cache)


def _good(ref: BundleRef, config: EndpointConfig) -> Bundle | None:
    return GoodModels(config.good_models).find(ref) if config.good_models else None


def _keep(config: EndpointConfig, ref: BundleRef, bundle: Bundle) -> None:
    if config.good_models is None:
        return
    try:
        GoodModels(config.good_models).keep(ref, bundle)
    except OSError as exc:
        # It serves all the same; what would be missed is a stand-in for a later day.
        logger.warning("%s v%d is not kept: %s", ref.problem, ref.version, exc)
