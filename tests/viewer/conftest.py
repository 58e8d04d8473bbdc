"""Fixtures of the viewer's tests."""

from __future__ import annotations

import pytest
from viewed_clips import write_viewed_clip

from readavatar.data.store import ClipStore


@pytest.fixture(scope="module")
def actor_clip(tmp_path_factory) -> ClipStore:
    """A digital actor's clip with a fit."""
    return write_viewed_clip(tmp_path_factory.mktemp("viewer") / "jane")
