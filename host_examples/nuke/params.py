"""Write ``params.json``, which knobs are made from: ``python -m host_examples.nuke.params``."""

import dataclasses
import json
from pathlib import Path

from node.effect import describe_in_context

FILE = Path(__file__).with_name("params.json")


def described() -> str:
    """The node's params as JSON."""
    specs = [dataclasses.asdict(spec) for spec in describe_in_context().params]
    return json.dumps(specs, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(described())
