"""Where a GPU's tensors are rasterised, whatever is installed, on a machine that need not have one."""

import logging
import sys

import pytest
import torch
from other_device import other_device

from readavatar.errors import UserError
from readavatar.rendering import nvdiffrast_backend, pytorch3d_backend
from readavatar.rendering import rasterize as rasterize_module
from readavatar.rendering.rasterize import has_gpu_rasterizer, interpolate, rasterize
from readavatar.rendering.shading import mean_texture, sample_texture, vertex_normals

KINDS = pytest.mark.parametrize("kind", ["cuda", "mps"])
GPU_BACKENDS = {"nvdiffrast": nvdiffrast_backend, "pytorch3d": pytorch3d_backend}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Say what is installed: by backend, its ``visible_faces``."""

    def install(**backends) -> None:
        rasterize_module._working_gpu_backend.cache_clear()
        for name, module in GPU_BACKENDS.items():
            monkeypatch.setattr(module, "is_installed", lambda name=name: name in backends)
            if name in backends:
                monkeypatch.setattr(module, "visible_faces", backends[name])

    install()
    yield install
    rasterize_module._working_gpu_backend.cache_clear()
    rasterize_module._compiles.cache_clear()


def _sees_the_first_everywhere(vertices_clip, faces, resolution):
    return torch.zeros(len(vertices_clip), *resolution, dtype=torch.long, device=vertices_clip.device)


def _sees_nothing(vertices_clip, faces, resolution):
    return _sees_the_first_everywhere(vertices_clip, faces, resolution) - 1


def _fails(vertices_clip, faces, resolution):
    raise RuntimeError("no kernel image is available\nfor this GPU")


@KINDS
def test_a_gpu_without_a_rasteriser_of_its_own_gets_what_the_cpu_sees(kind, sphere_clip):
    vertices, faces, resolution = sphere_clip
    expected = rasterize(vertices, faces, resolution)
    image = interpolate(vertices, faces, expected)
    with other_device(kind) as (device, _):
        assert not has_gpu_rasterizer(device)
        moved = vertices.to(device), faces.to(device)
        fragments = rasterize(*moved, resolution)
        moved_image = interpolate(*moved, fragments)
        results = (fragments.face_index, fragments.barycentrics, fragments.depth, moved_image)
        assert all(each.device == device for each in results)
        index, barycentrics, depth, moved_image = (each.cpu() for each in results)
    assert torch.equal(index, expected.face_index) and (index >= 0).any()
    torch.testing.assert_close(barycentrics, expected.barycentrics, atol=1e-4, rtol=0)
    torch.testing.assert_close(depth, expected.depth, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved_image, image, atol=1e-4, rtol=0)


@KINDS
def test_shading_on_a_gpu_is_that_on_the_cpu(kind, make_sphere):
    generator = torch.Generator().manual_seed(0)
    vertices, faces = make_sphere(9, 14)
    texture, uvs = torch.rand(1, 4, 9, 7, generator=generator), torch.rand(2, 2, 12, 10, generator=generator)
    regions = torch.randint(0, 3, (2, 12, 10), generator=generator).to(torch.uint8)
    offsets = torch.rand(3, 4, generator=generator)

    def shaded(vertices, faces, texture, uvs, offsets, regions):
        looked_up = sample_texture(texture, uvs), mean_texture(texture, offsets, uvs, regions, 2)
        return vertex_normals(vertices, faces), *looked_up

    expected = shaded(vertices[None], faces, texture, uvs, offsets, regions)
    with other_device(kind) as (device, _):
        moved = shaded(*(each.to(device) for each in (vertices[None], faces, texture, uvs, offsets, regions)))
        assert all(each.device == device for each in moved)
        moved = [each.cpu() for each in moved]
    torch.testing.assert_close(moved, list(expected))


@pytest.mark.parametrize("backends", [("nvdiffrast", "pytorch3d"), ("pytorch3d",)])
def test_the_first_gpu_backend_that_is_installed_is_taken(installed, sphere_clip, backends):
    vertices, faces, resolution = sphere_clip
    others = dict.fromkeys(backends[1:], _fails)
    installed(**{backends[0]: _sees_the_first_everywhere}, **others)
    with other_device("cuda") as (device, _):
        assert has_gpu_rasterizer(device)
        assert (rasterize(vertices.to(device), faces.to(device), resolution).face_index.cpu() == 0).all()
        assert not has_gpu_rasterizer(torch.device("cpu")), "what works on a GPU is nothing to the CPU"
    assert (rasterize(vertices, faces, resolution).face_index < 0).any()


def test_cuda_libraries_are_not_asked_on_apples_gpu(installed, sphere_clip):
    vertices, faces, resolution = sphere_clip
    installed(nvdiffrast=_sees_the_first_everywhere, pytorch3d=_sees_the_first_everywhere)
    with other_device("mps") as (device, _):
        assert not has_gpu_rasterizer(device)
        assert (rasterize(vertices.to(device), faces.to(device), resolution).face_index.cpu() < 0).any()


@pytest.mark.parametrize(("broken", "reason"), [(_fails, "no kernel image"), (_sees_nothing, "not drawn")])
def test_a_backend_that_does_not_work_is_told_of_once_and_left_out(installed, sphere_clip, caplog, broken, reason):
    vertices, faces, resolution = sphere_clip
    expected = rasterize(vertices, faces, resolution).face_index
    installed(nvdiffrast=broken)
    with other_device("cuda") as (device, _), caplog.at_level(logging.WARNING):
        for _ in range(2):
            index = rasterize(vertices.to(device), faces.to(device), resolution).face_index.cpu()
            assert torch.equal(index, expected) and not has_gpu_rasterizer(device)
    (record,) = caplog.records
    message = record.getMessage()
    assert message.startswith("nvdiffrast") and reason in message and "\n" not in message
    installed(nvdiffrast=broken, pytorch3d=_sees_the_first_everywhere)
    with other_device("cuda") as (device, _):
        assert (rasterize(vertices.to(device), faces.to(device), resolution).face_index.cpu() == 0).all()


def test_a_gpus_tensors_are_rasterised_by_pytorch_where_numba_is_missing(monkeypatch, sphere_clip, caplog):
    vertices, faces, resolution = sphere_clip
    expected = rasterize(vertices, faces, resolution).face_index
    rasterize_module._compiles.cache_clear()
    monkeypatch.setitem(sys.modules, "readavatar.rendering.cpu", None)
    with other_device("cuda") as (device, _), caplog.at_level(logging.WARNING):
        index = rasterize(vertices.to(device), faces.to(device), resolution).face_index
        assert index.device == device and torch.equal(index.cpu(), expected)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["numba"]


@pytest.mark.parametrize("backend", list(GPU_BACKENDS))
def test_a_backend_that_is_not_installed_names_its_installation_page(monkeypatch, sphere_clip, backend):
    vertices, faces, resolution = sphere_clip
    for name in ("nvdiffrast", "nvdiffrast.torch", "pytorch3d", "pytorch3d.renderer.mesh.rasterize_meshes"):
        monkeypatch.setitem(sys.modules, name, None)
    with (
        other_device("cuda") as (device, _),
        pytest.raises(UserError, match=GPU_BACKENDS[backend].INSTALLATION.split("#")[0]) as error,
    ):
        rasterize(vertices.to(device), faces.to(device), resolution, backend)
    assert "\n" not in str(error.value)
