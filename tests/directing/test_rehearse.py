from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import Namespace
from tiny_face import write_tiny_clip

from readavatar.cli import stages
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.store.avatar import write_avatar_part
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.expression import ExpressionGenerator
from readavatar.speech import load_speech_encoder
from readavatar.training.rehearse import rehearse


def _write_avatar(folder: Path, names: tuple[str, ...]) -> Path:
    torch.manual_seed(0)
    encoder = load_speech_encoder("log_mel")
    network = ExpressionGenerator(encoder.num_features, 2, len(names), fps=25.0, width=8, reaches=(1, 2))
    config = {
        "network": network.config,
        "speech_encoder": describe_encoder(encoder),
        "morphable_model": "tiny",
        "expression_names": list(names),
        "emotion_names": ["happy", "sad"],
        "people": ["person"],
        "fps": 25.0,
    }
    write_avatar_part(folder, "expression", network, config, footage=None)
    return folder


def test_clips_are_rehearsed_on_their_own_heads_in_their_own_emotion(tmp_path):
    store = write_tiny_clip(tmp_path / "clip")
    write_tiny_clip(tmp_path / "silent", has_audio=False)
    face = store.tracking()
    avatar = _write_avatar(tmp_path / "avatar", face.expression_names)
    assert rehearse(avatar, [store.path, tmp_path / "silent"]) == 1
    neutral = store.rehearsal()
    assert torch.equal(neutral.coefficients.rotation, face.coefficients.rotation)
    assert torch.equal(neutral.coefficients.gaze, face.coefficients.gaze)
    assert not torch.equal(neutral.coefficients.expression_coefficients, face.coefficients.expression_coefficients)
    rehearse(avatar, [store.path])
    assert torch.equal(
        store.rehearsal().coefficients.expression_coefficients, neutral.coefficients.expression_coefficients
    )
    store.write_emotion(EmotionTrack.constant(EmotionSpace(("sad",)), torch.ones(1)))
    rehearse(avatar, [store.path])
    assert not torch.equal(
        store.rehearsal().coefficients.expression_coefficients, neutral.coefficients.expression_coefficients
    )


@pytest.mark.parametrize(
    ("share", "has_speech", "is_driven"), [(0.1, True, True), (0.1, False, False), (0.0, True, False)]
)
def test_fitting_looks_rehearses_with_the_speech_that_the_avatar_has(tmp_path, share, has_speech, is_driven):
    store = write_tiny_clip(tmp_path / "clip")
    avatar = tmp_path / "avatar"
    if has_speech:
        _write_avatar(avatar, store.tracking().expression_names)
    data = Namespace(init_args=Namespace(clips=str(store.path), driven_share=share))
    config = Namespace(data=data, model=Namespace(), seed_everything=0)
    cli = SimpleNamespace(subcommand="fit", config={"fit": config}, avatar=avatar, run_folder=tmp_path)
    stages.StageCLI.before_fit(cli)
    assert (store.rehearsal() is not None) == is_driven
    _write_avatar(avatar, store.tracking().expression_names)
    rehearse(avatar, [store.path])
    cli.avatar = tmp_path / "another"
    stages.StageCLI.before_fit(cli)
    assert (store.rehearsal() is None) == (share > 0)
    assert (tmp_path / "settings.json").exists()
