"""Light and albedo, each from a known other."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from readavatar.morphable import MorphableModel, load_morphable_model
from readavatar.rendering.shading import linear_to_srgb, sample_texture, shade
from readavatar.tracking.albedo import ALBEDO_RANGE, AlbedoPrior, push_pull
from readavatar.tracking.alignment import solve_lighting, trusted

TEXELS = 32


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return load_morphable_model("builtin")


@pytest.fixture(scope="module")
def prior(model) -> AlbedoPrior:
    return AlbedoPrior(model, TEXELS)


def test_light_is_found_again_and_stays_where_nothing_is_seen():
    generator = torch.Generator().manual_seed(0)
    normals = torch.randn(2, 3, 24, 24, generator=generator)
    normals[:, 2].abs_()
    normals = F.normalize(normals, dim=1)
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


def test_a_pixel_of_another_colour_is_trusted_less_but_never_below_the_least():
    frames = torch.full((1, 3, 1, 3), 0.5)
    rendered = torch.tensor([0.214, 0.3, 1.0]).expand(1, 3, 1, 3)  # linear; 0.214 is encoded as 0.5
    trust = trusted(rendered, frames, least=0.2)[0, 0, 0]
    assert trust[0] == pytest.approx(1, abs=1e-3) and trust[0] > trust[1] > trust[2] > 0.2


def every_texel() -> torch.Tensor:
    """Maps whose pixels look up each texel's middle."""
    centres = (torch.arange(TEXELS) + 0.5) / TEXELS
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([u, v])[None]


def test_a_known_albedo_is_found_again_from_given_maps(prior):
    generator = torch.Generator().manual_seed(1)
    truth = 0.2 + 0.5 * F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), (TEXELS, TEXELS), mode="area")[0]
    uvs = F.interpolate(every_texel(), (2 * TEXELS, 2 * TEXELS), mode="bilinear")  # pixels see several texels each
    shading = 0.5 + 0.5 * torch.rand(1, 3, 2 * TEXELS, 2 * TEXELS, generator=generator)
    radiance = shading * sample_texture(truth[None], uvs)
    albedo, weight = prior.mean.clone(), torch.ones(1, 1, 2 * TEXELS, 2 * TEXELS)
    outside = torch.ones(TEXELS * TEXELS, dtype=torch.bool)
    outside[prior.eye_texels] = False
    errors = []
    for _ in range(12):
        albedo = prior.improve(albedo, uvs, radiance, shading, weight, 1e-3, 0.0)
        errors.append((albedo - truth).flatten(1)[:, outside].abs().mean())
    assert errors[-1] < 0.006 and errors[-1] < 0.2 * errors[0], "all but what borders on the eyes, which are round"


def test_what_no_pixel_shows_takes_the_other_sides_colour_or_the_typical_one(prior):
    uvs, ones = every_texel(), torch.ones(1, 3, TEXELS, TEXELS)
    radiance = torch.full_like(ones, 0.6)
    weight = torch.ones(1, 1, TEXELS, TEXELS)
    hidden = prior.symmetric[prior.symmetric != prior.mirrored]
    hidden = hidden[prior.is_skin.flatten()[hidden]][:1]
    other = prior.mirrored[prior.symmetric == hidden]
    weight.flatten()[hidden] = 0
    albedo = prior.mean.clone()
    for _ in range(400):
        albedo = prior.improve(albedo, uvs, radiance, ones, weight, 1e-4, 0.05)
    torch.testing.assert_close(albedo.flatten(1)[:, hidden], albedo.flatten(1)[:, other], atol=0.02, rtol=0)
    untouched = prior.improve(prior.mean, uvs, radiance, ones, 0 * weight, 1e-3, 0.0)
    outside = torch.ones(TEXELS * TEXELS, dtype=torch.bool)
    outside[prior.eye_texels] = False
    torch.testing.assert_close(untouched.flatten(1)[:, outside], prior.mean.flatten(1)[:, outside])


def test_eyes_become_round_and_alike_and_albedos_stay_in_range(model):
    prior = AlbedoPrior(model, 128)
    size = prior.region.shape[0]
    albedo = torch.rand(3, size, size, generator=torch.Generator().manual_seed(3)) * 3 - 1
    uvs = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(4))
    light = torch.ones(1, 3, 8, 8)
    improved = prior.improve(albedo, uvs, light, light, light[:, :1], 1e-3, 0.02)
    assert improved.min() >= ALBEDO_RANGE[0] - 1e-6 and improved.max() <= ALBEDO_RANGE[1] + 1e-6
    eyes = improved.flatten(1)[:, prior.eye_texels]
    assert len(prior.eye_texels) > 50
    for ring in prior.eye_rings.unique():
        same = eyes[:, prior.eye_rings == ring]
        assert (same - same[:, :1]).abs().max() < 1e-5


def test_holes_take_the_colours_around_them():
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, :, :8], weight = 0.5, torch.zeros(1, 1, 16, 16)
    weight[..., :8] = 1
    filled = push_pull(image, weight)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.5), atol=1e-5, rtol=0)
