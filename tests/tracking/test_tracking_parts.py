"""The fit's parts: poses, parameters, cut models, plan."""

from __future__ import annotations

from itertools import groupby

import pytest
import torch

from readavatar.data.datasets.tracking import Observations
from readavatar.errors import UserError
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import axis_angle_to_matrix, head_to_world, project
from readavatar.tracking.initialization import initial_pose
from readavatar.tracking.model_part import FaceSurface, LandmarkModel
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.schedule import FitStage, choose_keyframes, plan_steps


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


def observations(num_frames: int = 6, num_clips: int = 2) -> Observations:
    clip_index = torch.arange(num_frames) * num_clips // num_frames
    return Observations(
        torch.rand(num_frames, 68, 2), torch.rand(num_frames, 2, 2), torch.ones(num_frames),
        torch.zeros(num_frames, 52), torch.ones(num_frames), torch.zeros(num_frames), clip_index,
        torch.full((num_clips, 2), 0.5), torch.ones(num_clips),
    )  # fmt: skip


def random_coefficients(model: MorphableModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = torch.randn(1, model.num_shape, generator=generator)
    return shape, torch.rand(3, model.num_expressions, generator=generator), torch.rand(3, 2, generator=generator) - 0.5


def test_poses_are_found_from_exact_landmarks(model):
    rotation = torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.5, -0.1], [-0.3, -0.6, 0.3]])
    translation = torch.tensor([[0.0, 0.0, -0.8], [0.05, -0.04, -0.7], [-0.1, 0.1, -1.5]])
    points = model.landmarks_3d(model.template[None]).expand(3, -1, -1)
    world = head_to_world(points, rotation, translation)
    seen = world[..., :2] / -world[..., 2:] * 2.2
    found_rotation, found_translation = initial_pose(points, seen, torch.ones(68), torch.full((3,), 2.2))
    turn = axis_angle_to_matrix(found_rotation).mT @ axis_angle_to_matrix(rotation)
    assert turn.diagonal(dim1=1, dim2=2).sum(1).min() > 1 + 2 * torch.tensor(0.005).cos()  # within 0.005 rad
    assert ((found_translation - translation).norm(dim=1) / translation.norm(dim=1)).max() < 0.005


def test_placing_a_head_and_asking_where_it_is_agree(model):
    parameters = FaceParameters(observations(), 2, 3, torch.zeros(3, 4, 4))
    translation = torch.rand(6, 3) - torch.tensor([0.5, 0.5, 1.5])
    parameters.set_translation(translation)
    torch.testing.assert_close(parameters.translation(torch.arange(6)).detach(), translation)


def test_another_focal_length_leaves_the_head_where_and_as_large_as_it_is_seen(model):
    parameters = FaceParameters(observations(), 2, 3, torch.zeros(3, 4, 4))
    parameters.set_translation(torch.tensor([[0.1, 0.05, -0.8]]).expand(6, 3))
    frames = torch.arange(6)
    points = torch.tensor([[[0.0, 0.0, 0.0], [0.05, 0.0, 0.0]]]).expand(6, 2, 3)

    def seen() -> torch.Tensor:
        world = points + parameters.translation(frames)[:, None]
        return project(world, parameters.camera(frames, 1)).detach()

    before = seen()
    parameters.focal.data += 0.3
    torch.testing.assert_close(seen(), before)


def test_a_cut_model_gives_the_whole_models_landmarks_and_vertices(model):
    arguments = random_coefficients(model)
    whole = model(*arguments)
    landmarks, pupils = LandmarkModel(model)(*arguments)
    torch.testing.assert_close(landmarks, model.landmarks_3d(whole), atol=1e-6, rtol=0)
    assert pupils.shape == (3, 2, 3) and bool((pupils[:, 0, 0] > pupils[:, 1, 0]).all())
    surface = FaceSurface(model)
    cut = surface(*arguments)
    distance = torch.cdist(cut[:1, ::50], whole[:1]).amin(-1)
    assert distance.max() < 1e-4


def test_a_model_that_is_not_linear_is_evaluated_whole(model):
    class Nodding(MorphableModel):
        def deform(self, shape_coefficients, expression_coefficients):
            return super().deform(shape_coefficients, expression_coefficients) * 1.5

    nodding = Nodding(model.data)
    arguments = random_coefficients(model)
    landmarks, _ = LandmarkModel(nodding)(*arguments)
    torch.testing.assert_close(landmarks, nodding.landmarks_3d(nodding(*arguments)))
    assert FaceSurface(nodding)(*arguments).shape[1] == FaceSurface(model)(*arguments).shape[1]


def test_a_plan_visits_every_frame_as_often_as_the_stage_says():
    clips = torch.tensor([0] * 7 + [1] * 5)
    stages = [
        FitStage("a", ["rotation"], 3),
        FitStage("b", ["albedo"], 2, batch=4, resolution=64),
        FitStage("c", ["focal"], 1, frames="keyframes", batch=2),
    ]
    steps = plan_steps(stages, clips, torch.tensor([1, 8, 9]), seed=0)
    for stage, frames, passes in ((stages[0], 12, 3), (stages[1], 12, 2), (stages[2], 3, 1)):
        visited = torch.cat([step.indices for step in steps if step.stage is stage])
        assert len(visited) == frames * passes and len(visited.unique()) == frames
    for step in steps:
        if step.stage is stages[1]:
            assert len(clips[step.indices].unique()) == 1 and bool((step.indices.diff() == 1).all())
    assert [name for name, _ in groupby(step.stage.name for step in steps)] == ["a", "b", "c"]


def test_a_stage_that_frees_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match="expresion"):
        FitStage("typo", ["expresion"], 1)


@pytest.mark.parametrize("wrong", [{"passes": -1}, {"iterations": 0}, {"batch": -4}, {"resolution": -256}])
def test_a_stage_of_wrong_numbers_is_refused(wrong):
    with pytest.raises(UserError, match="iterations ≥ 1"):
        FitStage("wrong", ["shape"], **{"passes": 1, **wrong})


def test_a_models_derivatives_are_its_differences(model):
    shape, expression, gaze = (values[:1] for values in random_coefficients(model))
    for part in (FaceSurface(model), LandmarkModel(model)):

        def points(shape, expression, part=part):
            found = part(shape, expression, gaze)
            return torch.cat(found, 1) if isinstance(found, tuple) else found

        for name, change in (("shape", (0.5, 0.0)), ("expression", (0.0, 0.5))):
            difference = points(shape + change[0], expression + change[1]) - points(shape, expression)
            by = getattr(part, f"by_{name}")[:, :3]
            expected = 0.5 * by.sum(2)
            assert (difference[0] - expected).norm(dim=-1).median() < 1e-5


def test_keyframes_show_a_face_and_differ():
    points = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(0)).repeat(9, 1, 1)
    points[5, 48:] += 0.2
    confidence = torch.ones(9)
    confidence[5:7] = torch.tensor([1.0, 0.0])
    chosen = choose_keyframes(points, confidence, 2).tolist()
    assert 5 in chosen and 6 not in chosen and len(chosen) == 2
