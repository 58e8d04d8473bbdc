"""The nearest frame is found and laid over the face; the albedo covers the mesh; neither shows what was held out."""

from __future__ import annotations

import cmath

import pytest
import torch
from tiny_face import tiny_model
from tiny_footage import write_footage

from readavatar.benchmarks.appearance.painting import (
    AlbedoRender,
    NearestFrames,
    as_complex,
    moved,
    procrustes_distances,
    procrustes_shapes,
    similarity,
)

NUM_TRAINING = 18


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_footage(tmp_path_factory.mktemp("clip") / "jane")


def test_a_similarity_is_found_and_undone_by_the_distance():
    points = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(0)) * 100
    there = as_complex(points)
    turn, shift = cmath.rect(1.7, 0.4), complex(3, -8)
    scale, found_shift = similarity(there[0], turn * there[0] + shift)
    assert complex(scale) == pytest.approx(turn) and complex(found_shift) == pytest.approx(shift)
    shapes, others = procrustes_shapes(there), procrustes_shapes(turn * there + shift)
    distances = procrustes_distances(shapes, others)
    assert distances.diagonal() == pytest.approx(torch.zeros(2), abs=1e-9) and float(distances[0, 1]) > 0.1


def test_moving_puts_each_pixel_where_the_similarity_says():
    image = torch.zeros(3, 40, 40)
    image[:, 10, 5] = 1  # its centre is (5.5, 10.5)
    moved_image = moved(image, torch.tensor(1j, dtype=torch.complex128), torch.tensor(30 + 4j))
    place = moved_image[0].argmax()
    assert divmod(int(place), 40) == (9, 19)  # i · (5.5 + 10.5i) + 30 + 4i = 19.5 + 9.5i
    assert torch.allclose(moved(image, torch.tensor(1 + 0j), torch.tensor(0j)), image, atol=1e-5)


def test_the_nearest_frame_is_one_of_the_training_with_a_face(store):
    painter = NearestFrames(store, NUM_TRAINING)
    found = {painter.nearest(frame) for frame in range(NUM_TRAINING, store.num_frames)}
    assert all(0 <= frame < NUM_TRAINING for frame in found) and 2 not in found
    painting = painter.paint(range(NUM_TRAINING, NUM_TRAINING + 2))
    assert painting.images.shape == (2, 3, 48, 48) and bool((painting.alphas == 1).all())


def test_a_face_that_was_seen_before_finds_that_frame(tmp_path):
    store = write_footage(tmp_path / "jane")
    seen, face = store.landmarks(), store.tracking()
    seen.landmarks_2d[20] = 1.3 * seen.landmarks_2d[7] + 4  # closer to the camera
    store.write_landmarks(seen)
    face.coefficients.expression_coefficients[20] = face.coefficients.expression_coefficients[7]
    store.write_tracking(face)
    assert NearestFrames(store, NUM_TRAINING).nearest(20) == 7


def test_the_albedo_covers_the_mesh_and_leaves_the_rest(store):
    face = store.tracking()
    painting = AlbedoRender(store, tiny_model(), face).paint(range(18, 21))
    outside = (painting.alphas == 0).expand_as(painting.images)
    assert torch.equal(painting.images[outside], store.frames(range(18, 21))[outside])
    assert 0.1 < float(painting.alphas.mean()) < 0.9
    alone = AlbedoRender(store, tiny_model(), face).paint(range(20, 21))
    assert torch.equal(alone.images[0], painting.images[2])
