"""A loaded model's arrays kept as safetensors, so that slow sources are read once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import safetensors
import safetensors.torch

from readavatar.assets import cache_folder
from readavatar.files import replacing_file
from readavatar.morphable.model import MorphableData

LOADER_VERSION = 2
"""Part of every key: raise it when a loader's result changes."""


def files_key(paths: Iterable[Path], **settings: object) -> str:
    """A hash of the files' names, sizes and modification times, of the settings and of the loaders' version."""
    stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(paths)]
    return hashlib.sha256(json.dumps([LOADER_VERSION, stamps, settings], sort_keys=True).encode()).hexdigest()[:24]


def cached_data(name: str, key: str, compute: Callable[[], MorphableData]) -> MorphableData:
    """Read the cached arrays of ``key``, or compute and keep them; called ``name`` either way.

    A cache that cannot be written (a full or read-only disk) costs the next run its time and nothing else.
    """
    path = cache_folder() / "morphable" / f"{key}.safetensors"
    try:
        return dataclasses.replace(read_data(path), name=name)
    except FileNotFoundError:
        pass
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError):  # half a disk's worth, or another layout
        path.unlink(missing_ok=True)
    data = compute()
    try:
        with replacing_file(path) as temporary:
            write_data(temporary, data)
    except (OSError, safetensors.SafetensorError):
        pass
    return dataclasses.replace(data, name=name)


def write_data(path: Path, data: MorphableData) -> None:
    """Write a model's arrays to one safetensors file; its words are in the header."""
    tensors = {f"vertex_masks.{name}": mask for name, mask in data.vertex_masks.items()}
    words = {}
    for field in dataclasses.fields(data):
        value = getattr(data, field.name)
        if field.name == "vertex_masks" or value is None:
            continue
        if isinstance(value, (str, tuple)):
            words[field.name] = value
        else:
            tensors[field.name] = value.contiguous()
    safetensors.torch.save_file(tensors, path, {"readavatar": json.dumps(words)})


def read_data(path: Path) -> MorphableData:
    """The inverse of ``write_data``.

    Raises:
        FileNotFoundError: There is no such file.
        safetensors.SafetensorError: It is damaged.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        fields = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        words = json.loads((file.metadata() or {})["readavatar"])
    prefix = "vertex_masks."
    masks = {key.removeprefix(prefix): fields.pop(key) for key in list(fields) if key.startswith(prefix)}
    words = {name: tuple(value) if isinstance(value, list) else value for name, value in words.items()}
    return MorphableData(**fields, **words, vertex_masks=masks)
