"""Convert a published checkpoint once, so that it says how large its network is.

python -m sttn.model published.pth published.safetensors
"""

import argparse
import sys
from pathlib import Path

import torch

from sttn.errors import CheckpointError
from sttn.model import load_generator, save_generator


def main() -> None:
    """Run the command line; exit code 2 where the checkpoint cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m sttn.model", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="a .pth with the generator, under netG or alone"
    )
    parser.add_argument("weights", type=Path, help="the .safetensors to write")
    options = parser.parse_args()
    try:
        if options.weights.suffix != ".safetensors":
            raise CheckpointError(f"{options.weights} must end in .safetensors")
        generator = load_generator(options.checkpoint)
        facts = {"converted_from": options.checkpoint.name}
        save_generator(generator, options.weights, torch.float32, facts)
    except (CheckpointError, OSError) as error:
        print(f"sttn.model: {error}", file=sys.stderr)
        sys.exit(2)
    count = sum(parameter.numel() for parameter in generator.parameters())
    print(f"{options.weights}: {count:,} parameters, {generator.config}")


if __name__ == "__main__":
    main()
