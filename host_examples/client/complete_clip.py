"""Complete one clip that lies in memory or in a .npz file.

    python -m host_examples.client.complete_clip shot.npz --server localhost:50071 --output done.npz

The file holds ``plates`` (T, H, W, 3) float in [0, 1], display-referred, and ``masks`` (T, H, W),
1 inside the hole; H and W are multiples of 48. For files of a show use `sttn-inpaint`, which also
manages color and composites.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from node.client import InpaintClient
from node.errors import NodeError


def main() -> int:
    """Run the command line; exit code 2 where something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--server", default="localhost:50071", help="HOST:PORT or unix:/PATH")
    parser.add_argument("--output", type=Path, required=True)
    chosen = parser.parse_args()
    try:
        clip = np.load(chosen.clip)
        plates, masks = clip["plates"].astype(np.float32), clip["masks"] > 0
        with InpaintClient(chosen.server) as client:
            completed = dict(client.inpaint(plates, masks))
    except (NodeError, OSError, KeyError, ValueError) as error:
        sys.stderr.write(f"complete_clip: {error}\n")
        return 2
    np.savez(chosen.output, plates=np.stack([completed[i] for i in range(len(plates))]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
