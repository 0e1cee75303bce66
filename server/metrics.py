"""Figures for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from server.errors import StartError
from server.plates import PlateStore


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self, store: PlateStore) -> None:
        """Nothing has happened yet.

        Args:
            store: Asked what it holds whenever somebody looks.
        """
        self.registry = CollectorRegistry()
        self.jobs = Counter(
            "sttn_jobs", "Jobs that ended, by outcome.", ["outcome"], registry=self.registry
        )
        self.frames = Counter("sttn_frames", "Frames completed.", registry=self.registry)
        self.waiting = Gauge("sttn_jobs_waiting", "Jobs in the queue.", registry=self.registry)
        self.received = Counter(
            "sttn_received_bytes", "Bytes of plates and masks taken in.", registry=self.registry
        )
        self.sent = Counter(
            "sttn_sent_bytes", "Bytes of completed frames handed out.", registry=self.registry
        )
        self.restarts = Counter(
            "sttn_model_process_deaths", "Model processes that died.", registry=self.registry
        )
        self.refused = Counter(
            "sttn_refused_calls", "Calls refused, by status.", ["code"], registry=self.registry
        )
        for name, text, look in (
            ("sttn_store_bytes", "Disk taken by the store.", lambda: store.used_bytes),
            ("sttn_uploads_open", "Uploads open now.", lambda: store.uploads),
        ):
            Gauge(name, text, registry=self.registry).set_function(look)

    def serve(self, address: str) -> None:
        """Answer Prometheus at HOST:PORT, in a thread.

        Raises:
            StartError: the address cannot be listened on.
        """
        host, _, port = address.rpartition(":")
        try:
            start_http_server(int(port), addr=host.strip("[]"), registry=self.registry)
        except (OSError, ValueError) as error:
            raise StartError(f"cannot show metrics at {address}: {error}") from None
