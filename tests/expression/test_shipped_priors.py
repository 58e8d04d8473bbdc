"""Claims on the priors that come with readavatar."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from readavatar.data.store.avatar import Avatar, load_network
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.expression.build_networks import CRITICS, find_prior
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
PRIORS = sorted(card.parent for card in (CHECKPOINTS / "expression_prior").glob("*/avatar.json"))
MOST_BYTES = 10e6
"""So many that a repository carries easily."""


def test_all_priors_together_are_small():
    assert PRIORS
    assert sum(file.stat().st_size for path in PRIORS for file in path.glob("*.*")) < MOST_BYTES


@pytest.mark.parametrize("path", PRIORS, ids=lambda path: path.name)
def test_a_prior_is_what_the_table_says_and_nobodys(path):
    table, avatar = (CHECKPOINTS / "README.md").read_text(), Avatar(path)
    for name in ("expression", CRITICS):
        avatar.part(name)  # checks the file's hash against the card's
        assert avatar.card.parts[name]["sha256"] in table
    assert avatar.card.footage == ""
    config = avatar.part_config("expression")
    assert config["emotion_names"] == list(MEAD_EMOTIONS) and config["expression_names"] == list(EXPRESSION_NAMES)


@pytest.mark.parametrize("path", PRIORS, ids=lambda path: path.name)
@pytest.mark.parametrize("model", ["builtin", "ict"])
def test_a_training_with_the_same_speech_features_starts_from_it(path, model):
    config = Avatar(path).part_config("expression")
    names = load_morphable_model("builtin").expression_names if model == "builtin" else EXPRESSION_NAMES
    found = find_prior("auto", {**config, "expression_names": list(names), "emotion_names": ["sad", "happy"]})
    assert found.path == path and found.emotion_columns == [5, 4]


@pytest.mark.parametrize("path", PRIORS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("emotion", "expression"),
    [("happy", "mouthSmile_L"), ("angry", "browDown_L"), ("surprised", "browInnerUp_L"), ("disgusted", "noseSneer_L")],
)
def test_the_dial_moves_what_it_should(path, emotion, expression):
    part = Avatar(path).part("expression")
    generator = load_network(ExpressionGenerator(**part.config["network"]), part)
    # The mean speech features, varying in strength: no encoder is needed.
    loudness = torch.randn(75, 1, generator=torch.Generator().manual_seed(0))
    speech = generator.speech_mean + generator.speech_std * loudness
    shown = []
    for strength in (0.0, 0.5, 1.0):
        asked = torch.zeros(75, 7)
        asked[:, MEAD_EMOTIONS.index(emotion)] = strength
        motion = generate_expressions(generator, speech, asked)
        shown.append(float(motion[:, EXPRESSION_NAMES.index(expression)].mean()))
    assert shown[0] < 0.15 and shown[0] + 0.1 < shown[1] < shown[2] - 0.1
