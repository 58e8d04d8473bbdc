"""Claims on the priors that come with readavatar."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from readavatar.data.avatar import Avatar, load_network
from readavatar.emotion import MEAD_EMOTIONS
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.expression.prior import CRITICS, find_prior
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model
from readavatar.speech import load_speech_encoder

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
PRIORS = sorted(card.parent for card in (CHECKPOINTS / "expression_prior").glob("*/avatar.json"))
MOST_BYTES = 10e6
"""So many that a repository carries easily."""


def test_all_priors_together_are_small():
    assert {path.name for path in PRIORS} >= {"log_mel", "whisper"}
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


def test_the_default_training_begins_from_a_prior_without_a_download():
    encoder, model = load_speech_encoder("log_mel"), load_morphable_model("builtin")
    description = {
        "speech_encoder": {"name": "log_mel", "layers": None, "fingerprint": encoder.fingerprint},
        "expression_names": model.expression_names,
        "emotion_names": MEAD_EMOTIONS,
        "fps": 25.0,
    }
    assert find_prior("auto", description).path.name == "log_mel"


@pytest.mark.parametrize(
    ("emotion", "expression"),
    [("happy", "mouthSmile_L"), ("angry", "browDown_L"), ("surprised", "browInnerUp_L"), ("disgusted", "noseSneer_L")],
)
def test_the_dial_moves_what_it_should_even_in_silence(emotion, expression):
    part = Avatar(CHECKPOINTS / "expression_prior" / "log_mel").part("expression")
    generator = load_network(ExpressionGenerator(**part.config["network"]), part)
    speech = load_speech_encoder("log_mel").encode(torch.zeros(3 * 16_000), 25.0, 75)
    shown = []
    for strength in (0.0, 0.5, 1.0):
        asked = torch.zeros(75, 7)
        asked[:, MEAD_EMOTIONS.index(emotion)] = strength
        motion = generate_expressions(generator, speech, asked)
        shown.append(float(motion[:, EXPRESSION_NAMES.index(expression)].mean()))
    assert shown[0] < 0.15 and shown[0] + 0.1 < shown[1] < shown[2] - 0.1
