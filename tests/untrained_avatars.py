"""Avatars with untrained expression networks, for tests of the scorecards."""

from __future__ import annotations

from pathlib import Path

import torch

from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.store.avatar import write_avatar_part
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.expression import ExpressionGenerator
from readavatar.expression.settings import NetworkSettings
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.speech import load_speech_encoder


def write_untrained(folder: Path, seed: int = 0, fps: float = 25.0, num_people: int = 1, **changes) -> Path:
    """Write an expression part with random weights for log-mel energies; ``changes`` update its configuration."""
    torch.manual_seed(seed)
    encoder = load_speech_encoder("log_mel")
    names = changes.get("expression_names", list(EXPRESSION_NAMES))
    sizes = NetworkSettings(width=16, reaches=(1, 2)).generator_sizes
    network = ExpressionGenerator(encoder.num_features, 7, len(names), fps, num_people=num_people, **sizes)
    config = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": "builtin",
        "expression_names": names,
        "emotion_names": list(MEAD_EMOTIONS),
        "people": [f"person {index}" for index in range(num_people)],
        "fps": fps,
    }
    write_avatar_part(folder, "expression", network, config | changes, footage=None)
    return folder
