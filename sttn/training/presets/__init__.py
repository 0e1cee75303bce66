"""Runs as TOML files: the paper's two, and a tiny one that shows whether everything works."""

import sys
from pathlib import Path

import dacite

from sttn.training.config import TrainingConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent


def read_preset(path: Path) -> TrainingConfig:
    """Read a run from a TOML file, strictly: an unknown name is refused.

    Args:
        path: The file, or the name of one that lies beside this module.

    Raises:
        ValueError: no such file, not TOML, or settings that do not exist or do not fit.
    """
    found = path if path.is_file() else FOLDER / path.with_suffix(".toml").name
    if not found.is_file():
        known = ", ".join(sorted(file.name for file in FOLDER.glob("*.toml")))
        raise ValueError(f"no settings at {path}; presets are {known}")
    try:
        return dacite.from_dict(
            TrainingConfig,
            tomllib.loads(found.read_text()),
            dacite.Config(strict=True, cast=[tuple, Path]),
        )
    except (tomllib.TOMLDecodeError, dacite.DaciteError) as error:
        raise ValueError(f"{found}: {error}") from error
