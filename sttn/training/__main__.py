"""Train STTN on a folder of photographs and movies.

    sttn-train CORPUS --output RUN --config.steps 3000

Every photograph and movie below CORPUS is used; photographs are set in motion. RUN gets
generator.safetensors, which `sttn-inpaint --weights` takes. Stopped by Ctrl-C or SIGTERM it
saves first; the same command goes on where it stopped.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated

import cv2
import tyro

from sttn.device import choose_device
from sttn.errors import SttnError
from sttn.training.corpus import read_corpus
from sttn.training.trainer import TrainingConfig, train


def run(
    corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
    output: Path,
    config: TrainingConfig = TrainingConfig(),
    device: str = "auto",
    photograph_short_side: int = 720,
    movie_short_side: int = 270,
    movie_frames: int = 150,
) -> None:
    """Train STTN on a folder of photographs and movies.

    Args:
        corpus: Folder of .jpg, .png, .mp4, .mkv ... files, searched in depth.
        output: Folder of the run; an existing run is gone on with.
        config: The run's settings.
        device: cpu, cuda or auto.
        photograph_short_side: Photographs are shrunk to this many pixels.
        movie_short_side: Movies are shrunk to this many pixels.
        movie_frames: Frames used of each movie.
    """
    cv2.setNumThreads(0)  # as train() says; before OpenCV starts its threads
    chosen = choose_device(device)
    material = read_corpus(
        corpus,
        photograph_short_side=photograph_short_side,
        movie_short_side=movie_short_side,
        movie_frames=movie_frames,
    )
    print(
        f"{len(material.photographs)} photographs and {len(material.movies)} movies, on {chosen}",
        file=sys.stderr,
    )
    print(train(config, material, output, chosen))


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        tyro.cli(run, prog="sttn-train", description=__doc__)
    except (SttnError, ValueError) as error:
        print(f"sttn-train: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
