"""Runs as TOML files: the paper's two, and a tiny one that shows whether everything works."""

import argparse
import sys
from collections.abc import Sequence
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
        path: The file, or the bare name of one that lies beside this module.

    Raises:
        ValueError: no such file, not TOML, or settings that do not exist or do not fit.
    """
    presets = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}
    found = path if path.is_file() else presets.get(str(path).removesuffix(".toml"))
    if found is None:
        raise ValueError(f"no settings at {path}; presets are {', '.join(presets)}")
    try:
        content = tomllib.loads(found.read_text())
        return dacite.from_dict(
            TrainingConfig,
            {name: _with_tuples(value) for name, value in content.items()},
            dacite.Config(strict=True, type_hooks={Path: _path, float: _float}),
        )
    except (dacite.DaciteError, ValueError) as error:
        raise ValueError(f"{found}: {error}") from error


def _with_tuples(value: object) -> object:
    """A TOML value with tuples in place of lists, as settings have them."""
    if isinstance(value, dict):
        return {name: _with_tuples(one) for name, one in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _path(value: object) -> object:
    """A path where a text stands; anything else is refused by its field's type."""
    return Path(value) if isinstance(value, str) else value


def _float(value: object) -> object:
    """A float where an integer stands, as people write 0; anything else is left to the type."""
    return float(value) if type(value) is int else value


def configured(arguments: Sequence[str], defaults: TrainingConfig) -> TrainingConfig:
    """The run that ``--config`` names among a command's arguments; the defaults where it does not.

    Raises:
        ValueError: as :func:`read_preset`.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path, nargs="?")  # without a value it is told later
    named = finder.parse_known_args(arguments)[0].config
    return defaults if named is None else read_preset(named)
