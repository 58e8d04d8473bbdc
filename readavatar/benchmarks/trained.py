"""Networks that the scorecards train once and keep."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from readavatar.config_paths import find_config
from readavatar.data.store import has_part
from readavatar.errors import UserError
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
    """Train an avatar's stage, unless that was done before; a training that was stopped goes on.

    Args:
        stage: Of ``train``.
        clips: Likewise.
        configs: Put over the stage's default, one after the other.
        overrides: Of ``train``.
        folder: For avatars of this kind; its name begins theirs.
        made_of: All that the avatar depends on, the configs apart, which are read.
        what: For people.

    Returns:
        The avatar's folder, and whether it was trained now, all of it.

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
