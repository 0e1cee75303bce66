"""Watch a job from anywhere: a line per event, until it ends.

    python -m host_examples.client.watch_job 5c0f... --server localhost:50071

Exit codes: 0 completed, 1 failed or cancelled, 2 cannot be watched, 130 interrupted (Ctrl-C ends
the watching, not the job).
"""

import argparse
import sys

from node.client import InpaintClient
from node.errors import NodeError


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", help="its name, as the server's status and log show it")
    parser.add_argument("--server", default="localhost:50071", help="HOST:PORT or unix:/PATH")
    chosen = parser.parse_args()
    outcome = ""
    try:
        with InpaintClient(chosen.server) as client:
            for line in client.watch(chosen.job):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
                outcome = line
    except NodeError as error:
        sys.stderr.write(f"watch_job: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"watch_job: no longer watched; job {chosen.job} goes on\n")
        return 130
    return 0 if outcome == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
