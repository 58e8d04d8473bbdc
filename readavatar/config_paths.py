"""Finding config files by the same name in the user's folder, in a checkout and in an installed wheel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import readavatar
from readavatar.errors import UserError, did_you_mean

_PACKAGE = Path(readavatar.__file__).parent
CONFIG_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""In the wheel, and in a checkout."""


def find_config(name: str) -> Path:
    """The user's file of that name if it exists, else the one that ships with readavatar.

    Raises:
        UserError: There is none; the message names the nearest that exists.
    """
    return _find(name, Path.is_file, "a config file", "**/*.yaml")


def find_config_folder(name: str) -> Path:
    """The same for a folder of ablations.

    Raises:
        UserError: There is none; the message names the nearest that exists.
    """
    return _find(name, Path.is_dir, "a folder", "ablations/*/")


def _find(name: str, is_one: Callable[[Path], bool], kind: str, shipped: str) -> Path:
    if is_one(Path(name)):
        return Path(name)
    relative = Path(name).relative_to("configs") if Path(name).parts[:1] == ("configs",) else Path(name)
    for folder in CONFIG_FOLDERS:
        if not relative.is_absolute() and is_one(folder / relative):
            return folder / relative
    names = sorted(
        {f"configs/{path.relative_to(folder)}" for folder in CONFIG_FOLDERS for path in folder.glob(shipped)}
    )
    raise UserError(f"Expected {kind}, but there is no '{name}'.{did_you_mean(name, names)}")


def with_found_configs(arguments: list[str]) -> list[str]:
    """Replace the value of every ``--config`` (and ``-c``) by the path of the file it names."""
    found = list(arguments)
    for index, argument in enumerate(arguments):
        if argument in ("--config", "-c") and index + 1 < len(arguments):
            found[index + 1] = str(find_config(arguments[index + 1]))
        elif argument.startswith("--config="):
            found[index] = f"--config={find_config(argument.partition('=')[2])}"
    return found
