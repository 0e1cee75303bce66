"""Build the Blender extension: one zip per platform, with everything Blender's Python lacks.

    python -m host_examples.blender.build_extension [OUTPUT_FOLDER [PLATFORM ...]]

OUTPUT_FOLDER is dist unless given, PLATFORM linux-x64 (the default), windows-x64 or macos-arm64.
Needs pip and the project's source tree, not Blender. The zip holds the manifest, an
``__init__.py`` that calls :mod:`host_examples.blender`, and wheels: this project's own and what it
needs, in the versions of constraints.txt; numpy is Blender's own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON = "3.11"
"""Python of Blender 4.5 and 5.0."""
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
}
BLENDERS_OWN = ("numpy-",)
INIT = '''"""STTN Inpaint; the code is in the wheels."""

from host_examples.blender import register, unregister

__all__ = ["register", "unregister"]
'''


def build(output: Path, platform: str = "linux-x64") -> Path:
    """Build the zip for one platform; its path.

    Raises:
        subprocess.CalledProcessError: pip failed and has said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder)
        _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
        (own,) = wheels.glob("*.whl")
        tags = [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
        _pip(
            *("download", "--dest", str(wheels), "--only-binary", ":all:", *tags),
            *("--python-version", PYTHON, "--constraint", str(ROOT / "constraints.txt")),
            f"{own}[blender]",
        )
        kept = [
            wheel for wheel in sorted(wheels.iterdir()) if not wheel.name.startswith(BLENDERS_OWN)
        ]
        return _zipped(output, platform, kept)


def _zipped(output: Path, platform: str, wheels: list[Path]) -> Path:
    manifest = (HERE / "blender_manifest.toml").read_text()
    # A list of JSON strings is a list of TOML strings too.
    names = json.dumps([f"./wheels/{wheel.name}" for wheel in wheels])
    manifest += f'platforms = ["{platform}"]\nwheels = {names}\n'
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"sttn_inpaint-blender-{platform}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("blender_manifest.toml", manifest)
        archive.writestr("__init__.py", INIT)
        for wheel in wheels:
            archive.write(wheel, f"wheels/{wheel.name}", zipfile.ZIP_STORED)
    return path


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m host_examples.blender.build_extension",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUTPUT_FOLDER", type=Path, nargs="?")
    parser.add_argument("platforms", metavar="PLATFORM", nargs="*")
    given = parser.parse_args()
    unknown = set(given.platforms) - set(PLATFORMS)
    if unknown:
        parser.error(f"no platform {', '.join(sorted(unknown))}; there are {', '.join(PLATFORMS)}")
    for platform in given.platforms or ["linux-x64"]:
        sys.stdout.write(f"{build(given.output or Path('dist'), platform)}\n")


if __name__ == "__main__":
    main()
