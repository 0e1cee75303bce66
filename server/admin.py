"""The operator's RPCs: models, drain, capabilities."""

from collections.abc import Callable
from importlib.metadata import version

from server.config import LimitsConfig
from server.metrics import Metrics
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.scheduler import Scheduler
from server.security import Context
from server.service import status_codes
from server.workers import Workers
from sttn.settings.raster import RASTER_MULTIPLE


class AdminService(inpaint_pb2_grpc.AdminServicer):
    """Every call has shown the administrator's token before it gets here."""

    def __init__(
        self,
        scheduler: Scheduler,
        workers: Workers,
        limits: LimitsConfig,
        metrics: Metrics,
        shares_memory: bool,
        drain: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._workers = workers
        self._limits = limits
        self._metrics = metrics
        self._shares_memory = shares_memory
        self._drain = drain

    async def GetCapabilities(
        self, request: pb.GetCapabilitiesRequest, context: Context
    ) -> pb.Capabilities:
        """What this server takes."""
        return pb.Capabilities(
            version=version("sttn-inpaint"),
            workers=[worker.described() for worker in self._workers.all],
            chunk_bytes=codec.CHUNK_BYTES,
            largest_side=codec.MAX_SIDE,
            raster_multiple=RASTER_MULTIPLE,
            frames_per_job=self._limits.frames_per_job,
            types=[pb.FLOAT16, pb.FLOAT32],
            compressions=[pb.NONE, pb.SHUFFLED_ZLIB],
            shared_memory=self._shares_memory,
        )

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.Models:
        """What is loaded, and what could be."""
        return self._models()

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> pb.Models:
        """Hold one more model."""
        async with status_codes(context, self._metrics):
            await self._workers.load(request.name)
            return self._models()

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> pb.Models:
        """Let a model go."""
        async with status_codes(context, self._metrics):
            self._scheduler.unload(request.name)
            return self._models()

    async def SetDefaultModel(
        self, request: pb.SetDefaultModelRequest, context: Context
    ) -> pb.Models:
        """Choose what jobs get that name no model."""
        async with status_codes(context, self._metrics):
            self._workers.set_default(request.name)
            return self._models()

    async def Drain(self, request: pb.DrainRequest, context: Context) -> pb.DrainResponse:
        """Refuse new jobs, finish those that are there, stop."""
        self._drain()
        return pb.DrainResponse(jobs=len(self._scheduler.active()))

    def _models(self) -> pb.Models:
        return pb.Models(
            loaded=self._workers.loaded,
            available=sorted(self._workers.available()),
            default=self._workers.default,
        )
