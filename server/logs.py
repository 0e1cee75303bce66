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


def log_job(job: Job, state: str, **fields: object) -> None:
    """Say that a job has come to a state; never what its pixels are."""
    told = {key: value for key, value in fields.items() if value is not None}
    level = logging.ERROR if "trace" in told else logging.INFO  # a defect of ours
    described = {"job": job.job_id, "client": job.owner, **told}
    logger.log(level, "job %s", state, extra={"fields": described})
