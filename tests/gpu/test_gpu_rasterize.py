"""The backends that take a GPU's tensors agree with the plain one on the CPU, as do a whole pipeline's gradients."""

import pytest
import torch
from raster_agreement import RESOLUTION, agreement, require, self_hiding_scene

from readavatar.rendering.rasterize import interpolate, rasterize

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["auto", "cpu", "torch", "nvdiffrast", "pytorch3d"])
def backend(request) -> str:
    """Each backend that takes a GPU's tensors, where it is installed."""
    return require(request.param)


@agreement
def test_on_a_gpu(check, backend):
    check(backend, "cuda")


def test_gradients_on_a_gpu_are_those_on_the_cpu(backend):
    vertices, faces = self_hiding_scene()
    images, gradients = [], []
    for device, name in (("cpu", "cpu"), ("cuda", backend)):
        leaf, triangles = vertices.to(device).requires_grad_(), faces.to(device)
        fragments = rasterize(leaf, triangles, RESOLUTION, name)
        image = interpolate(leaf, triangles, fragments)
        image.square().mean().backward()
        images.append(image.detach().cpu())
        gradients.append(leaf.grad.cpu().flatten())
    assert ((images[0] - images[1]).abs().amax(1) < 1e-3).float().mean() > 0.97
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.98
