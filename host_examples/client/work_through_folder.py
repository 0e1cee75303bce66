"""Work through a folder of shots on a running server, and go on where it stopped.

    python -m host_examples.client.work_through_folder shots --server render01:50071

Every folder below SHOTS that holds plate.####.exr and matte.####.exr gets clean.####.exr. A shot
that is finished is left alone, one that is half done gets the frames that are missing; one that
fails is named at the end (exit code 1), and the others are done all the same. Exit code 2 where
there is no such folder, 130 after Ctrl-C. TLS and tokens: STTN_AUTHORITY, STTN_TOKEN_FILE.
"""

import argparse
import subprocess
import sys
from pathlib import Path

PLATE, MATTE, CLEAN = "plate.*.exr", "matte.*.exr", "clean.*.exr"


def count(shot: Path, files: str) -> int:
    """How many such files a shot has."""
    return len(list(shot.glob(files)))


def is_open(shot: Path) -> bool:
    """Whether there is something to do: plates and mattes, and fewer clean plates."""
    plates, mattes, clean = (count(shot, each) for each in (PLATE, MATTE, CLEAN))
    return plates > 0 and mattes > 0 and clean < plates


def work(shot: Path, server: str) -> bool:
    """Complete one shot, or what is left of it; its own words go to the terminal."""
    plates, mattes = count(shot, PLATE), count(shot, MATTE)
    if plates != mattes:
        sys.stderr.write(
            f"work_through_folder: {shot.name} has {plates} plates and {mattes} mattes; "
            "it needs as many of each\n"
        )
        return False
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "host_examples.standalone", str(shot / "plate.####.exr")),
            *("--matte", str(shot / "matte.####.exr"), "--output", str(shot / "clean.####.exr")),
            *("--server", server, "--resume"),
        ]
    ) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            process.wait()  # it hears Ctrl-C too, and cancels its job
            raise


def main() -> int:
    """Run the command line; exit code 1 where a shot failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shots", type=Path)
    parser.add_argument("--server", default="localhost:50071", help="HOST:PORT or unix:/PATH")
    chosen = parser.parse_args()
    if not chosen.shots.is_dir():
        sys.stderr.write(f"work_through_folder: there is no folder {chosen.shots}\n")
        return 2
    shots = [shot for shot in sorted(chosen.shots.iterdir()) if shot.is_dir() and is_open(shot)]
    failed = []
    for number, shot in enumerate(shots, start=1):
        sys.stdout.write(f"[{number}/{len(shots)}] {shot.name}\n")
        sys.stdout.flush()
        try:
            if not work(shot, chosen.server):
                failed.append(shot.name)
        except KeyboardInterrupt:
            sys.stderr.write(
                f"work_through_folder: interrupted at {shot.name}; the same command goes on\n"
            )
            return 130
    if failed:
        sys.stderr.write(f"work_through_folder: failed: {', '.join(failed)}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
