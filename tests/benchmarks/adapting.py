"""What weights gain that learn from a shot before they fill it.

    PYTHONPATH=. python tests/benchmarks/adapting.py CLIPS [--minutes 4] [--json FILE]

Of every clip only what the mask shows is learned from. Told is the PSNR inside the hole against
what was hidden there, with the weights given and with the clip's own: of the network alone, and of
what ships, where it fills only what no frame shows.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import tyro

from sttn.device import choose_device, choose_precision
from sttn.evaluation.cases import Case, ProtocolConfig, find_cases
from sttn.evaluation.metrics.fidelity import hole_psnr
from sttn.evaluation.statistics import compare
from sttn.inference import WindowConfig, complete
from sttn.model import Generator, load_generator
from sttn.training.adaptation import AdaptationConfig, adapt

WAYS = {"network alone": WindowConfig(propagate=False), "what ships": WindowConfig()}


def psnrs(case: Case, generator: Generator, device: torch.device) -> dict[str, float]:
    """Inside the hole, by the way it is filled."""
    network = generator.to(device, choose_precision("auto", device))
    return {
        name: hole_psnr(complete(case.frames, case.masks, network, window), case.truth, case.masks)
        for name, window in WAYS.items()
    }


def main(
    clips: Annotated[Path, tyro.conf.Positional],
    minutes: float = 4.0,
    pattern: str = "*",
    frames: int = 100,
    device_name: Annotated[str, tyro.conf.arg(name="device")] = "auto",
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Adapt to every clip in a folder, and fill it before and after."""
    device = choose_device(device_name)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for source in find_cases(clips, ProtocolConfig(limit=frames, pattern=pattern)):
        case = source.read()
        adapted = adapt(
            load_generator(), case.frames, case.masks, AdaptationConfig(minutes=minutes), device
        )
        before = psnrs(case, load_generator(), device)
        after = psnrs(case, adapted.generator, device)
        figures[case.name] = {name: {"before": before[name], "after": after[name]} for name in WAYS}
        told = ", ".join(f"{name} {before[name]:.2f} -> {after[name]:.2f} dB" for name in WAYS)
        print(f"{case.name}: {adapted.steps} steps; {told}", flush=True)
    gains = {}
    for name in WAYS:
        rows = [clip[name] for clip in figures.values()]
        gains[name] = compare([row["after"] for row in rows], [row["before"] for row in rows])
        if gains[name] is not None:
            gain = gains[name].difference
            print(
                f"{name}: {gain.mean:+.2f} dB ({gain.low:+.2f} to {gain.high:+.2f}), "
                f"better on {gains[name].higher} of {gain.count}, p = {gains[name].probability:.3f}"
            )
    if json_file is not None:
        result = {
            "minutes": minutes,
            "precision": str(choose_precision("auto", device)),
            "threads": torch.get_num_threads(),
            "gain": {name: found and asdict(found) for name, found in gains.items()},
            "clips": figures,
        }
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
