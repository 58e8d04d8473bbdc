"""A good clip, made in seconds: an actor's true landmarks and voice over a textured picture that moves a little."""

from __future__ import annotations

import shutil

import pytest
import torch
from good_clips import FPS, SIZE, write_clip

from readavatar.data.store import ClipStore
from readavatar.doctor.evidence import Evidence, gather
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.morphable import load_morphable_model
from readavatar.synthetic.characters import make_actor
from readavatar.synthetic.clip import film, perform_sentences
from readavatar.synthetic.render import projected_landmarks
from readavatar.synthetic.sentences import SENTENCES


@pytest.fixture(scope="session")
def good_take():
    """(landmarks, waveform, emotion, truth) of 45 s of happy speech, the head turning."""
    model = load_morphable_model("builtin")
    space = EmotionSpace()
    emotion = EmotionTrack.constant(space, space.vector("happy:0.5"))
    actor = make_actor(1, model)
    take = perform_sentences(actor, sentences=list(SENTENCES[:16]), emotion=emotion, fps=FPS, turn=12)
    scene = film(actor, take, model, "builtin", SIZE, 1.5)
    points = projected_landmarks(model, scene)
    noise = 0.1 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
    return points + noise, take.waveform, emotion, scene.face


@pytest.fixture(scope="session")
def good_store(good_take, tmp_path_factory) -> ClipStore:
    """The whole take, fitted to the last digit."""
    landmarks, waveform, emotion, face = good_take
    return write_clip(tmp_path_factory.mktemp("doctor") / "good", landmarks, waveform, emotion, face)


@pytest.fixture(scope="session")
def good(good_store) -> Evidence:
    """Measured."""
    return gather(good_store)


@pytest.fixture(scope="session")
def short_store(good_take, tmp_path_factory) -> ClipStore:
    """The first six seconds."""
    landmarks, waveform, emotion, _ = good_take
    return write_clip(tmp_path_factory.mktemp("doctor") / "short", landmarks[:150], waveform[:96_000], emotion)


@pytest.fixture
def copy(short_store, tmp_path):
    """Six seconds to break."""
    shutil.copytree(short_store.path, tmp_path / "clip")
    return ClipStore(tmp_path / "clip")
