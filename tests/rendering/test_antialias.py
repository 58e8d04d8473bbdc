"""Outlines: where they are blended, by how much, and that vertices feel it."""

import math

import pytest
import torch

from readavatar.rendering import cpu_outlines, outlines
from readavatar.rendering.camera import world_to_clip
from readavatar.rendering.rasterize import antialias, interpolate, rasterize, silhouette
from readavatar.rendering.topology import find_neighbours
from readavatar.types import default_camera

QUAD = torch.tensor([[0, 1, 2], [2, 3, 0]])


def _bar(left, right, width):
    """A vertical bar between two positions in pixels, higher than the image: clip vertices."""
    x = torch.stack([left, right, right, left]) * 2 / width - 1
    y = torch.tensor([-3.0, -3.0, 3.0, 3.0], dtype=x.dtype)
    return torch.stack([x, y, torch.zeros_like(x), torch.ones_like(x)], -1)[None]


def _coverage(vertices, faces, resolution):
    fragments = rasterize(vertices, faces, resolution)
    return antialias(silhouette(fragments), fragments, vertices, faces)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 0.49, 0.51, 0.7, 0.9])
def test_antialiased_coverage_is_the_true_area(shift):
    left, right = torch.tensor(3.3 + shift), torch.tensor(7.9 + shift)
    row = _coverage(_bar(left, right, 12), QUAD, (4, 12))[0, 0]
    torch.testing.assert_close(row.sum(1), torch.full((4,), 4.6))


def test_moving_an_edge_changes_the_pixels_beside_it_alone():
    before = _coverage(_bar(torch.tensor(3.2), torch.tensor(8.1), 12), QUAD, (2, 12))
    after = _coverage(_bar(torch.tensor(3.2), torch.tensor(8.3), 12), QUAD, (2, 12))
    change = (after - before)[0, 0, 0]
    assert change[8] == pytest.approx(0.0, abs=1e-6) or change[7] == pytest.approx(0.0, abs=1e-6)
    assert change.sum() == pytest.approx(0.2, abs=1e-5) and set(change.abs().gt(1e-6).nonzero()[:, 0].tolist()) <= {
        7,
        8,
    }


def test_edge_gradients_are_one_pixel_of_coverage_a_pixel():
    left, right = torch.tensor(3.3, requires_grad=True), torch.tensor(7.9, requires_grad=True)
    _coverage(_bar(left, right, 12), QUAD, (5, 12)).sum().backward()
    torch.testing.assert_close(left.grad, torch.tensor(-5.0))
    torch.testing.assert_close(right.grad, torch.tensor(5.0))


def test_vertex_gradients_agree_with_finite_differences():
    vertices = torch.tensor(
        [[[-0.7, -0.8, 0.1, 1.1], [0.87, -0.63, 0.3, 0.8], [-0.1, 0.9, 0.4, 1.3], [-0.6, 0.5, -0.2, 1.0]]],
        dtype=torch.float64,
    ).requires_grad_()
    colours = torch.tensor([[[1.0, 0.2], [0.1, 0.7], [0.4, 0.5], [0.9, 0.3]]], dtype=torch.float64).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [3, 1, 0]])

    def render(vertices, colours):
        fragments = rasterize(vertices, faces, (9, 8))
        image = antialias(interpolate(colours, faces, fragments), fragments, vertices, faces)
        assert (image != interpolate(colours, faces, fragments)).any()
        return image

    assert torch.autograd.gradcheck(render, (vertices, colours))


def test_inner_edges_of_a_surface_are_left_alone():
    vertices = torch.tensor([[[-9.0, -9.0, 0, 1], [9.0, -9.0, 0, 1], [9.0, 8.0, 0, 1], [-9.0, 9.0, 0, 1]]])
    fragments = rasterize(vertices, QUAD, (16, 16))
    assert fragments.face_index.unique().tolist() == [0, 1]
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(antialias(image, fragments, vertices, QUAD), image)


def test_a_surface_in_front_is_blended_with_the_one_behind():
    front, back = _bar(torch.tensor(3.3), torch.tensor(7.9), 12), _bar(torch.tensor(-9.0), torch.tensor(99.0), 12)
    back[..., 2] = 0.5
    faces = torch.cat([QUAD, QUAD + 4])
    vertices = torch.cat([front, back], 1)
    fragments = rasterize(vertices, faces, (3, 12))
    image = (fragments.face_index < 2)[:, None].float()
    expected = _coverage(front, QUAD, (3, 12))
    torch.testing.assert_close(antialias(image, fragments, vertices, faces), expected)


def test_outlines_of_a_mesh_finer_than_the_pixels_are_found(make_sphere):
    vertices, faces = make_sphere(60, 90)
    camera = default_camera(48, 48)
    radius, distance = 0.08, 0.6
    clip = world_to_clip((vertices * radius - torch.tensor([0.0, 0.0, distance]))[None], camera)
    coverage = _coverage(clip, faces, (48, 48))
    on_screen = 2.2 * 48 * radius / math.sqrt(distance**2 - radius**2)  # a sphere's outline, Euclid
    assert coverage.sum().item() == pytest.approx(math.pi * on_screen**2, rel=8e-3)  # it is inscribed
    row, column = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    inside = on_screen - (row - 24).hypot(column - 24)  # pixels from the outline
    across_outline = inside.abs() < 0.25
    partly = (coverage[0, 0] > 0) & (coverage[0, 0] < 1)
    assert partly[across_outline].float().mean() > 0.75  # zigzags cross some pairs the wrong way, others twice
    assert not partly[inside.abs() > 1.0].any()


def test_a_growing_sphere_gains_area_by_its_gradient(make_sphere):
    vertices, faces = make_sphere(30, 40)
    camera = default_camera(32, 32)

    def area(radius):
        clip = world_to_clip((vertices * radius - torch.tensor([0.0, 0.0, 0.6]))[None], camera)
        return _coverage(clip, faces, (32, 32)).sum()

    radius = torch.tensor(0.08, requires_grad=True)
    area(radius).backward()
    with torch.no_grad():
        slope = (area(radius + 0.004) - area(radius - 0.004)) / 0.008
    assert radius.grad.item() == pytest.approx(slope.item(), rel=0.05)


def test_every_image_of_a_batch_is_blended_on_its_own(sphere_clip):
    vertices, faces, resolution = sphere_clip
    both = _coverage(vertices, faces, resolution)
    for index in range(2):
        torch.testing.assert_close(_coverage(vertices[index : index + 1], faces, resolution)[0], both[index])


def test_an_empty_image_stays_as_it_is():
    vertices, none = torch.zeros(1, 3, 4), torch.zeros(0, 3, dtype=torch.long)
    fragments = rasterize(vertices, none, (4, 4))
    torch.testing.assert_close(antialias(torch.ones(1, 2, 4, 4), fragments, vertices, none), torch.ones(1, 2, 4, 4))


def test_neighbours_across_each_edge_are_found():
    faces = torch.tensor([[0, 1, 2], [2, 1, 3], [1, 0, 4]])
    assert find_neighbours(faces).face.tolist() == [[1, -1, 2], [-1, -1, 0], [-1, -1, 0]]
    assert (find_neighbours(faces).winding == 1).all()
    flipped = torch.tensor([[0, 1, 2], [1, 2, 3]])
    assert find_neighbours(flipped).winding.tolist() == [[-1, 1, 1], [1, 1, -1]]


def test_an_edge_of_three_triangles_pairs_two_and_leaves_one():
    neighbours = find_neighbours(torch.tensor([[0, 1, 2], [1, 0, 3], [0, 1, 4]])).face[:, 2]
    assert neighbours.tolist() == [1, 0, -1]


def test_neighbours_are_found_anew_when_faces_change_in_place():
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    assert find_neighbours(faces) is find_neighbours(faces)
    faces[1] = torch.tensor([4, 5, 6])
    assert (find_neighbours(faces).face == -1).all()


def test_a_fold_is_a_silhouette_and_a_flat_edge_is_not_whatever_the_winding():
    flat = torch.tensor([[[0.0, -1, 0, 1], [0.0, 1, 0, 1], [-1.0, 0, 0, 1], [1.0, 0, 0.5, 1]]])
    folded = flat.clone()
    folded[0, 3, 0] = -0.5
    for faces in (torch.tensor([[0, 1, 2], [1, 0, 3]]), torch.tensor([[0, 1, 2], [0, 1, 3]])):
        neighbours = find_neighbours(faces)
        assert outlines.silhouette_edges(flat, faces, neighbours)[0].tolist() == [[True, True, False]] * 2
        assert outlines.silhouette_edges(folded, faces, neighbours)[0].all()


@pytest.mark.parametrize("mesh", ["coarse", "fine"])
def test_compiled_and_plain_search_find_the_same_crossings(mesh, sphere_clip, make_sphere):
    vertices, faces, resolution = sphere_clip
    if mesh == "fine":
        points, faces = make_sphere(40, 50)
        bumps = 0.07 * (1 + 0.2 * (points * 9).sin().prod(-1, keepdim=True))
        vertices = world_to_clip((points * bumps - torch.tensor([0.0, 0.0, 0.5]))[None], default_camera(*resolution))
    fragments = rasterize(vertices, faces, resolution)
    rows = [
        torch.cat([near, far, face[:, None], edge[:, None]], 1).unique(dim=0)
        for near, far, face, edge in (
            search(fragments.face_index, fragments.depth, vertices, faces, find_neighbours(faces))
            for search in (outlines.find_crossings, cpu_outlines.find_crossings)
        )
    ]
    assert len(rows[0]) > 50
    torch.testing.assert_close(*rows)
