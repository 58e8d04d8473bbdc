"""Faces are compared inside themselves, wherever and however large they are in the picture."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tiny_footage import face_points, write_footage

from readavatar.benchmarks.appearance import identity as appearance_identity
from readavatar.benchmarks.appearance.identity import (
    AlignedFaces,
    Embedded,
    RealFaces,
    aligned_face,
    join_faces,
    likeness,
    likeness_among,
    likeness_to,
    load_embedding,
    real_faces,
)

NO_FACES = AlignedFaces(torch.zeros(0, 3, 64, 64), torch.zeros(0, 1, 64, 64))


def _picture(size: int, seed: int = 0) -> torch.Tensor:
    """Soft blobs, so that it can be resized."""
    noise = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, (size, size), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _points(size: int) -> torch.Tensor:
    points = face_points()[:, :2].clone()
    points[36:42], points[42:48] = torch.tensor([-0.03, 0.03]), torch.tensor([0.03, 0.03])
    points[30] = 0.0
    return points * torch.tensor([4.0, -4.0]) * size + size / 2


def test_a_face_is_the_same_at_every_size_and_turn():
    large, small = aligned_face(_picture(256), _points(256)), aligned_face(_picture(128), _points(128))
    inside = (large.masks * small.masks).expand_as(large.images) > 0
    assert float((large.images - small.images)[inside].abs().max()) < 0.03
    upside_down = aligned_face(_picture(128).flip(1, 2), 128 - _points(128))
    assert float((upside_down.images - small.images)[inside].abs().max()) < 0.03


def test_what_is_around_a_face_does_not_count():
    face = aligned_face(_picture(128), _points(128))
    points = _points(128)
    hull = appearance_identity.landmark_hull(points, 128, 128)
    near = F.max_pool2d(hull, 3, stride=1, padding=1)
    elsewhere = aligned_face(_picture(128) * near + _picture(128, seed=1) * (1 - near), points)
    torch.testing.assert_close(elsewhere.images, face.images, atol=1e-5, rtol=0)
    assert 0.1 < float(face.masks.mean()) < 0.9


def test_likeness_is_a_mean_cosine_over_the_places_in_both_faces():
    places = torch.tensor([[1.0, 1, 0], [0, 1, 1]])
    features = torch.tensor([[[1.0, 0], [1, 0], [0, 0]], [[0, 0], [0.6, 0.8], [1, 0]]]).permute(0, 2, 1).flatten(1)
    found = likeness(Embedded(features, places), Embedded(features, places))
    assert found.flatten().tolist() == pytest.approx([1, 0.6, 0.6, 1])


def test_a_frame_is_not_compared_with_its_neighbours():
    features = torch.eye(3)
    features[1] = features[0]  # as neighbouring frames are
    references = Embedded(features, torch.ones(3, 1))
    near = RealFaces(NO_FACES, torch.tensor([0.0, 0.1, 5.0]), [0, 0, 0])
    assert likeness_among(references, near).tolist() == [0, 0, 0]
    in_other_clips = RealFaces(NO_FACES, torch.zeros(3), [0, 1, 1])
    assert likeness_among(references, in_other_clips).tolist() == [1, 1, 0]
    alone = RealFaces(NO_FACES, torch.zeros(3), [0, 0, 0])
    assert len(likeness_among(references, alone)) == 0
    assert likeness_to(references, references).tolist() == [1, 1, 1]


def test_frames_are_spread_over_clips_and_show_a_face(tmp_path):
    clips = [write_footage(tmp_path / name) for name in ("a", "b")]
    found = real_faces(clips, 8)
    assert found.sources == [0] * 4 + [1] * 4 and found.faces.images.shape == (8, 3, 64, 64)
    assert float(found.times.min()) == 0 and float(found.times.max()) == pytest.approx(23 / 25)


def test_the_network_sees_a_face_as_like_itself_and_nothing_outside(monkeypatch):
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 8, 4, stride=4)
    monkeypatch.setattr(appearance_identity, "read_lpips_weights", lambda name: {})
    monkeypatch.setattr(appearance_identity, "Backbone", lambda *_: torch.nn.Sequential(convolution, Listed()))
    faces = join_faces([aligned_face(_picture(128, seed), _points(128)) for seed in range(3)])
    embedded = load_embedding()(faces)
    found = likeness(embedded, embedded)
    assert found.diagonal().tolist() == pytest.approx([1, 1, 1], abs=1e-5) and float(found[0, 1]) < 0.999
    outside = embedded.places.repeat_interleave(1, 0)[:, None] == 0
    assert bool((embedded.features.view(3, 8, -1)[outside.expand(3, 8, -1)] == 0).all())


class Listed(torch.nn.Module):
    def forward(self, values):
        return [values]
