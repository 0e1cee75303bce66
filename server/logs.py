"""Log lines that machines read: one JSON object each, one line per state of a job."""

import json
import logging
import time

from server.jobs import Job

logger = logging.getLogger("server.job")


class JsonFormatter(logging.Formatter):
    """A line is time (UTC), level, message, and the fields of ``extra={"fields": ...}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_lines() -> None:
    """Write what is logged to standard error, one JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    # gRPC takes a client that breaks off what it fetches for an error, with a trace.
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ != "ExecuteBatchError"


def log_job(job: Job, state: str, **fields: object) -> None:
    """Say that a job has come to a state; never what its pixels are."""
    told = {key: value for key, value in fields.items() if value is not None}
    level = logging.ERROR if "trace" in told else logging.INFO  # a defect of ours
    described = {"job": job.job_id, "client": job.owner, **told}
    logger.log(level, "job %s", state, extra={"fields": described})
