"""grpc.health.v1: load balancers and supervisors ask whether work is taken."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.scheduler import Scheduler
from server.workers import Workers

LOOK_SECONDS = 0.2
"""Time between two looks at the model processes."""


class Health:
    """SERVING while a model process is up and the server is not draining."""

    def __init__(self, server: grpc.aio.Server, names: list[str]) -> None:
        """Answer for services.

        Args:
            server: Gets the health service.
            names: Full names of the services asked for; the empty name is always known.
        """
        self._servicer = health.aio.HealthServicer()
        self._names = ["", *names]
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def keep(self, workers: Workers, scheduler: Scheduler) -> None:
        """Say how it is, until cancelled."""
        said = None
        while True:
            serving = workers.alive and not scheduler.draining
            if serving != said:
                status = health_pb2.HealthCheckResponse
                for name in self._names:
                    await self._servicer.set(
                        name, status.SERVING if serving else status.NOT_SERVING
                    )
                said = serving
            await asyncio.sleep(LOOK_SECONDS)
