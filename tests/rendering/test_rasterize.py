"""What a pixel sees, in the cases that go wrong."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from readavatar.errors import UserError
from readavatar.rendering.camera import world_to_clip
from readavatar.rendering.rasterize import interpolate, rasterize, silhouette
from readavatar.types import default_camera

TRIANGLE = torch.tensor([[[-0.8, -0.8, 0.0, 1.0], [0.8, -0.8, 0.0, 1.0], [-0.8, 0.8, 0.0, 1.0]]])
FACE = torch.tensor([[0, 1, 2]])
BOTH = pytest.mark.parametrize("backend", ["cpu", "torch"])


@BOTH
def test_row_zero_is_at_the_top_and_column_zero_at_the_left(backend):
    seen = rasterize(TRIANGLE, FACE, (20, 30), backend).face_index[0] == 0
    assert seen[-3, 4] and not seen[-3, -4] and not seen[3, -4] and seen[3, 3]


@BOTH
def test_a_pixel_is_covered_if_its_centre_is(backend):
    # x / w = 0 is the border of pixels 4 and 5 of ten; an edge 0.4 pixels to its left ends before centre 4.5's pixel.
    left_of_centre = torch.tensor([[[-9.0, -9.0, 0.0, 1.0], [-0.12, -9.0, 0.0, 1.0], [-0.12, 99.0, 0.0, 1.0]]])
    assert (rasterize(left_of_centre, FACE, (1, 10), backend).face_index[0, 0] == 0).sum() == 4
    beyond = left_of_centre + torch.tensor([0.04, 0, 0, 0])
    assert (rasterize(beyond, FACE, (1, 10), backend).face_index[0, 0] == 0).sum() == 5


@BOTH
@pytest.mark.parametrize("resolution", [(64, 64), (37, 51), (1, 7)])
def test_no_crack_opens_along_shared_edges(grid_clip, resolution, backend):
    assert (rasterize(*grid_clip, resolution, backend).face_index >= 0).all()


@BOTH
def test_centres_exactly_on_shared_edges_and_corners_are_covered(backend):
    # The quad's diagonal and its middle vertex lie exactly on pixel centres.
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [0.2, 0.2]])
    vertices = torch.cat([corners, torch.zeros(5, 1), torch.ones(5, 1)], 1)[None]
    faces = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    assert (rasterize(vertices, faces, (5, 5), backend).face_index >= 0).all()


@BOTH
def test_a_floor_that_runs_under_and_behind_the_camera_is_clipped_not_dropped(backend):
    camera = replace(default_camera(40, 40, focal=20.0), far=1000.0)
    floor = torch.tensor([[[-90.0, -1.0, 50.0], [90.0, -1.0, 50.0], [0.0, -1.0, -900.0]]])
    seen = rasterize(world_to_clip(floor, camera), FACE, (40, 40), backend).face_index[0] == 0
    assert seen[22:].all() and not seen[:20].any()


@BOTH
def test_nothing_nearer_than_the_near_plane_or_beyond_the_far_plane_is_seen(backend):
    camera = replace(default_camera(16, 16), near=0.2, far=2.0)
    for distance, visible in ((0.19, False), (0.21, True), (1.99, True), (2.01, False)):
        wall = torch.tensor([[[-9.0, -9.0, -distance], [9.0, -9.0, -distance], [0.0, 9.0, -distance]]])
        assert (rasterize(world_to_clip(wall, camera), FACE, (16, 16), backend).face_index == 0).all() == visible


@BOTH
def test_what_the_near_plane_cuts_away_does_not_hide_what_is_behind(backend):
    camera = replace(default_camera(16, 16), near=0.2, far=2.0)
    wall = torch.tensor([[-9.0, -9.0, 0.0], [9.0, -9.0, 0.0], [0.0, 9.0, 0.0]])
    walls = torch.cat([wall - torch.tensor([0.0, 0.0, distance]) for distance in (0.1, 0.5)])
    clip = world_to_clip(walls[None], camera)
    assert (rasterize(clip, torch.tensor([[0, 1, 2], [3, 4, 5]]), (16, 16), backend).face_index == 1).all()


@BOTH
def test_geometry_behind_the_camera_is_unseen(backend):
    wall = torch.tensor([[[-9.0, -9.0, 1.0], [9.0, -9.0, 1.0], [0.0, 9.0, 1.0]]])
    clip = world_to_clip(wall, default_camera(16, 16))
    assert (rasterize(clip, FACE, (16, 16), backend).face_index == -1).all()


@BOTH
def test_back_faces_are_seen(backend):
    fragments = rasterize(TRIANGLE, FACE.flip(1), (20, 20), backend)
    torch.testing.assert_close(fragments.face_index, rasterize(TRIANGLE, FACE, (20, 20), backend).face_index)
    assert (fragments.barycentrics >= 0).all()


@BOTH
def test_degenerate_triangles_draw_nothing_and_harm_no_gradient(backend):
    vertices = torch.cat([TRIANGLE, torch.tensor([[[0.0, 0.0, 0.0, 1.0], [torch.nan, 0.0, 0.0, 1.0]]])], 1)
    vertices[0, 3, :2] = (vertices[0, 1, :2] + vertices[0, 2, :2]) / 2
    vertices.requires_grad_()
    faces = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 3, 2], [4, 0, 1], [0, 4, 2], [0, 1, 2]])
    fragments = rasterize(vertices, faces, (20, 20), backend)
    assert set(fragments.face_index.unique().tolist()) == {-1, 5}
    (fragments.barycentrics[..., 0].sum() + fragments.depth.sum()).backward()
    assert torch.isfinite(vertices.grad).all()


@BOTH
def test_equally_near_triangles_give_the_first(backend):
    faces = torch.tensor([[1, 2, 0], [0, 1, 2], [2, 0, 1]])
    assert set(rasterize(TRIANGLE, faces, (20, 20), backend).face_index.unique().tolist()) == {-1, 0}


@BOTH
def test_the_nearest_wins_in_any_order(sphere_clip, backend):
    vertices, faces, resolution = sphere_clip
    order = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))
    seen = rasterize(vertices, faces, resolution, backend).face_index
    shuffled = rasterize(vertices, faces[order], resolution, backend).face_index
    torch.testing.assert_close(torch.where(shuffled >= 0, order[shuffled.clamp(min=0)], -1), seen)


@BOTH
def test_nothing_to_draw_gives_background(backend):
    no_faces = torch.zeros(0, 3, dtype=torch.long)
    for vertices, faces in ((TRIANGLE, no_faces), (TRIANGLE[:, :0], no_faces), (TRIANGLE[:0], FACE)):
        fragments = rasterize(vertices, faces, (6, 8), backend)
        assert fragments.face_index.shape == (len(vertices), 6, 8) and (fragments.face_index == -1).all()
        assert not fragments.barycentrics.any() and (fragments.depth == 1).all() and not silhouette(fragments).any()
    assert rasterize(TRIANGLE, FACE, (0, 8), backend).depth.shape == (1, 0, 8)


def test_perspective_correct_barycentrics_give_the_point_at_the_pixels_centre(sphere_clip):
    vertices, faces, resolution = sphere_clip
    fragments = rasterize(vertices, faces, resolution)
    clip = interpolate(vertices, faces, fragments)
    batch, row, column = torch.nonzero(fragments.face_index >= 0, as_tuple=True)
    x, y, z, w = clip[batch, :, row, column].unbind(-1)
    torch.testing.assert_close((x / w + 1) / 2 * resolution[1], column + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close((1 - y / w) / 2 * resolution[0], row + 0.5, atol=1e-3, rtol=0)
    torch.testing.assert_close(fragments.depth[batch, row, column], z / w, atol=1e-5, rtol=1e-5)


def test_interpolation_keeps_a_constant_and_is_zero_on_the_background(sphere_clip):
    vertices, faces, resolution = sphere_clip
    fragments = rasterize(vertices, faces, resolution)
    image = interpolate(torch.full((1, vertices.shape[1], 2), 3.0), faces, fragments)
    torch.testing.assert_close(image, 3.0 * silhouette(fragments).expand(-1, 2, -1, -1))


def test_uvs_have_faces_of_their_own():
    uvs = torch.tensor([[[0.9, 0.9], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    fragments = rasterize(TRIANGLE, FACE, (10, 10))
    image = interpolate(uvs, torch.tensor([[1, 2, 3]]), fragments)
    torch.testing.assert_close(image.permute(0, 2, 3, 1), fragments.barycentrics[..., 1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_of_the_vertices_precision(dtype):
    fragments = rasterize(TRIANGLE.to(dtype), FACE, (8, 8))
    assert fragments.barycentrics.dtype == fragments.depth.dtype == dtype


def test_the_number_of_threads_changes_no_value(sphere_clip):
    vertices, faces, resolution = sphere_clip
    results, before = [], torch.get_num_threads()
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            leaf = vertices.clone().requires_grad_()
            fragments = rasterize(leaf, faces, resolution)
            image = interpolate(leaf, faces, fragments)
            (image.square().sum() + fragments.depth.square().sum()).backward()
            results.append((fragments.face_index, image, leaf.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0]) and torch.equal(results[0][1], results[1][1])
    torch.testing.assert_close(results[0][2], results[1][2], atol=1e-4, rtol=1e-4)  # sums in another order


class _Renders(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        torch.set_num_threads(2)
        return rasterize(TRIANGLE, FACE, (32, 32)).face_index[0]


def test_a_forked_data_loader_worker_can_rasterise():
    before = torch.get_num_threads()
    try:
        expected = _Renders()[0]  # starts this process's own threads
        images = list(DataLoader(_Renders(), num_workers=1, batch_size=1, multiprocessing_context="fork", timeout=60))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(image[0], expected) for image in images)


def test_faces_beyond_the_vertices_are_refused():
    with pytest.raises(ValueError, match="indices from 0 and below 3 vertices, but got 0 to 3"):
        rasterize(TRIANGLE, torch.tensor([[0, 1, 3]]), (4, 4))
    with pytest.raises(ValueError, match="got -1 to 1"):
        rasterize(TRIANGLE, torch.tensor([[0, 1, -1]]), (4, 4))
    fragments = rasterize(TRIANGLE, torch.tensor([[0, 0, 0], [0, 1, 2]]), (4, 4))
    with pytest.raises(ValueError, match="below 2 attributes"):
        interpolate(torch.zeros(1, 2, 1), FACE, fragments)
    with pytest.raises(ValueError, match="2 or more, but got 1"):
        interpolate(torch.zeros(1, 3, 1), FACE, fragments)


def test_faces_that_were_changed_in_place_are_looked_at_again():
    faces = FACE.clone()
    rasterize(TRIANGLE, faces, (4, 4))
    faces[0, 2] = 3
    with pytest.raises(ValueError, match="got 0 to 3"):
        rasterize(TRIANGLE, faces, (4, 4))


def test_vertices_of_half_precision_are_refused():
    with pytest.raises(ValueError, match=r"float32 or float64, but got torch.bfloat16"):
        rasterize(TRIANGLE.bfloat16(), FACE, (4, 4))


def test_a_backend_that_is_unknown_or_of_another_device_is_one_line():
    with pytest.raises(UserError, match=r"auto, cpu, nvdiffrast, pytorch3d, torch, but got 'opengl'"):
        rasterize(TRIANGLE, FACE, (4, 4), backend="opengl")
    with pytest.raises(UserError, match="Expected tensors on cuda"):
        rasterize(TRIANGLE, FACE, (4, 4), backend="nvdiffrast")
