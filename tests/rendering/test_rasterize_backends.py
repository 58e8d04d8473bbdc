"""All backends give the result of the plain one; those for GPUs are also tested in tests/gpu."""

import sys
from types import ModuleType

import pytest
import torch

from readavatar.rendering import nvdiffrast_backend, pytorch3d_backend, torch_backend
from readavatar.rendering.cpu_barycentric import BarycentricsAndDepth, InterpolateAttributes
from readavatar.rendering.rasterize import interpolate, rasterize


def _random_triangles(seed):
    """Large, small, near, far, some behind the camera or across its plane."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(2, 90, generator=generator) * 1.4 - 0.3
    vertices = torch.randn(2, 90, 4, generator=generator)
    vertices[..., 2] = 1.02 * w - 0.1
    vertices[..., 3] = w
    return vertices, torch.randint(0, 90, (12, 3), generator=generator), (24, 33)


@pytest.mark.parametrize("seed", range(5))
def test_cpu_and_plain_backend_see_the_same_random_triangles(seed):
    vertices, faces, resolution = _random_triangles(seed)
    compiled, plain = (rasterize(vertices, faces, resolution, backend) for backend in ("cpu", "torch"))
    assert (compiled.face_index >= 0).any() and (compiled.face_index < 0).any()
    torch.testing.assert_close(compiled.face_index, plain.face_index)


def test_cpu_and_plain_backend_see_the_same_mesh(sphere_clip):
    compiled, plain = (rasterize(*sphere_clip, backend) for backend in ("cpu", "torch"))
    torch.testing.assert_close(compiled.face_index, plain.face_index)
    torch.testing.assert_close(compiled.barycentrics, plain.barycentrics, atol=1e-4, rtol=0)


@pytest.mark.parametrize("scene", ["mesh", "random"])
def test_compiled_and_plain_barycentrics_have_the_same_values_and_gradients(scene, sphere_clip):
    vertices, faces, resolution = sphere_clip if scene == "mesh" else _random_triangles(7)
    vertices = vertices.double()
    face_index = torch_backend.visible_faces(vertices, faces, resolution)
    results = []
    for function in (BarycentricsAndDepth.apply, torch_backend.barycentrics_and_depth):
        leaf = vertices.clone().requires_grad_()
        barycentrics, depth = function(leaf, faces, face_index)
        (barycentrics * torch.arange(3) + depth[..., None]).square().sum().backward()
        results.append((barycentrics, depth, leaf.grad))
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


@pytest.mark.parametrize("shared", [True, False])
def test_compiled_and_plain_interpolation_have_the_same_values_and_gradients(shared, sphere_clip):
    vertices, faces, resolution = sphere_clip
    fragments = rasterize(vertices, faces, resolution)
    attributes = torch.randn(1 if shared else 2, vertices.shape[1], 4, generator=torch.Generator().manual_seed(0))
    results = []
    for function in (InterpolateAttributes.apply, torch_backend.interpolate_attributes):
        leaf, weights = attributes.clone().requires_grad_(), fragments.barycentrics.clone().requires_grad_()
        image = function(leaf, faces, fragments.face_index, weights)
        (image * torch.linspace(-1, 1, resolution[1])).square().sum().backward()
        results.append((image, leaf.grad, weights.grad))
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain, atol=1e-4, rtol=1e-4)


def test_vertex_gradients_agree_with_finite_differences():
    vertices = torch.tensor(
        [[[-0.7, -0.8, 0.1, 1.1], [0.9, -0.6, 0.3, 0.8], [-0.1, 0.9, 0.4, 1.3]]], dtype=torch.float64
    ).requires_grad_()
    colours = torch.tensor([[[1.0, 0.2], [0.1, 0.7], [0.4, 0.5]]], dtype=torch.float64).requires_grad_()
    faces = torch.tensor([[0, 1, 2]])

    def render(vertices, colours):
        fragments = rasterize(vertices, faces, (6, 5))
        return interpolate(colours, faces, fragments), fragments.depth

    assert torch.autograd.gradcheck(render, (vertices, colours))


def _module(name, **members):
    module = ModuleType(name)
    vars(module).update(members)
    return module


def test_nvdiffrasts_conventions_are_turned_into_ours(monkeypatch, sphere_clip):
    vertices, faces, resolution = sphere_clip
    expected = torch_backend.visible_faces(vertices, faces, resolution)

    def fake_rasterize(context, positions, triangles, resolution, grad_db):
        """As documented: OpenGL's row order, (u, v, z/w, triangle_id) with ids from 1."""
        assert triangles.dtype == torch.int32 and positions.dtype == torch.float32 and positions.is_contiguous()
        upside_down = positions * torch.tensor([1.0, -1.0, 1.0, 1.0])
        ids = torch_backend.visible_faces(upside_down, triangles.long(), tuple(resolution)) + 1
        return torch.stack([torch.zeros_like(ids)] * 3 + [ids], -1).float(), None

    fake = _module("nvdiffrast.torch", rasterize=fake_rasterize, RasterizeCudaContext=lambda device: object())
    monkeypatch.setitem(sys.modules, "nvdiffrast", _module("nvdiffrast", torch=fake))
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", fake)
    nvdiffrast_backend._context.cache_clear()
    torch.testing.assert_close(nvdiffrast_backend.visible_faces(vertices, faces, resolution), expected)


@pytest.mark.parametrize("transposed", [False, True])
def test_pytorch3ds_conventions_are_turned_into_ours(monkeypatch, sphere_clip, transposed):
    vertices, faces, resolution = sphere_clip
    if transposed:
        vertices, resolution = vertices[..., [1, 0, 2, 3]], resolution[::-1]
    expected = torch_backend.visible_faces(vertices, faces, resolution)

    def fake_rasterize(meshes, image_size, z_clip_value, **options):
        """As documented: x to the left, y up, the shorter side in [−1, 1], z the depth, faces numbered on and on."""
        points, triangles = meshes
        height, width = image_size
        scale = min(height, width)
        assert z_clip_value == pytest.approx(0.05, rel=1e-3) and options["faces_per_pixel"] == 1
        x, y, z = points.unbind(-1)
        clip = torch.stack([-x * z * scale / width, y * z * scale / height, 1.01 * z - 0.1, z], -1)
        index = torch_backend.visible_faces(clip, triangles[0], tuple(image_size))
        first = torch.arange(len(points))[:, None, None] * triangles.shape[1]
        index = torch.where(index >= 0, index + first, -1)[..., None]
        return index, torch.where(index >= 0, 0.5, -1.0), None, None

    structures = _module("pytorch3d.structures", Meshes=lambda vertices, faces: (vertices, faces))
    meshes = _module("pytorch3d.renderer.mesh.rasterize_meshes", rasterize_meshes=fake_rasterize)
    for name in ("pytorch3d", "pytorch3d.renderer", "pytorch3d.renderer.mesh"):
        monkeypatch.setitem(sys.modules, name, _module(name))
    monkeypatch.setitem(sys.modules, structures.__name__, structures)
    monkeypatch.setitem(sys.modules, meshes.__name__, meshes)
    torch.testing.assert_close(pytorch3d_backend.visible_faces(vertices, faces, resolution), expected)
