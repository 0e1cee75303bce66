"""Complete one clip that lies in memory or in a .npz file.

    python -m host_examples.client.complete_clip shot.npz --server localhost:50071 --output done.npz

The file holds ``plates`` (T, H, W, 3) float in [0, 1], display-referred, and ``masks`` (T, H, W),
1 inside the hole; H and W are multiples of 48. For files of a show use `sttn-inpaint`, which also
manages color and composites.

Exit codes: 0 completed, 2 something is wrong (one line says what), 130 interrupted (Ctrl-C
cancels the job, and nothing is written).
"""

import argparse
import contextlib
import sys
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from node.client import InpaintClient
from node.errors import NodeError


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--server", default="localhost:50071", help="HOST:PORT or unix:/PATH")
    parser.add_argument("--output", type=Path, required=True)
    chosen = parser.parse_args()
    output = Path(f"{str(chosen.output).removesuffix('.npz')}.npz")  # as numpy names it
    unfinished = Path(f"{output}.part")
    try:
        clip = np.load(chosen.clip)
        plates, masks = clip["plates"].astype(np.float32), clip["masks"] > 0
        # No work is lost to a typo.
        for path in (chosen.output, output):
            if path.is_dir():
                raise IsADirectoryError(f"{path} is a folder; name a file in it")
        with unfinished.open("wb") as file:
            with InpaintClient(chosen.server) as client:
                completed = dict(client.inpaint(plates, masks))
            np.savez(file, plates=np.stack([completed[i] for i in range(len(plates))]))
        unfinished.replace(output)
    except (NodeError, OSError, KeyError, IndexError, ValueError, EOFError, BadZipFile) as error:
        sys.stderr.write(f"complete_clip: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("complete_clip: interrupted; the job is cancelled, nothing is written\n")
        return 130
    finally:
        with contextlib.suppress(OSError):  # it may never have been begun
            unfinished.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
