"""The linear model's one form."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from readavatar.morphable import EXPRESSION_NAMES, MASK_NAMES, MorphableData, MorphableModel, arkit_name
from readavatar.morphable.model import gaze_rotation
from readavatar.morphable.model_files import read_data, write_data


def globe(centre, radius=0.012, cornea=0.0):
    """Points on a sphere, the one at the front pushed out."""
    directions = torch.tensor([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1]])
    points = torch.tensor(centre) + radius * directions
    points[5, 2] += cornea
    return points


@pytest.fixture
def data():
    template = torch.cat(
        [torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]), globe([0.03, 0.0, 0.05], cornea=0.001)]
    )
    num_vertices = len(template)
    generator = torch.Generator().manual_seed(0)
    return MorphableData(
        name="toy",
        template=template,
        shape_basis=torch.randn(2, num_vertices, 3, generator=generator) * 1e-3,
        expression_basis=torch.randn(1, num_vertices, 3, generator=generator) * 1e-3,
        expression_names=("jawOpen",),
        expression_bounds=torch.tensor([[0.0, 1.0]]),
        faces=torch.tensor([[0, 1, 2]]),
        uvs=torch.tensor([[0.0, 0], [1, 0], [0, 1]]),
        uv_faces=torch.tensor([[0, 1, 2]]),
        vertex_regions=torch.tensor([0, 0, 0] + [1] * 6),
        region_names=("face", "eyeball_left"),
        landmark_vertices=torch.tensor([[0, 1, 2]]).expand(68, 3).contiguous(),
        landmark_barycentrics=torch.tensor([[0.5, 0.25, 0.25]]).expand(68, 3).contiguous(),
        vertex_masks={"face": torch.tensor([True] * 3 + [False] * 6)},
    )


def test_vertices_are_linear_in_both_coefficients(data):
    model = MorphableModel(data)
    vertices = model(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5]]))[0]
    expected = data.template + data.shape_basis[0] - 2 * data.shape_basis[1] + 0.5 * data.expression_basis[0]
    assert torch.allclose(vertices, expected, atol=1e-7)


def test_one_identity_serves_a_batch_of_frames(data):
    model = MorphableModel(data)
    vertices = model(torch.ones(1, 2), torch.rand(4, 1), torch.zeros(4, 2))
    assert vertices.shape == (4, 9, 3)


def test_gaze_turns_the_eye_left_and_up_about_its_globe(data):
    model = MorphableModel(data)
    rest = (torch.zeros(1, 2), torch.zeros(1, 1))
    pupil = model(*rest, torch.tensor([[0.3, 0.2]]))[0, 8]
    centre = torch.tensor([0.03, 0.0, 0.05])
    assert torch.allclose((pupil - centre).norm(), torch.tensor(0.013), atol=1e-6)  # the cornea's bulge is no radius
    assert pupil[0] > centre[0] and pupil[1] > centre[1]
    assert torch.allclose(torch.atan2(pupil[0] - centre[0], pupil[2] - centre[2]), torch.tensor(0.3), atol=1e-5)
    assert torch.allclose(model(*rest, torch.zeros(1, 2)), model(*rest), atol=1e-7)


def test_gaze_moves_nothing_but_the_eyes(data):
    model = MorphableModel(data)
    rest = (torch.zeros(1, 2), torch.zeros(1, 1))
    assert torch.equal(model(*rest, torch.tensor([[0.3, 0.2]]))[:, :3], model(*rest)[:, :3])


def test_gaze_gradients_are_finite(data):
    gaze = torch.zeros(1, 2, requires_grad=True)
    MorphableModel(data)(torch.zeros(1, 2), torch.zeros(1, 1), gaze)[0, 8].sum().backward()
    assert gaze.grad.isfinite().all() and gaze.grad.abs().min() > 0


def test_gaze_rotation_is_a_rotation():
    rotation = gaze_rotation(torch.tensor([[0.7, -0.4]]))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3)[None], atol=1e-6)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(1), atol=1e-6)


def test_landmarks_follow_the_vertices(data):
    model = MorphableModel(data)
    landmarks = model.landmarks_3d(model.template[None] + 1)
    assert torch.allclose(landmarks[0, 0], torch.tensor([1.025, 1.025, 1.0]))


def test_an_unknown_mask_is_refused_and_an_unknown_region_empty(data):
    model = MorphableModel(data)
    assert len(model.region("tongue")) == 0 and model.vertex_mask("face").sum() == 3
    with pytest.raises(ValueError, match="got 'nose'"):
        model.vertex_mask("nose")


def test_the_model_has_no_parameters(data):
    assert not list(MorphableModel(data).parameters())


def test_stored_data_comes_back_equal(data, tmp_path):
    data = dataclasses.replace(data, albedo=torch.rand(3, 4, 5))
    write_data(tmp_path / "model.safetensors", data)
    again = read_data(tmp_path / "model.safetensors")
    for field in dataclasses.fields(data):
        ours, theirs = getattr(data, field.name), getattr(again, field.name)
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs)
        elif isinstance(ours, dict):
            assert all(torch.equal(ours[key], theirs[key]) for key in ours | theirs)
        else:
            assert ours == theirs


def test_the_shared_expressions_spell_arkits_names():
    assert len(EXPRESSION_NAMES) == 53 and len(MASK_NAMES) == 5
    assert arkit_name("eyeBlink_L") == "eyeBlinkLeft" and arkit_name("browInnerUp_R") == "browInnerUp"
    assert arkit_name("jawLeft") == "jawLeft" and len({arkit_name(name) for name in EXPRESSION_NAMES}) == 51
