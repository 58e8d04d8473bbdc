"""The GPU rasterisers against the CPU's, which tests/rendering holds to the plain one."""

from importlib.util import find_spec

import pytest
import torch

from readavatar.rendering.camera import world_to_clip
from readavatar.rendering.rasterize import antialias, interpolate, rasterize
from readavatar.types import default_camera

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["torch", "nvdiffrast", "pytorch3d"])
def backend(request) -> str:
    """Each backend that runs on a GPU, where it is installed."""
    if request.param != "torch" and find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def _scene() -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """A rippled sheet seen twice from the side, so that it hides parts of itself; in an image wider than high."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 30), torch.linspace(-1, 1, 30), indexing="ij")
    sheet = torch.stack([x, y, 0.3 * (6 * x).sin() * (5 * y).cos()], -1).reshape(-1, 3) * 0.1
    here = torch.arange(900).reshape(30, 30)
    upper = torch.stack([here[:-1, :-1], here[:-1, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    lower = torch.stack([here[:-1, 1:], here[1:, 1:], here[1:, :-1]], -1).reshape(-1, 3)
    turned = torch.stack([sheet[:, [0, 1, 2]], sheet[:, [2, 0, 1]] * torch.tensor([1.0, 1.0, 0.5])])
    resolution = (72, 120)
    clip = world_to_clip(turned - torch.tensor([0.01, 0.02, 0.55]), default_camera(*resolution))
    return clip, torch.cat([upper, lower]), resolution


def _agreeing(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Pixels where two rasterisers see the same triangle; all but those whose centre an edge passes closely."""
    agreeing = first == second
    assert agreeing.float().mean() > 0.995
    return agreeing


def test_a_gpu_sees_what_the_cpu_sees(backend):
    vertices, faces, resolution = _scene()
    expected = rasterize(vertices, faces, resolution)
    fragments = rasterize(vertices.cuda(), faces.cuda(), resolution, backend)
    agreeing = _agreeing(fragments.face_index.cpu(), expected.face_index)
    difference = (fragments.barycentrics.cpu() - expected.barycentrics)[agreeing]
    assert difference.abs().max() < 1e-4
    assert (fragments.depth.cpu() - expected.depth)[agreeing].abs().max() < 1e-5


def test_gradients_on_a_gpu_are_those_on_the_cpu(backend):
    vertices, faces, resolution = _scene()
    image, gradients, indices = [], [], []
    for device, name in (("cpu", "cpu"), ("cuda", backend)):
        leaf, triangles = vertices.to(device).requires_grad_(), faces.to(device)
        fragments = rasterize(leaf, triangles, resolution, name)
        rendered = antialias(interpolate(leaf, triangles, fragments), fragments, leaf, triangles)
        rendered.square().mean().backward()
        image.append(rendered.detach().cpu())
        gradients.append(leaf.grad.cpu())
        indices.append(fragments.face_index.cpu())
    agreeing = _agreeing(*indices)
    assert ((image[0] - image[1]).abs().amax(1)[agreeing] < 1e-3).float().mean() > 0.99
    assert torch.nn.functional.cosine_similarity(gradients[0].flatten(), gradients[1].flatten(), dim=0) > 0.98


def test_triangles_across_the_near_plane_are_clipped_on_a_gpu(backend):
    floor = torch.tensor([[[-90.0, -1.0, 50.0], [90.0, -1.0, 50.0], [0.0, -1.0, -9.0]]])
    clip, faces = world_to_clip(floor, default_camera(40, 40, focal=20.0)), torch.tensor([[0, 1, 2]])
    expected = rasterize(clip, faces, (40, 40)).face_index
    _agreeing(rasterize(clip.cuda(), faces.cuda(), (40, 40), backend).face_index.cpu(), expected)


def test_no_faces_give_background_on_a_gpu(backend):
    none = torch.zeros(0, 3, dtype=torch.long, device="cuda")
    assert (rasterize(torch.rand(2, 5, 4, device="cuda"), none, (8, 8), backend).face_index == -1).all()
