"""The gaze loss: nothing at identity, more the further the eyes are turned, and none of the expert in a checkpoint."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from readavatar.appearance.losses import GazeLoss
from readavatar.gaze import FaceGazeNetwork, FacePlacement, face_crops
from readavatar.gaze.expert import ResNet18

SIZE = 96
EYES = ((36, 40), (60, 40))
"""(x, y) of the middles of the drawn eyes."""


class PupilFinder(nn.Module):
    """An expert whose truth is known: the darkness of the crop pulls its gaze."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor, placement: FacePlacement) -> torch.Tensor:
        dark = 1 - face_crops(images, placement, 64).mean(1)
        position = torch.linspace(-1, 1, 64)
        pull = [(dark * position[None, None]).sum((1, 2)), -(dark * position[None, :, None]).sum((1, 2))]
        return self.scale * torch.stack(pull, 1) / dark.sum((1, 2))[:, None]


def drawn_face(look: float = 0.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(image, eyes, face) of a bright face whose pupils are ``look`` pixels to the side."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    face = ((x - 48) / 32) ** 2 + ((y - 52) / 40) ** 2 < 1
    eyes = torch.stack([((x - ex) / 9) ** 2 + ((y - ey) / 5) ** 2 < 1 for ex, ey in EYES]).any(0)
    pupils = torch.stack([torch.exp(-((x - ex - look) ** 2 + (y - ey) ** 2) / 8) for ex, ey in EYES]).sum(0)
    image = 0.3 + 0.5 * face - 0.6 * pupils * eyes
    return image.clamp(0, 1).expand(1, 3, -1, -1).clone(), eyes[None, None].float(), face[None, None].float()


@pytest.fixture
def loss() -> GazeLoss:
    return GazeLoss(PupilFinder())


@pytest.fixture
def network_loss() -> GazeLoss:
    torch.manual_seed(0)
    return GazeLoss(FaceGazeNetwork(ResNet18(2, width=4), crop_size=64))


def test_it_is_zero_at_identity_and_grows_as_the_eyes_turn(loss):
    target, eyes, face = drawn_face()
    values = [float(loss(drawn_face(look)[0], target, eyes, face)) for look in (0.0, 1.0, 2.0, 4.0)]
    assert values[0] == 0
    assert values == sorted(values) and values[1] > 1e-4


def test_only_the_eyes_affect_the_loss_and_get_a_gradient(network_loss):
    target, eyes, face = drawn_face()
    predicted = (0.9 * target).requires_grad_(True)
    network_loss(predicted, target, eyes, face).backward()
    assert predicted.grad.isfinite().all()
    assert (predicted.grad.abs().sum(1, keepdim=True) * eyes).sum() > 0
    assert predicted.grad[..., 60:, :].abs().max() == 0, "mouth and chin"
    elsewhere = target.clone()
    elsewhere[..., 60:, :] = torch.rand_like(elsewhere[..., 60:, :])
    assert network_loss(elsewhere, target, eyes, face) == 0


def test_steps_down_its_gradient_turn_the_eyes_back(loss):
    target, eyes, face = drawn_face()
    predicted = drawn_face(3.0)[0]
    before = loss(predicted, target, eyes, face)
    for _ in range(5):
        predicted.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(predicted, target, eyes, face), predicted)
        predicted = (predicted - 0.01 * gradient / gradient.abs().amax()).detach()
    assert loss(predicted, target, eyes, face) < 0.9 * before


def test_frames_without_whole_eyes_are_passed_over(loss):
    target, eyes, face = drawn_face()
    turned = drawn_face(3.0)[0].requires_grad_(True)
    hidden = loss(turned, target, torch.zeros_like(eyes), face)
    assert hidden == 0 and not hidden.requires_grad
    alone = loss(turned, target, eyes, face)
    pair = [torch.cat([each, each]) for each in (turned, target)]
    masks = torch.cat([eyes, torch.zeros_like(eyes)]), torch.cat([face, face])
    torch.testing.assert_close(loss(*pair, *masks), alone)


def test_some_of_a_batch_stand_for_all_of_it_and_take_turns():
    target, eyes, face = (torch.cat([each] * 3) for each in drawn_face())
    turned = torch.cat([drawn_face(look)[0] for look in (1.0, 2.0, 4.0)])
    everyone, one = GazeLoss(PupilFinder()), GazeLoss(PupilFinder(), frames=1)
    values = torch.stack([one(turned, target, eyes, face, step) for step in range(3)])
    assert len(values.unique()) == 3
    torch.testing.assert_close(values.mean(), everyone(turned, target, eyes, face))
    assert GazeLoss(PupilFinder(), frames=9)(turned, target, eyes, face) == everyone(turned, target, eyes, face)


def test_the_expert_is_in_no_checkpoint_and_in_no_optimizer_yet_moves_along(network_loss):
    assert network_loss.state_dict() == {} and list(network_loss.parameters()) == []
    module = nn.ModuleDict({"gaze": network_loss, "layer": nn.Linear(2, 2)}).double()
    assert module["gaze"].expert.network.fc.weight.dtype == torch.float64
    assert not any(name.startswith("gaze") for name in module.state_dict())
    module.train()
    assert not module["gaze"].expert.network.training
    assert copy.deepcopy(network_loss).expert is not network_loss.expert


def test_an_expert_given_thawed_is_frozen(loss):
    assert not loss.expert.scale.requires_grad
