from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_face import tiny_model, write_tiny_clip

from readavatar.appearance import AppearanceModule
from readavatar.appearance.networks import NetworkSettings
from readavatar.data.datasets import appearance
from readavatar.data.datasets.speech_features import describe_encoder
from readavatar.data.store.avatar import Avatar, write_avatar_part
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.expression import ExpressionGenerator
from readavatar.expression.settings import NetworkSettings as ExpressionSizes
from readavatar.speech import load_speech_encoder
from readavatar.training import connect, driven
from readavatar.training.driven import driven_expressions


def _write_avatar(folder: Path, names: tuple[str, ...], seed: int = 0) -> Path:
    torch.manual_seed(seed)
    encoder = load_speech_encoder("log_mel")
    sizes = ExpressionSizes(width=8, reaches=(1, 2)).generator_sizes
    network = ExpressionGenerator(encoder.num_features, 2, len(names), fps=25.0, num_people=1, **sizes)
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


def test_a_clips_sound_drives_its_own_head_in_its_own_emotion(tmp_path):
    store, silent = write_tiny_clip(tmp_path / "clip"), write_tiny_clip(tmp_path / "silent", has_audio=False)
    face = store.tracking()
    avatar = Avatar(_write_avatar(tmp_path / "avatar", face.expression_names))
    assert driven_expressions(avatar, silent) is None
    neutral = driven_expressions(avatar, store)
    assert neutral.shape == face.coefficients.expression_coefficients.shape
    assert not torch.equal(neutral, face.coefficients.expression_coefficients)
    store.write_emotion(EmotionTrack.constant(EmotionSpace(("sad",)), torch.ones(1)))
    assert not torch.equal(driven_expressions(avatar, store), neutral)


def test_two_avatars_on_one_clip_keep_their_own(tmp_path, monkeypatch):
    store = write_tiny_clip(tmp_path / "clip")
    names = store.tracking().expression_names
    first, second = (Avatar(_write_avatar(tmp_path / name, names, seed)) for seed, name in enumerate("ab"))
    motions = [driven_expressions(each, store) for each in (first, second)]
    assert not torch.equal(*motions)
    monkeypatch.setattr(driven, "generate_motion", lambda *_: pytest.fail("it is kept"))
    assert all(
        torch.equal(driven_expressions(*pair), kept)
        for pair, kept in zip([(first, store), (second, store)], motions, strict=True)
    )


@pytest.mark.parametrize(
    ("share", "has_speech", "is_driven"), [(0.1, True, True), (0.1, False, False), (0.0, True, False)]
)
def test_appearance_learns_from_driven_frames_where_the_avatar_speaks(
    tmp_path, monkeypatch, share, has_speech, is_driven
):
    monkeypatch.setattr(appearance, "load_morphable_model", lambda name: tiny_model())
    store, avatar = write_tiny_clip(tmp_path / "clip"), tmp_path / "avatar"
    if has_speech:
        _write_avatar(avatar, store.tracking().expression_names)
    data = appearance.AppearanceData(
        str(store.path), driven_share=share, speech_encoder="log_mel", held_out_seconds=0.1
    )
    module = AppearanceModule(NetworkSettings(texture_resolution=32, unet_width=8, unet_levels=3), feature_loss="bands")
    connect(module, data, avatar)
    assert (data.clips[0].driven is not None) == is_driven
    assert module.renderer is not None


def test_a_full_cache_changes_no_weight_that_a_training_begins_with(tmp_path, monkeypatch):
    monkeypatch.setattr(appearance, "load_morphable_model", lambda name: tiny_model())
    store = write_tiny_clip(tmp_path / "clip")
    avatar = _write_avatar(tmp_path / "avatar", store.tracking().expression_names)
    states = []
    for _ in range(2):
        data = appearance.AppearanceData(str(store.path), speech_encoder="log_mel", held_out_seconds=0.1)
        sizes = NetworkSettings(texture_resolution=32, unet_width=8, unet_levels=3)
        module = AppearanceModule(sizes, feature_loss="bands")
        torch.manual_seed(0)
        connect(module, data, avatar)
        states.append(module.renderer.state_dict())
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in states), strict=True))
