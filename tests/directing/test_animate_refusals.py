"""What animating refuses before it computes anything."""

from __future__ import annotations

import pytest
from tiny_face import write_tiny_clip
from torch import nn

from readavatar.data.store.avatar import write_avatar_part
from readavatar.directing import animate
from readavatar.errors import UserError


def test_footage_that_was_not_kept_is_refused_unless_the_crop_alone_is_wanted(tmp_path):
    store = write_tiny_clip(tmp_path / "clip")
    assert store.source is None
    write_avatar_part(tmp_path / "avatar", "expression", nn.Linear(1, 1), {"emotion_names": ["happy"]}, store.path)
    with pytest.raises(UserError, match="uncropped footage"):
        animate(tmp_path / "avatar", tmp_path / "missing.wav", tmp_path / "out.mp4")
    with pytest.raises(UserError, match=r"missing\.wav"):
        animate(tmp_path / "avatar", tmp_path / "missing.wav", tmp_path / "out.mp4", crop_only=True)
