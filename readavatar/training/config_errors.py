"""One-line messages for jsonargparse's errors in a training's configuration."""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path

import pytorch_lightning as pl
import yaml

from readavatar.errors import UserError, did_you_mean

STAGES = ("tracking", "expression", "appearance")


def check_overlays(arguments: list[str]) -> None:
    """Refuse a configuration that begins with an overlay, a file that holds only what differs from another.

    Args:
        arguments: Of the command line, ``--config`` files as paths.

    Raises:
        UserError: Such a file comes first; the message names the one that goes before it.
    """
    files = _config_files(arguments)
    if not files or any(argument.partition("=")[0] in ("--model", "--model.class_path") for argument in arguments):
        return
    content = _read(files[0])
    if not isinstance(content, dict) or (content.get("model") or {}).get("class_path"):
        return
    stage = files[0].resolve().parent.name
    default = f"configs/{stage if stage in STAGES else '<stage>'}/default.yaml"
    raise UserError(
        f"Expected a whole configuration first, but '{files[0]}' is an overlay, which holds only what differs from a "
        f"stage's default; give --config {default} --config {files[0]}."
    )


def mistake_behind(error: BaseException | None) -> UserError | None:
    """The ``UserError`` behind an error that jsonargparse raised while building an object."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__ or error.__context__
    return error


def explain(message: str, arguments: list[str]) -> str:
    """A message with the wrong key and the nearest valid one.

    Args:
        message: jsonargparse's.
        arguments: Of the command line, ``--config`` files as paths.
    """
    if match := re.search(r"(?:[Uu]nrecognized arguments|ambiguous option): --([\w.]+)", message):
        return _unknown_key(match[1], arguments)
    section = re.search(r'(?:key|Key) "([\w.]+)"', message)
    place = section[1] if section else "the config"
    if match := re.findall(r"Option '([\w.]+)' is not accepted|Key '([\w.]+)' is not expected", message):
        return _unknown_key(f"{place}.{next(filter(None, match[-1]))}", arguments)
    if match := re.search(r"the following arguments are required: (.*)", message):
        return f"Expected {place}.{match[1]}, but it is not given; add --{place}.{match[1].split(',')[0]} VALUE."
    if match := re.findall(r"Expected an? (?:<class '(\w+)'>|(.*?))\. Got value: (.*)", message):
        kind, other, value = match[0]
        return f"Expected {kind or other} in {place}, but got '{value}'."
    return message


def _unknown_key(key: str, arguments: list[str]) -> str:
    # jsonargparse omits the section of a nested key; the command line has the full name.
    given = (argument[2:].partition("=")[0] for argument in arguments if argument.startswith("--"))
    key = next((name for name in given if name.endswith(f".{key}")), key)
    section, _, wrong = key.rpartition(".")
    hint = did_you_mean(wrong, _known_keys(section, arguments), cutoff=0.5)
    return f"Expected a known key{f' in {section}' if section else ''}, but got '{wrong}'.{hint}"


def _known_keys(section: str, arguments: list[str]) -> list[str]:
    """The valid names in a section of the config: a class's parameters, or a nested dataclass's fields."""
    first, *nested = section.split(".")
    constructor = pl.Trainer.__init__ if first == "trainer" else _configured_class(first, arguments)
    for name in nested:
        constructor = typing.get_type_hints(constructor).get(name, object) if constructor else object
    return list(inspect.signature(constructor).parameters) if constructor else []


def _configured_class(section: str, arguments: list[str]) -> Callable | None:
    for path in _config_files(arguments):
        class_path = ((_read(path) or {}).get(section) or {}).get("class_path", "")
        if class_path.startswith("readavatar."):
            module, _, name = class_path.rpartition(".")
            return getattr(importlib.import_module(module), name).__init__
    return None


def _config_files(arguments: list[str]) -> list[Path]:
    files = []
    for index, argument in enumerate(arguments):
        if argument in ("--config", "-c") and index + 1 < len(arguments):
            files.append(Path(arguments[index + 1]))
        elif argument.startswith("--config="):
            files.append(Path(argument.partition("=")[2]))
    return files


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError):  # the parser says what is wrong with it
        return None
