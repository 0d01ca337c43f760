"""The Ray Serve deployment: a thin shell around ``ModelStore`` and ``EndpointApp``.

Ray Serve is given ``serve.deployment:application`` and a ``user_config`` of the
shape ``core.deployment.endpoint.EndpointConfig``.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
from typing import Any

from ray import serve as ray_serve

from core.deployment.endpoint import DEPLOYMENT
from serve.asgi import EndpointApp
from serve.gate import Gate
from serve.logs import ReplicaLogs
from serve.loopback import keep_internal_port_local
from serve.store import ModelStore

logger = logging.getLogger(__name__)

#: A caller who sends a large body slowly may be answered by the version before for longer.
SWITCH_TIMEOUT_S = 10.0


class Endpoint:
    """One replica."""

    def __init__(self) -> None:
        keep_internal_port_local()
        self._store = ModelStore()
        replica = ray_serve.get_replica_context().replica_id.unique_id
        self._logs = ReplicaLogs(replica)
        self._gate = Gate()
        self._logs.note_use_of_keys(self._gate)
        self._logs.tell_metrics(self._store)
        self._logs.note_rollouts(self._store)
        # Ray Serve ends a replica by the application's lifespan; a head that is stopped ends
        # its processes without that.
        atexit.register(self._logs.close)
        atexit.register(self._store.close)
        self._app = EndpointApp(self._store, self._logs, self._gate)
        self._retry: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> EndpointApp:
        """Called by Ray Serve inside the replica, once."""
        return self._app

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Called by Ray Serve at the start and with every new ``user_config``."""
        # Before the models, which may take their time: a revoked key is out at once.
        self._gate.apply(user_config)
        await asyncio.to_thread(self._store.apply, user_config)
        config = self._store.snapshot.config
        if config is not None:
            await asyncio.to_thread(self._logs.configure, config)
        # Once Ray Serve calls this replica switched, nobody gets the version before from it.
        if not await self._app.ongoing.wait_for_earlier(SWITCH_TIMEOUT_S):
            logger.warning("requests from before a switch take more than %g s", SWITCH_TIMEOUT_S)

    async def check_health(self) -> None:
        """Called by Ray Serve every few seconds; uses the beat to retry failed loads.

        A model that cannot be loaded is no reason to kill the replica, since the
        others may be served well; ``/readyz`` tells it.
        """
        if self._store.snapshot.failures and (self._retry is None or self._retry.done()):
            self._retry = asyncio.create_task(asyncio.to_thread(self._store.retry))
        self._store.load_seconds()


application = ray_serve.deployment(name=DEPLOYMENT)(ray_serve.ingress()(Endpoint)).bind()
