"""What training runs leave behind."""

import json
from pathlib import Path


def log(run: Path, name: str = "hole") -> list[float]:
    """What a run wrote after each step."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]
