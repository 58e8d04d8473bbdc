"""The network that the appearance scorecard measures on footage, trained by the command that users run."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from readavatar.benchmarks.fit_command import FitCommand
from readavatar.config_paths import find_config
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import has_part
from readavatar.errors import UserError
from readavatar.files import sha256_of_file

_LOGGER = logging.getLogger(__name__)

DEFAULT_CONFIG = "configs/appearance/default.yaml"


def train_on_footage(
    fit: FitCommand, store: ClipStore, held_out: float, configs: Sequence[str], work: Path
) -> tuple[Path, float | None]:
    """Train on all but a clip's end, unless that was done before; a training that was stopped goes on.

    Args:
        fit: Runs ``readavatar fit``.
        store: A fitted clip.
        held_out: Seconds.
        configs: Put over the default, one after the other.
        work: Folder for the avatars; each is known by its clip's fit and what its configs say.

    Returns:
        The avatar's folder, and the wall clock of its training in minutes: None where that was done before, or in part.
    """
    configs = [DEFAULT_CONFIG, *configs]
    digest = hashlib.sha256(f"{store.path.resolve()} {held_out:g}".encode())
    digest.update(sha256_of_file(store.path / "tracking.safetensors").encode())
    for name in configs:
        digest.update(find_config(name).read_bytes())
    folder = work / "avatars" / f"{store.path.resolve().name}-{digest.hexdigest()[:8]}"
    if has_part(folder, "appearance"):
        return folder, None
    was_begun = folder.exists()
    _LOGGER.info("%s: training on all but the end", store.path)
    command = ["fit", *(word for name in configs for word in ("--config", name))]
    command += ["--data.clips", str(store.path), "--data.held_out_seconds", f"{held_out:g}", "--avatar", str(folder)]
    start = time.perf_counter()
    fit(command)
    minutes = (time.perf_counter() - start) / 60
    if not has_part(folder, "appearance"):
        raise UserError(f"Expected a trained avatar in '{folder}', but its training was stopped; run this again.")
    return folder, None if was_begun else minutes
