"""Networks that the scorecards train once and keep."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from readavatar.config_paths import find_config
from readavatar.data.store import ClipStore, has_part
from readavatar.errors import UserError
from readavatar.files import sha256_of_file
from readavatar.training import train

_LOGGER = logging.getLogger(__name__)


def train_once(
    stage: str,
    clips: Sequence[Path],
    configs: Sequence[str],
    overrides: Mapping[str, Any],
    folder: Path,
    made_of: str,
    what: str,
) -> tuple[Path, bool]:
    """Train a stage of an avatar if that was not done yet; a training that was stopped is resumed.

    Args:
        stage: As for ``train``.
        clips: As for ``train``.
        configs: Applied over the stage's default, one after the other.
        overrides: As for ``train``.
        folder: The avatar's folder without the hash that is appended to its name.
        made_of: Text that identifies everything that the avatar depends on, except the configs.
        what: Description for the log.

    Returns:
        The avatar's folder, and whether the whole training was done now.

    Raises:
        UserError: The training was stopped.
    """
    digest = hashlib.sha256(made_of.encode())
    for name in (f"configs/{stage}/default.yaml", *configs):
        digest.update(find_config(name).read_bytes())
    avatar = folder.with_name(f"{folder.name}-{digest.hexdigest()[:8]}")
    if has_part(avatar, stage):
        return avatar, False
    was_begun = avatar.exists()
    _LOGGER.info("%s: training %s", folder.name, what)
    train(stage, clips, configs=configs, overrides=overrides, avatar=avatar, progress=True)
    if not has_part(avatar, stage):
        raise UserError(f"Expected a trained avatar in '{avatar}', but its training was stopped; run this again.")
    return avatar, not was_begun


def train_on_footage(
    store: ClipStore, held_out: float, configs: Sequence[str], work: Path
) -> tuple[Path, float | None]:
    """Train on a clip without its end if that was not done yet; a training that was stopped is resumed.

    Args:
        store: A fitted clip.
        held_out: Seconds at the end.
        configs: Applied over the default, one after the other.
        work: Folder for the avatars. Their names hold a hash of the clip's fit and the configs.

    Returns:
        The avatar's folder, and the minutes that its training took; None if the training was not done as a whole now.
    """
    clip = store.path.resolve()
    made_of = f"{clip} {held_out:g} {sha256_of_file(clip / 'tracking.safetensors')}"
    settings, folder = {"data.held_out_seconds": held_out}, work / "avatars" / clip.name
    start = time.perf_counter()
    avatar, is_new = train_once("appearance", [store.path], configs, settings, folder, made_of, "on all but the end")
    return avatar, (time.perf_counter() - start) / 60 if is_new else None
