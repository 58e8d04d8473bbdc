"""The avatar: one folder for each person, with the trained networks of all stages.

    avatar.json              the model card: ``AvatarCard``
    expression.safetensors   network of stage 2; its configuration is in the file's metadata
    expression_critics.safetensors   its discriminators and sync expert, for fine-tuning
    appearance.safetensors   network of stage 3, likewise
    training/<stage>/        checkpoints and logs; not needed to animate

The person's footage stays in its clip store; the card holds the path relative to the avatar's folder.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
from torch import Tensor, nn

from readavatar.data.store.clip_store import ClipStore
from readavatar.emotion import EmotionSpace
from readavatar.errors import UserError
from readavatar.files import replacing_file, sha256_of_file

Network = TypeVar("Network", bound=nn.Module)

FORMAT_VERSION = 2
"""2 renamed the expression network's tensors."""
AVATAR_PARTS = ("expression", "expression_critics", "appearance")
_HASH_DIGITS = 64
"""Of SHA-256, hexadecimal."""


@dataclass(frozen=True)
class AvatarCard:
    """``avatar.json``: the model card, for people who use the avatar."""

    name: str
    footage: str
    """Clip store of the person, relative to the avatar's folder; empty for a prior, which has no person."""
    parts: dict[str, dict] = field(default_factory=dict)
    """By part: SHA-256 of its file, and the configuration that rebuilds its network."""
    intended_use: str = (
        "Synthetic video of the person in the footage, made with their consent. Clips carry a provenance record that "
        "says they are synthetic; do not remove it."
    )
    version: int = FORMAT_VERSION


@dataclass(frozen=True)
class AvatarPart:
    """A trained network's weights and configuration."""

    config: dict
    """JSON values; ``config["network"]`` holds the network's keyword arguments."""
    state: dict[str, Tensor]


class Avatar:
    """An avatar on disk. Opening reads only ``avatar.json``, into ``card``; parts are read on request.

    Example:
        >>> from torch import nn
        >>> from readavatar import Avatar
        >>> from readavatar.data.store.avatar import write_avatar_part
        >>> config = {"emotion_names": ["happy", "sad"]}
        >>> write_avatar_part("jane", "expression", nn.Linear(1, 1), config, footage=None)
        >>> avatar = Avatar("jane")
        >>> avatar.emotion_space.names
        ('happy', 'sad')
        >>> avatar.part("appearance")
        Traceback (most recent call last):
            ...
        readavatar.errors.UserError: Expected the appearance part in the avatar 'jane', but it is not trained yet; ...
    """

    def __init__(self, path: str | Path) -> None:
        """Open the avatar in the folder ``path``.

        Raises:
            UserError: There is no avatar.
        """
        self.path = Path(path)
        try:
            self.card = AvatarCard(**json.loads((self.path / "avatar.json").read_text()))
            for name, part in self.card.parts.items():
                if not isinstance(part["config"], dict) or len(part["sha256"]) != _HASH_DIGITS:
                    raise TypeError(f"its part '{name}' has no configuration or no hash")
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"Expected an avatar at '{path}', but there is no avatar.json; train one with "
                "'readavatar fit --config configs/expression/default.yaml --data.clips CLIP', then appearance."
            ) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"Expected an avatar at '{path}', but its avatar.json is not one: {error}.") from None
        if self.card.version != FORMAT_VERSION:
            raise UserError(
                f"Expected an avatar of format {FORMAT_VERSION} at '{path}', but got {self.card.version}; train its "
                "stages again with 'readavatar fit'."
            )

    @property
    def footage(self) -> ClipStore:
        """The clip store of the person's footage.

        Raises:
            UserError: The avatar is a prior, which has no footage; or the footage is no longer there.
        """
        if not self.card.footage:
            raise UserError(
                f"Expected an avatar of a person at '{self.path}', but it has no footage; it is a prior to train from: "
                "'readavatar fit --config configs/expression/default.yaml --data.clips CLIP'."
            )
        return ClipStore(self.path / self.card.footage)

    @property
    def emotion_space(self) -> EmotionSpace:
        """The emotions that the expression network was trained on.

        Raises:
            UserError: It is not trained yet.
        """
        return EmotionSpace(tuple(self.part_config("expression")["emotion_names"]))

    def part_config(self, name: str) -> dict:
        """The configuration of one of ``AVATAR_PARTS``, as JSON values.

        Raises:
            UserError: It is not trained yet.
        """
        if name not in self.card.parts:
            raise UserError(
                f"Expected the {name} part in the avatar '{self.path}', but it is not trained yet; run "
                f"'readavatar fit --config configs/{name}/default.yaml --data.clips CLIP --avatar {self.path}'."
            )
        return self.card.parts[name]["config"]

    def part(self, name: str) -> AvatarPart:
        """Read one of ``AVATAR_PARTS``.

        Raises:
            UserError: It is not trained yet, or its file differs from the card's hash.
        """
        config = self.part_config(name)
        path = self.path / f"{name}.safetensors"
        if not path.exists() or sha256_of_file(path) != self.card.parts[name]["sha256"]:
            raise UserError(f"Expected '{path}' as avatar.json names it, but it is missing or altered; fit it again.")
        return AvatarPart(config, safetensors.torch.load_file(path))


def has_part(path: str | Path, name: str) -> bool:
    """Whether the folder ``path`` holds an avatar with the trained part ``name``, one of ``AVATAR_PARTS``."""
    return (Path(path) / "avatar.json").exists() and name in Avatar(path).card.parts


def load_network(network: Network, part: AvatarPart) -> Network:
    """Load a part's weights into ``network``, for inference.

    Args:
        network: Built from ``part.config["network"]``.
        part: The avatar's part.

    Returns:
        The same object, in evaluation mode and without gradients.

    Raises:
        UserError: The weights do not fit the network.
    """
    try:
        network.load_state_dict(part.state)
    except RuntimeError as error:
        raise UserError(
            f"Expected the avatar's network to match its weights, but {str(error).splitlines()[-1].strip()}"
        ) from None
    return network.eval().requires_grad_(False)


def write_avatar_part(
    path: str | Path,
    name: str,
    network: nn.Module,
    config: dict,
    footage: str | Path | None,
    card_name: str | None = None,
) -> None:
    """Write a trained network to the avatar's folder, which is created if needed; other parts are kept.

    Args:
        path: The avatar's folder.
        name: One of ``AVATAR_PARTS``.
        network: The trained network.
        config: JSON values: the network's arguments, and what it was trained with.
        footage: Clip store of the person; None for a prior.
        card_name: Name of the avatar; by default its folder's.

    Raises:
        UserError: A weight is NaN or infinite; an earlier part is kept.
    """
    if name not in AVATAR_PARTS:
        raise ValueError(f"Expected a part of {AVATAR_PARTS}, but got '{name}'.")
    path = Path(path)
    weights = path / f"{name}.safetensors"
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()}
    broken = [key for key, tensor in state.items() if tensor.is_floating_point() and not bool(tensor.isfinite().all())]
    if broken:
        raise UserError(
            f"Expected finite weights in the {name} part of '{path}', but '{broken[0]}' holds NaN or infinity: the "
            "training diverged; fit again at a lower rate."
        )
    with replacing_file(weights) as temporary:
        safetensors.torch.save_file(state, temporary, {"readavatar": json.dumps(config)})
    write_avatar_card(path, footage, {name: {"sha256": sha256_of_file(weights), "config": config}}, card_name)


def write_avatar_card(
    path: str | Path, footage: str | Path | None, parts: dict[str, dict] | None = None, card_name: str | None = None
) -> None:
    """Write or update ``avatar.json``; other parts in it are kept.

    Args:
        path: The avatar's folder, which is created if needed.
        footage: Clip store of the person; None for a prior.
        parts: As in ``AvatarCard``.
        card_name: Name of a new avatar; by default its folder's.
    """
    path = Path(path)
    card_path = path / "avatar.json"
    relative = os.path.relpath(Path(footage).resolve(), path.resolve()) if footage else ""
    card = Avatar(path).card if card_path.exists() else AvatarCard(card_name or path.resolve().name, relative)
    with replacing_file(card_path) as temporary:
        card = dataclasses.replace(card, footage=relative, parts={**card.parts, **(parts or {})})
        temporary.write_text(json.dumps(dataclasses.asdict(card), indent=1))
