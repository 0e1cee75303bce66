"""Render shots to train on.

    python -m host_examples.training_shots MATERIAL OUTPUT [--shots 40] [--first 0]

In an environment with bpy 5.0.1. MATERIAL is a folder with photographs, of which everything in a
shot is made, and with panoramas (.hdr, .exr), which light it. OUTPUT gets a folder of numbered
frames per shot, as sttn-train reads videos. A shot is a function of its number and the material, so
several machines may render some each; what is there already is not rendered again.
"""

import argparse
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np

try:
    import bpy
except ImportError:
    raise SystemExit(
        "training_shots: this Python has no bpy. `make training-shots` makes one that has; or "
        "install bpy==5.0.1 and numpy<2 into an environment of their own"
    ) from None

from host_examples.training_shots.creatures import Walk, creature
from host_examples.training_shots.filming import film, way
from host_examples.training_shots.landscape import Ground, furnish, light
from host_examples.training_shots.surfaces import Float, Photographs

FIRST_FRAME = 1
PHOTOGRAPHS = {".jpg", ".jpeg", ".png"}
PANORAMAS = {".hdr", ".exr"}
# As sttn-train has it, which bpy's environment has not.
MASKS_FOLDER = re.compile(r"Annotations.*|masks?|objects", re.IGNORECASE)
FEWEST_FRAMES = 5


def build(
    number: int, photographs: list[Path], panoramas: list[Path], frames: int, height: int
) -> None:
    """Draw a shot into a new scene."""
    rng = np.random.default_rng((5, number))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    _configure(bpy.context.scene, frames, height, rng)
    pictures = Photographs(photographs, rng)
    walks = [Walk(frames, rng) for _ in range(int(rng.choice([1, 2, 3])))]
    filmed = way(walks[0], rng)

    def free(place: Float, radius: float) -> bool:
        ways = [*(walk.places for walk in walks), filmed.places]
        gaps = [np.linalg.norm(each - place, axis=1).min() for each in ways]
        return bool(min(gaps[:-1]) > radius + 0.3 and gaps[-1] > radius + 1.0)

    ground = Ground(pictures, rng)
    furnish(ground, pictures, free, rng)
    light(panoramas, rng)
    for walk in walks:
        creature(walk, ground, pictures, FIRST_FRAME, rng)
    film(filmed, ground, FIRST_FRAME, rng)


def _configure(scene: bpy.types.Scene, frames: int, height: int, rng: np.random.Generator) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    # What is left of the noise passes for that of a camera.
    scene.cycles.samples = 6
    scene.cycles.use_denoising = True
    scene.cycles.denoising_quality = "FAST"
    scene.cycles.denoising_prefilter = "NONE"
    scene.cycles.max_bounces = 1
    scene.cycles.seed = int(rng.integers(2**30))
    scene.cycles.use_animated_seed = True
    scene.render.resolution_x, scene.render.resolution_y = height * 16 // 9, height
    scene.render.use_persistent_data = True
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = float(rng.uniform(0.05, 0.5))
    scene.view_settings.view_transform = str(rng.choice(["Standard", "AgX", "Filmic"]))
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.frame_start, scene.frame_end = FIRST_FRAME, FIRST_FRAME + frames - 1


def _expose(scene: bpy.types.Scene, folder: Path, bright: float) -> None:
    """Look at a small frame from the middle, and set the exposure so that its mean is so bright."""
    scene.frame_set((scene.frame_start + scene.frame_end) // 2)
    scene.render.resolution_percentage, transform = 20, scene.view_settings.view_transform
    scene.view_settings.view_transform = "Standard"
    path = folder / "meter.png"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    seen = bpy.data.images.load(str(path))
    mean = float(np.mean(np.reshape(seen.pixels[:], (-1, 4))[:, :3] ** 2.2))
    path.unlink()
    scene.view_settings.exposure = float(np.clip(np.log2(bright / max(mean, 1e-6)), -4, 4))
    scene.view_settings.view_transform, scene.render.resolution_percentage = transform, 100


def _pictures(folder: Path, suffixes: set[str], output: Path) -> list[Path]:
    """Single ones of some kinds that a folder has: no masks of objects, no frames of videos."""
    images: dict[Path, list[Path]] = {}
    for path in _files(folder, suffixes, output):
        images.setdefault(path.parent, []).append(path)
    return [
        path
        for parent, some in images.items()
        if not any(map(MASKS_FOLDER.fullmatch, parent.relative_to(folder).parts))
        and not _are_frames(some)
        for path in some
    ]


def _are_frames(images: list[Path]) -> bool:
    return len(images) >= FEWEST_FRAMES and all(image.stem.isdecimal() for image in images)


def _files(folder: Path, suffixes: set[str], output: Path) -> list[Path]:
    """What a folder has of some kinds, linked folders included, each folder once.

    What was rendered into it is no material.
    """
    found: list[Path] = []
    entered = {os.path.realpath(output)}
    roots = [folder]
    for root in roots:
        for place, folders, files in os.walk(root):
            if (real := os.path.realpath(place)) in entered:
                folders.clear()
                continue
            entered.add(real)
            folders.sort()
            # After all others, so that what is linked to from beside it keeps its own path.
            roots += [path for name in folders if (path := Path(place, name)).is_symlink()]
            found += [
                path for name in files if (path := Path(place, name)).suffix.lower() in suffixes
            ]
    return sorted(found)


def main() -> None:
    """Render what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("material", type=Path, help="photographs and panoramas")
    parser.add_argument("output", type=Path, help="gets a folder of frames per shot")
    parser.add_argument("--shots", type=int, default=40, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--frames", type=int, default=32, help="of each (%(default)s)")
    parser.add_argument("--height", type=int, default=270, help="rows of a frame (%(default)s)")
    given = parser.parse_args()
    for name in ("shots", "frames", "height"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(given, name)}")
    photographs = _pictures(given.material, PHOTOGRAPHS, given.output)
    panoramas = _pictures(given.material, PANORAMAS, given.output)
    if not photographs:
        parser.error(f"no photographs in {given.material}; masks and numbered frames are none")
    for number in range(given.first, given.first + given.shots):
        folder = given.output / f"rendered_{number:04}"
        if folder.exists():
            continue
        began = time.monotonic()
        build(number, photographs, panoramas, given.frames, given.height)
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _expose(bpy.context.scene, unfinished, bright=0.2)
        bpy.context.scene.render.filepath = f"{unfinished}/"
        bpy.ops.render.render(animation=True)
        unfinished.rename(folder)
        print(f"{folder.name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
