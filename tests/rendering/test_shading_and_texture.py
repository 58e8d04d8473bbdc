"""Light, colour curves and texture look-up."""

import pytest
import torch

from readavatar.rendering.shading import (
    linear_to_srgb,
    mean_texture,
    mean_texture_plainly,
    sample_texture,
    sample_texture_plainly,
    shade,
    spherical_harmonics,
    srgb_to_linear,
    unit_length,
    vertex_normals,
    vertex_normals_plainly,
)


def test_vertex_normals_of_counter_clockwise_faces_point_outwards(make_sphere):
    vertices, faces = make_sphere(20, 30)
    normals = vertex_normals(vertices[None] * 0.1, faces)
    assert (normals[0] * vertices).sum(-1).min() > 0.99


def test_a_vertex_without_faces_has_a_zero_normal_and_finite_gradients():
    vertices = torch.rand(1, 4, 3, requires_grad=True)
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    normals.square().sum().backward()
    assert not normals[0, 3].any() and torch.isfinite(vertices.grad).all()


def test_vertex_normal_gradients_agree_with_finite_differences():
    vertices = torch.rand(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1]])
    assert torch.autograd.gradcheck(lambda vertices: vertex_normals(vertices, faces), vertices)


def test_compiled_and_plain_vertex_normals_have_the_same_values_and_gradients(make_sphere):
    vertices, faces = make_sphere(9, 14)
    vertices = torch.stack([vertices * 0.1, vertices.sin().roll(1, 1)]).double()
    weights = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    results = []
    for function in (vertex_normals, vertex_normals_plainly):
        leaf = vertices.clone().requires_grad_()
        normals = function(leaf, faces)
        (normals * weights).sum().backward()
        results.append((normals, leaf.grad))
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_unit_length_is_one_and_a_zero_vector_stays_zero_with_a_finite_gradient():
    vectors = torch.tensor([[3.0, 4.0, 0.0], [1e-5, 0.0, 0.0], [0.0, 0.0, 0.0]]).T[None].requires_grad_()
    unit = unit_length(vectors, dim=1)
    torch.testing.assert_close(unit[0, :, 0], torch.tensor([0.6, 0.8, 0.0]))
    torch.testing.assert_close(unit.norm(dim=1), torch.tensor([[1.0, 1.0, 0.0]]))
    unit.sum().backward()
    assert torch.isfinite(vectors.grad).all()


def test_spherical_harmonics_are_orthogonal_over_the_sphere():
    directions = torch.randn(1, 3, 400, 500, generator=torch.Generator().manual_seed(0))
    basis = spherical_harmonics(directions / directions.norm(dim=1, keepdim=True)).flatten(2)[0]
    products = basis @ basis.T / basis.shape[1]
    scale = products.diagonal().rsqrt()
    torch.testing.assert_close(products * scale[:, None] * scale, torch.eye(9), atol=0.02, rtol=0)


def test_ambient_light_of_one_shows_the_albedo():
    albedo, normals, lighting = torch.rand(2, 3, 4, 5), torch.randn(2, 3, 4, 5), torch.zeros(2, 9, 3)
    lighting[:, 0] = 1
    torch.testing.assert_close(shade(albedo, normals, lighting), albedo)


def test_light_from_above_and_from_the_right_is_brighter_there():
    normals = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).T.reshape(1, 3, 1, 3)
    for coefficient, brightest in ((1, 0), (3, 1), (2, 2)):
        lighting = torch.zeros(1, 9, 3)
        lighting[:, coefficient] = 0.5
        assert shade(torch.ones(1, 3, 1, 3), normals, lighting)[0, 0, 0].tolist() == [
            0.5 * (index == brightest) for index in range(3)
        ]


def test_srgb_curves_invert_each_other_and_hold_known_values():
    values = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-7, rtol=0)
    assert linear_to_srgb(torch.tensor(0.2140411)).item() == pytest.approx(0.5, abs=1e-5)
    assert srgb_to_linear(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.0, 1.0])


@pytest.mark.parametrize("curve", [linear_to_srgb, srgb_to_linear])
def test_srgb_gradients_are_finite_also_below_zero(curve):
    values = torch.tensor([-0.1, 0.0, 1e-9, 0.0031308, 0.04045, 0.5, 1.2], requires_grad=True)
    curve(values).sum().backward()
    assert torch.isfinite(values.grad).all() and (values.grad > 0).all()


def test_texel_centres_give_their_texels_with_row_zero_at_the_top():
    texture = torch.arange(12.0).reshape(1, 1, 3, 4)
    row, column = torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")
    uvs = torch.stack([(column + 0.5) / 4, (row + 0.5) / 3])[None]
    torch.testing.assert_close(sample_texture(texture, uvs), texture)


def test_halfway_between_texels_is_their_mean_and_the_border_is_repeated():
    texture = torch.tensor([[[[1.0, 3.0]]]])
    uvs = torch.tensor([[0.5, 0.0, 1.0], [0.5, 0.5, 0.5]]).reshape(1, 2, 1, 3)
    assert sample_texture(texture, uvs)[0, 0, 0].tolist() == pytest.approx([2.0, 1.0, 3.0])


def test_one_texture_serves_a_batch_and_gathers_its_gradients():
    texture = torch.rand(1, 2, 4, 4, requires_grad=True)
    uvs = torch.full((3, 2, 1, 1), 0.375)
    sample_texture(texture, uvs).sum().backward()
    assert texture.grad[0, :, 1, 1].tolist() == pytest.approx([3.0, 3.0])


def test_uv_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(1, 2, 5, 5, dtype=torch.float64, generator=generator).requires_grad_()
    uvs = (torch.rand(1, 2, 2, 3, dtype=torch.float64, generator=generator) * 0.6 + 0.23).requires_grad_()
    assert torch.autograd.gradcheck(sample_texture, (texture, uvs))


@pytest.mark.parametrize("size", [(7, 5), (1, 6), (4, 1)])
@pytest.mark.parametrize("num_textures", [1, 2])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_compiled_and_plain_look_up_have_the_same_gradients(size, num_textures, num_threads):
    generator = torch.Generator().manual_seed(0)
    texture = torch.rand(num_textures, 4, *size, dtype=torch.float64, generator=generator)
    # Also far outside; more pixels than texels and fewer, so that both ways of sharing out the work are taken.
    for height in (1, 9):
        uvs = torch.rand(2, 2, height, 5, dtype=torch.float64, generator=generator) * 1.6 - 0.3
        weights = torch.randn(2, 4, height, 5, dtype=torch.float64, generator=generator)
        weights[:, :, :, ::2] = 0
        before, results = torch.get_num_threads(), []
        try:
            torch.set_num_threads(num_threads)
            for function in (sample_texture, sample_texture_plainly):
                leaves = texture.clone().requires_grad_(), uvs.clone().requires_grad_()
                (function(*leaves) * weights).sum().backward()
                results.append([leaf.grad for leaf in leaves])
        finally:
            torch.set_num_threads(before)
        for compiled, plain in zip(*results, strict=True):
            torch.testing.assert_close(compiled, plain)


def test_look_up_wants_no_gradient_for_what_is_held_still():
    texture, uvs = torch.rand(1, 3, 4, 4), torch.rand(1, 2, 5, 5)
    for wanted in (texture, uvs):
        wanted.requires_grad_()
        sample_texture(texture, uvs).sum().backward()
        assert wanted.grad is not None
        wanted.requires_grad_(False)
    assert not sample_texture(texture, uvs).requires_grad


def test_places_that_are_no_numbers_touch_no_memory_outside_the_texture():
    texture = torch.rand(1, 1, 3, 3, requires_grad=True)
    uvs = torch.full((1, 2, 1, 2), torch.nan).requires_grad_()
    sample_texture(texture, uvs).backward(torch.ones(1, 1, 1, 2))
    assert not uvs.grad.any() and texture.grad.sum() == 2


@pytest.mark.parametrize("supersampling", [1, 2, 3])
@pytest.mark.parametrize("size", [(7, 5), (1, 6), (4, 1), (1, 1)])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_texture_seen_at_several_points_a_pixel_is_the_mean_of_its_look_ups(supersampling, size, num_threads):
    generator = torch.Generator().manual_seed(0)
    texture, offsets = torch.rand(1, 3, *size, generator=generator), torch.rand(5, 3, generator=generator)
    points = (2, 4 * supersampling, 5 * supersampling)
    uvs = torch.rand(2, 2, *points[1:], generator=generator) * 1.6 - 0.3
    regions = torch.randint(0, 5, points, generator=generator, dtype=torch.uint8)
    weights = torch.randn(2, 3, 4, 5, generator=generator)
    before, results = torch.get_num_threads(), []
    try:
        torch.set_num_threads(num_threads)
        for function in (mean_texture, mean_texture_plainly):
            leaves = texture.clone().requires_grad_(), offsets.clone().requires_grad_()
            mean = function(*leaves, uvs, regions, supersampling)
            (mean * weights).sum().backward()
            results.append([mean, *(leaf.grad for leaf in leaves)])
    finally:
        torch.set_num_threads(before)
    for compiled, plain in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_a_region_without_an_offset_is_refused():
    regions = torch.full((1, 2, 2), 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="4 regions, but got 3"):
        mean_texture(torch.rand(1, 2, 4, 4), torch.rand(3, 2), torch.rand(1, 2, 2, 2), regions, 1)
