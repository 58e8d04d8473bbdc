"""The networks that the appearance scorecard measures on footage, trained as a user's are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from readavatar.benchmarks.trained import train_once
from readavatar.data.store import ClipStore
from readavatar.files import sha256_of_file


def train_on_footage(
    store: ClipStore, held_out: float, configs: Sequence[str], work: Path
) -> tuple[Path, float | None]:
    """Train on all but a clip's end, unless that was done before; a training that was stopped goes on.

    Args:
        store: A fitted clip.
        held_out: Seconds.
        configs: Put over the default, one after the other.
        work: Folder for the avatars; each is known by its clip's fit and what its configs say.

    Returns:
        The avatar's folder, and the wall clock of its training in minutes: None where that was done before, or in part.
    """
    clip = store.path.resolve()
    made_of = f"{clip} {held_out:g} {sha256_of_file(clip / 'tracking.safetensors')}"
    settings, folder = {"data.held_out_seconds": held_out}, work / "avatars" / clip.name
    start = time.perf_counter()
    avatar, is_new = train_once("appearance", [store.path], configs, settings, folder, made_of, "on all but the end")
    return avatar, (time.perf_counter() - start) / 60 if is_new else None
