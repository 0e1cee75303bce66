"""Measure weights on clips with known pixels, beside baselines and published figures.

    sttn-evaluate CLIPS --pattern 'davis_*'

CLIPS is a folder of videos: DAVIS or YouTube-VOS as they are unpacked, folders of images, zips,
movies, or NAME/frames/. Holes are cut by a protocol (--protocol); what the weights and the
baselines put into them is measured against the truth. The folder --output gets index.html, a
page to look at, results.json and results.csv, and keeps what was computed: stopped at any time,
the same command goes on.

    sttn-evaluate CLIPS --weights mine.safetensors theirs.pth      two weights, paired by clip
    sttn-evaluate DAVIS --protocol removal                         without a truth
    sttn-evaluate host_examples/demo/shot --protocol shot          the rendered shot

Other commands, each with --help of its own:

    sttn-evaluate table 2 CORPUS CLIPS --output DIR    a table of the paper: train, evaluate, print
    sttn-evaluate ranking CLIPS --output DIR           a blind side-by-side page, as for Fig. 7
    sttn-evaluate ranks DIR ANSWERS.csv ...            sum its answers
"""

import importlib.metadata

import logging
import platform
import sys

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
import tyro

from sttn.device import choose_device
from sttn.errors import SttnError
from sttn.evaluation.baselines import BASELINES
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.evaluation.console import comparisons, summary_table, video_table
from sttn.evaluation.methods import read_networks
from sttn.evaluation.report.page import PageConfig, write_page
from sttn.evaluation.results import write_csv, write_json
from sttn.evaluation.runs import evaluate
from sttn.evaluation.scoring import ScoringConfig
from sttn.inference import DEFAULT_PRESET, PRESETS, Preset
from sttn.model.checkpoint import DEFAULT_WEIGHTS

BaselineName = Literal["telea", "navier-stokes", "nearest-visible", "propagation"]
Clips = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIPS")]


def versions() -> dict[str, str]:
    """Of what computes."""
    return {
        "sttn-inpaint": importlib.metadata.version("sttn-inpaint"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def run(
    clips: Clips,
    output: Path = Path("evaluation"),
    weights: tuple[Path, ...] = (DEFAULT_WEIGHTS,),
    preset: tuple[Preset, ...] = (DEFAULT_PRESET,),
    baselines: tuple[BaselineName, ...] = tuple(BASELINES),
    device: str = "auto",
    processes: int = 1,
    protocol: Annotated[ProtocolConfig, tyro.conf.arg(name="")] = ProtocolConfig(),
    scoring: Annotated[ScoringConfig, tyro.conf.arg(name="")] = ScoringConfig(),
    page: Annotated[PageConfig, tyro.conf.arg(name="")] = PageConfig(),
) -> None:
    """Measure weights on clips with known pixels.

    Args:
        clips: Folder of videos.
        output: Folder that gets index.html, results.json and results.csv, and keeps what was
            computed.
        weights: One or more .safetensors or published .pth files; the shipped ones if not given.
        preset: One or more schedules of windows.
        baselines: What else to measure.
        device: cpu, cuda or auto; for the networks.
        processes: Others that compute baselines and figures beside.
        protocol: What is cut out of which videos.
        scoring: Weights of metrics that cannot be shipped.
        page: What the page shows.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}")
    chosen = choose_device(device)
    sources = find_cases(clips, protocol)
    networks = read_networks(weights, preset, chosen)
    told = {
        "footage": str(clips),
        "weights": [str(path) for path in weights],
        "presets": {name: asdict(PRESETS[name]) for name in preset},
        "protocol": asdict(protocol),
        "scoring": asdict(scoring),
        "device": str(chosen),
        "versions": versions(),
    }
    output.mkdir(parents=True, exist_ok=True)
    store = output / "computed"
    results = evaluate(
        sources, networks, baselines, scoring, store, told, processes=processes
    )
    write_json(results, output / "results.json")
    write_csv(results, output / "results.csv")
    write_page(results, sources, networks, store, output / "index.html", page)
    print(video_table(results), summary_table(results), sep="\n\n")
    print("", *comparisons(results), "", f"page: {output / 'index.html'}", sep="\n")


def main() -> None:
    """Run the command line; exit code 2 where something is wrong with what was given."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        tyro.cli(run, prog="sttn-evaluate", description=__doc__)
    except (SttnError, ValueError) as error:
        print(f"sttn-evaluate: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sttn-evaluate: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
