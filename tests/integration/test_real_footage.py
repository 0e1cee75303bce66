"""The main job on material that was provided, not made: real clips and real HDR photographs."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest

from host_examples.standalone.image_files import read_image, read_picture, write_image
from host_examples.standalone.layers import plate_layer

pytestmark = pytest.mark.slow


def inpaint(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "host_examples.standalone", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_real_clip_with_a_stationary_mask(shared, tmp_path):
    """JPEG frames in a folder, one PNG for all of them, TIFF out; as a farm script would."""
    clip = shared / "clips" / "davis_cows"
    matte = cv2.imread(str(clip / "stationary_432x240.png"), cv2.IMREAD_GRAYSCALE)
    large = cv2.resize(matte, (854, 480), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "matte.png"), large)

    inpaint(
        clip / "frames",
        *("--matte", tmp_path / "matte.png", "--frames", "0-3", "--model-pixels", "20000"),
        *("--output", tmp_path / "clean.#####.tif"),
    )

    assert len(list(tmp_path.glob("clean.*.tif"))) == 4
    plate, _ = read_image(clip / "frames" / "00002.jpg")
    clean, _ = read_image(tmp_path / "clean.00002.tif")
    np.testing.assert_array_equal(clean[large == 0], plate[large == 0])
    assert (clean[large > 0] != plate[large > 0]).mean() > 0.9


@pytest.mark.parametrize("name", ["CandleGlass", "Flowers"])
def test_hdr_photographs_stay_hdr(shared, tmp_path, name):
    """Scene-linear EXR far above 1, repeated as a sequence; the rest of the file is untouched."""
    source = shared / "hdr" / f"{name}.exr"
    for frame in range(1001, 1004):
        shutil.copy(source, tmp_path / f"plate.{frame}.exr")
    photograph, spec = read_image(source)
    rgb = photograph[..., :3].astype(np.float32)
    # The matte lies beside the brightest part, so that the surroundings are above 1.
    y, x = np.unravel_index(cv2.blur(rgb.max(-1), (41, 41)).argmax(), rgb.shape[:2])
    matte = np.zeros((spec.height, spec.width, 1), np.uint8)
    matte[max(0, y - 10) : y + 30, max(0, x - 10) : x + 30] = 255
    write_image(
        tmp_path / "matte.png", matte, oiio.ImageSpec(spec.width, spec.height, 1, oiio.UINT8)
    )

    inpaint(
        tmp_path / "plate.####.exr",
        *("--matte", tmp_path / "matte.png", "--output", tmp_path / "clean.####.exr"),
    )

    clean, written = read_image(tmp_path / "clean.1002.exr")
    outside = matte[..., 0] == 0
    assert clean[outside].tobytes() == photograph[outside].tobytes()
    assert written.channelnames == spec.channelnames
    filled = clean[~outside][:, :3].astype(np.float32)
    assert np.isfinite(filled).all()
    assert filled.max() > 1
    assert photograph.max() > 2


def test_data_windows_of_real_files_survive(shared, tmp_path):
    """A data window inside a larger format, 18 channels, as a renderer wrote them."""
    for number in (1, 2):
        shutil.copy(
            shared / "hdr" / "beachball" / "singlepart.0001.exr", tmp_path / f"p.{number:04d}.exr"
        )
    plate, spec = read_image(tmp_path / "p.0001.exr")
    matte = np.zeros((spec.height, spec.width, 1), np.uint8)
    matte[300:400, 300:420] = 255
    write_image(
        tmp_path / "matte.png", matte, oiio.ImageSpec(spec.width, spec.height, 1, oiio.UINT8)
    )

    inpaint(
        tmp_path / "p.####.exr",
        *("--matte", tmp_path / "matte.png", "--output", tmp_path / "c.####.exr"),
    )

    clean, written = read_image(tmp_path / "c.0001.exr")
    for name in ("x", "y", "full_width", "full_height", "channelnames"):
        assert getattr(written, name) == getattr(spec, name)
    outside = matte[..., 0] == 0
    assert clean[outside].tobytes() == plate[outside].tobytes()
    assert clean[..., 3:].tobytes() == plate[..., 3:].tobytes()


def test_a_multipart_stereo_render_keeps_every_part(shared, tmp_path):
    """Ten parts of two views, depth, motion and masks; one of the masks is the matte."""
    for number in (1, 2):
        source = shared / "hdr" / "beachball" / "multipart.0001.exr"
        shutil.copy(source, tmp_path / f"p.{number:04d}.exr")
    before = read_picture(tmp_path / "p.0001.exr")
    color = plate_layer(before).part
    height, width = before.parts[color].pixels.shape[:2]
    matte = np.zeros((height, width, 1), np.uint8)
    matte[300:400, 300:420] = 255
    write_image(tmp_path / "matte.png", matte, oiio.ImageSpec(width, height, 1, oiio.UINT8))

    inpaint(
        tmp_path / "p.####.exr",
        *("--matte", tmp_path / "matte.png", "--output", tmp_path / "c.####.exr"),
    )

    after = read_picture(tmp_path / "c.0001.exr")
    assert len(after.parts) == len(before.parts) == 10
    outside = matte[..., 0] == 0
    for number, (old, new) in enumerate(zip(before.parts, after.parts, strict=True)):
        assert new.spec.getattribute("name") == old.spec.getattribute("name")
        assert (new.spec.x, new.spec.y) == (old.spec.x, old.spec.y)
        if number == color:
            assert new.pixels[outside].tobytes() == old.pixels[outside].tobytes()
            assert (new.pixels[~outside][:, :3] != old.pixels[~outside][:, :3]).mean() > 0.9
        else:
            assert new.pixels.tobytes() == old.pixels.tobytes()


def test_the_model_card_credits_every_source(shared):
    """CC BY asks for it, and users look it up."""
    card = (Path(__file__).parents[2] / "sttn" / "weights" / "MODEL_CARD.md").read_text()
    rows = (shared / "train" / "LICENSES.tsv").read_text().splitlines()

    missing = [
        row.split("\t")[1]
        for row in rows
        if row.split("\t")[0] in ("photos", "video", "hdri") and row.split("\t")[1] not in card
    ]

    assert missing == []
