"""One person's fit by the command that a user runs, on links to the clips, timed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from readavatar.data.datasets.tracking import read_observations
from readavatar.data.store import ClipStore
from readavatar.files import replacing_folder
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.tracking.schedule import choose_keyframes
from readavatar.training import train
from readavatar.types import TrackedFace

_LOGGER = logging.getLogger(__name__)

DEFAULT_CONFIG = "configs/tracking/default.yaml"
_NOT_LINKED = ("tracking.safetensors", "cache")
"""What a fit writes, or depends on one."""


@dataclass(frozen=True)
class Fitted:
    """A person's clips after the fit."""

    stores: list[ClipStore]
    model: MorphableModel
    seconds: float
    """Wall clock of the whole command: reading, fitting, writing; not the detection, which preparing a clip does."""
    offsets: Float[Tensor, "68 3"] | None
    """Where the fit found that the detector sees the person's landmarks, beside the model's; head frame, metres. None
    where the fit left no checkpoint."""
    keyframes: list[Bool[Tensor, " T"]]
    """Of each clip, the frames that the albedo was fitted to."""

    @property
    def num_frames(self) -> int:
        """Of all clips."""
        return sum(store.num_frames for store in self.stores)

    def face(self) -> TrackedFace:
        """All clips' frames, one clip after the other; the camera is the first clip's."""
        faces = [store.tracking() for store in self.stores]
        parts = [face.coefficients for face in faces]
        names = ("expression_coefficients", "rotation", "translation", "gaze")
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        lighting = torch.cat([face.lighting for face in faces])
        return replace(faces[0], coefficients=replace(parts[0], **joined), lighting=lighting)


def fit_person(name: str, clips: Sequence[Path], work: Path, config: str, morphable_model: str) -> Fitted:
    """Fit a person's clips together; the clips themselves are left as they are.

    Args:
        name: Of the person: names the folders.
        clips: Prepared clip stores.
        work: Folder for links to the clips, and for the fit's own files.
        config: Put over ``DEFAULT_CONFIG``.
        morphable_model: What ``load_morphable_model`` takes.
    """
    links = [link_clip(clip, work / "fits" / name / f"{number:03d}") for number, clip in enumerate(clips)]
    run = work / "avatars" / name / "training" / "tracking"
    shutil.rmtree(run, ignore_errors=True)  # an earlier run's checkpoint is none of this one's
    start = time.perf_counter()
    configs = [] if config == DEFAULT_CONFIG else [config]
    overrides = {"model.morphable_model": morphable_model}
    train(
        "tracking",
        links,
        configs=configs,
        overrides=overrides,
        avatar=work / "avatars" / name,
        fresh=True,
        progress=True,
    )
    seconds = time.perf_counter() - start
    stores, model = [ClipStore(link) for link in links], load_morphable_model(morphable_model)
    offsets = _landmark_offsets(run)
    if offsets is None:
        _LOGGER.warning("%s: the fit left no checkpoint, so that its landmark offsets are not known", name)
    return Fitted(stores, model, seconds, offsets, _keyframes(stores, run))


def link_clip(clip: Path, target: Path) -> Path:
    """A clip store whose files are another's, without its fit: fitting it leaves the other as it is."""
    with replacing_folder(target) as folder:
        for entry in sorted(Path(clip).resolve().iterdir()):
            if entry.name not in _NOT_LINKED:
                os.symlink(entry, folder / entry.name)
    return target


def _landmark_offsets(run: Path) -> Float[Tensor, "68 3"] | None:
    # They are the person's own, but no part of a clip store: only the fit's checkpoint has them.
    checkpoint = run / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        return None
    return torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]["parameters_.offsets"]


def _keyframes(stores: list[ClipStore], run: Path) -> list[Bool[Tensor, " T"]]:
    """Chosen again as the fit chose them."""
    observations = read_observations(stores)
    settings = run / "settings.json"
    count = json.loads(settings.read_text())["model"]["init_args"]["keyframes"] if settings.exists() else 0
    is_keyframe = torch.zeros(observations.num_frames, dtype=torch.bool)
    if count:
        is_keyframe[choose_keyframes(observations.landmarks_2d, observations.confidence, count)] = True
    return list(is_keyframe.split([store.num_frames for store in stores]))
