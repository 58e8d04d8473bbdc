"""The fit's parts: poses, parameters, cut models, optimiser, plan, light and albedo."""

from __future__ import annotations

import pytest
import torch

from readavatar.data.tracking_data import Observations
from readavatar.errors import UserError
from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.camera import axis_angle_to_matrix, head_to_world, project
from readavatar.rendering.shading import linear_to_srgb, shade
from readavatar.tracking.albedo import AlbedoPrior, push_pull
from readavatar.tracking.expression_prior import DEVIATION, UNSEEN_DEVIATION, expression_prior
from readavatar.tracking.frame_adam import FrameAdam
from readavatar.tracking.initial_pose import initial_pose
from readavatar.tracking.lighting import solve_lighting
from readavatar.tracking.model_part import FaceSurface, LandmarkModel
from readavatar.tracking.parameters import FaceParameters
from readavatar.tracking.stages import Stage, choose_keyframes, plan_steps


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


def observations(num_frames: int = 6, num_clips: int = 2) -> Observations:
    clip_index = torch.arange(num_frames) * num_clips // num_frames
    return Observations(
        torch.rand(num_frames, 68, 2), torch.rand(num_frames, 2, 2), torch.ones(num_frames),
        torch.zeros(num_frames, 52), torch.ones(num_frames), clip_index, torch.full((num_clips, 2), 0.5),
        torch.ones(num_clips),
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


def test_with_every_row_touched_the_optimiser_is_adam():
    ours, theirs = (torch.nn.Parameter(torch.ones(4, 3)) for _ in range(2))
    ours_adam = FrameAdam([{"params": [ours], "rows": True, "lr": 0.1}])
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99), eps=1e-12)
    for step in range(5):
        for parameter, optimizer in ((ours, ours_adam), (theirs, adam)):
            optimizer.zero_grad()
            ((parameter * torch.arange(1.0, 4.0) - step) ** 2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_frame_that_a_step_does_not_look_at_stays_as_it_is():
    frames = torch.nn.Parameter(torch.ones(4, 3))
    optimizer = FrameAdam([{"params": [frames], "rows": True, "lr": 0.1}])
    for rows in ([0, 1], [1]):
        optimizer.zero_grad()
        frames[rows].square().sum().backward()
        optimizer.step()
        untouched = frames[2:].detach().clone()
    assert torch.equal(untouched, torch.ones(2, 3))
    torch.testing.assert_close(frames[0], torch.full((3,), 0.9))
    assert bool((frames[1] < frames[0]).all())


def test_a_plan_visits_every_frame_as_often_as_the_stage_says():
    clips = torch.tensor([0] * 7 + [1] * 5)
    stages = [
        Stage("a", ["rotation"], 3, 0.1),
        Stage("b", ["albedo"], 2, 0.1, batch=4, photometric=True),
        Stage("c", ["focal"], 1, 0.1, frames="keyframes", batch=2),
    ]
    steps = plan_steps(stages, clips, torch.tensor([1, 8, 9]), seed=0)
    for stage, frames, passes in ((stages[0], 12, 3), (stages[1], 12, 2), (stages[2], 3, 1)):
        visited = torch.cat([step.indices for step in steps if step.stage is stage])
        assert len(visited) == frames * passes and len(visited.unique()) == frames
    for step in steps:
        if step.stage is stages[1]:
            assert len(clips[step.indices].unique()) == 1 and bool((step.indices.diff() == 1).all())
    assert [step.stage.name for step in steps if step.is_first] == ["a", "b", "c"]


def test_a_stage_that_frees_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match="expresion"):
        Stage("typo", ["expresion"], 1, 0.1)
    with pytest.raises(UserError, match="learning_rate"):
        Stage("still", ["shape"], 1, 0.0)


def test_keyframes_show_a_face_and_differ():
    points = torch.rand(1, 68, 2, generator=torch.Generator().manual_seed(0)).repeat(9, 1, 1)
    points[5, 48:] += 0.2
    confidence = torch.ones(9)
    confidence[5:7] = torch.tensor([1.0, 0.0])
    chosen = choose_keyframes(points, confidence, 2).tolist()
    assert 5 in chosen and 6 not in chosen and len(chosen) == 2


def test_blendshapes_reach_both_halves_of_a_symmetric_shape_and_unseen_ones_are_held_tight():
    blendshapes = torch.zeros(2, 52)
    blendshapes[0, 3] = 0.7  # browInnerUp
    names = ("browInnerUp_L", "browInnerUp_R", "cheekPuff_L", "expression_000")
    prior = expression_prior(blendshapes, torch.ones(2), names, torch.tensor([[0.0, 1.0]]).expand(4, 2))
    torch.testing.assert_close(prior.mean[0], torch.tensor([0.7, 0.7, 0.0, 0.0]))
    torch.testing.assert_close(
        prior.deviation[0], torch.tensor([DEVIATION, DEVIATION, UNSEEN_DEVIATION, 2 * DEVIATION])
    )
    assert prior.deviation[1, 0] == 2 * DEVIATION  # a frame whose detector gave no blendshapes


def test_light_is_found_again():
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(2, 3, 24, 24, generator=generator)
    normals[:, 2].abs_()
    normals = torch.nn.functional.normalize(normals, dim=1)
    albedo = torch.rand(2, 3, 24, 24, generator=generator) * 0.4 + 0.3
    lighting = torch.zeros(2, 9, 3)
    lighting[:, 0], lighting[:, 2], lighting[:, 3] = 0.8, 0.2, torch.tensor([0.1, -0.1])[:, None]
    frames = linear_to_srgb(shade(albedo, normals, lighting).clamp(min=0))
    start = torch.zeros_like(lighting)
    start[:, 0] = 0.8
    mask = torch.ones(2, 1, 24, 24)
    found = solve_lighting(albedo, normals, frames, mask, start)
    found = solve_lighting(albedo, normals, frames, mask, found)
    # The priors keep a tenth of the directional light back.
    assert (shade(albedo, normals, found) - shade(albedo, normals, lighting)).abs().max() < 0.06
    assert torch.equal(solve_lighting(albedo, normals, frames, mask * 0, start), start)


def test_the_albedo_prior_is_zero_at_its_own_symmetric_mean(model):
    prior = AlbedoPrior(model, 32)
    flat = torch.full((3, 32, 32), 0.4)
    assert prior.smoothness(flat) == 0 and prior.symmetry(flat) == 0 and prior.typicality(prior.mean) == 0
    assert len(prior.symmetric) > 100
    lopsided = flat.clone()
    lopsided.flatten(1)[:, prior.symmetric[: len(prior.symmetric) // 2]] = 0.8
    assert prior.symmetry(lopsided) > 0 and prior.smoothness(lopsided) > 0


def test_holes_take_the_colours_around_them():
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, :, :8], weight = 0.5, torch.zeros(1, 1, 16, 16)
    weight[..., :8] = 1
    filled = push_pull(image, weight)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.5), atol=1e-5, rtol=0)
