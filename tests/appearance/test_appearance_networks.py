from __future__ import annotations

import inspect
import json
import math
from dataclasses import replace

import pytest
import torch
from tiny_face import tiny_inputs, tiny_model

from readavatar.appearance.inference import render_face, soft_edge
from readavatar.appearance.networks import REACH, AppearanceRenderer, UNetRenderer, continue_into
from readavatar.appearance.neural_texture import (
    AudioLatent,
    SineLayer,
    SirenTexture,
    TextureImage,
    gather_covered,
    positional_encoding,
)
from readavatar.appearance.settings import NetworkSettings
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.rendering.shading import sample_texture_plainly

SMALL = {"texture_width": 32, "texture_depth": 3, "unet_width": 8, "unet_levels": 3, "unet_max_width": 16}


def _renderer(**settings) -> AppearanceRenderer:
    torch.manual_seed(0)
    return AppearanceRenderer(6, 2, 5, NetworkSettings(**{**SMALL, **settings}))


def _siren(conditioning: str = "film") -> SirenTexture:
    return SirenTexture(
        16, 3, 8, conditioning, width=64, depth=4, num_octaves=6, first_frequency=30.0, hidden_frequency=30.0
    )


def test_siren_weights_are_drawn_as_published():
    torch.manual_seed(0)
    first, hidden = SineLayer(26, 512, 30.0, is_first=True), SineLayer(512, 512, 30.0)
    for layer, bound in ((first, 1 / 26), (hidden, math.sqrt(6 / 512) / 30)):
        assert layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_siren_angles_keep_unit_spread_at_every_depth():
    torch.manual_seed(0)
    x = torch.rand(1, 4096, 26) * 2 - 1
    x = SineLayer(26, 256, 30.0, is_first=True)(x)
    for _ in range(4):
        layer = SineLayer(256, 256, 30.0)
        angles = 30 * torch.nn.functional.linear(x, layer.weight)
        assert angles.std().item() == pytest.approx(1.0, abs=0.15)
        x = layer(x)


def test_positional_encoding_is_the_published_one():
    encoded = positional_encoding(torch.tensor([[0.25, -0.5]]), 2)
    angles = math.pi * torch.tensor([0.25, 0.5, -0.5, -1.0])
    expected = torch.cat([torch.tensor([0.25, -0.5]), angles.sin(), angles.cos()])
    torch.testing.assert_close(encoded[0], expected)


def test_gathering_finds_each_covered_pixel_once():
    covered = torch.tensor([[False, True, True, False], [False, False, False, True], [False] * 4])
    index, valid = gather_covered(covered)
    found = [index[row][valid[row]].tolist() for row in range(3)]
    assert found == [[1, 2], [3], []]


@pytest.mark.parametrize("conditioning", ["film", "concatenation", "none"])
def test_siren_agrees_between_resolutions_where_it_samples_the_same_point(conditioning):
    torch.manual_seed(0)
    texture, latent = _siren(conditioning), torch.randn(2, 8)
    uvs = torch.rand(2, 2, 256, 256)
    regions = torch.randint(0, 4, (2, 256, 256), dtype=torch.uint8)
    large = texture(uvs, regions, latent)
    small = texture(uvs[..., ::2, ::2], regions[..., ::2, ::2], latent)
    torch.testing.assert_close(large[..., ::2, ::2], small, atol=1e-5, rtol=1e-4)
    assert (large * (regions == 0)[:, None] == 0).all()


def test_regions_have_charts_of_their_own():
    torch.manual_seed(0)
    texture = _siren()
    uvs = torch.full((1, 2, 4, 4), 0.3)
    first, second = (
        texture(uvs, torch.full((1, 4, 4), region, dtype=torch.uint8), torch.zeros(1, 8)) for region in (1, 2)
    )
    assert (first - second).abs().mean() > 0.1 * first.std()


def test_siren_in_bfloat16_is_near_float32():
    torch.manual_seed(0)
    texture, latent = _siren(), torch.randn(1, 8)
    uvs, regions = torch.rand(1, 2, 32, 32), torch.ones(1, 32, 32, dtype=torch.uint8)
    exact = texture(uvs, regions, latent)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = texture(uvs, regions, latent)
    assert (exact - rounded).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize(
    "settings",
    [{}, {"conditioning": "concatenation"}, {"conditioning": "none"}, {"texture": "siren"}, {"texture": "image"}],
)
def test_a_renderer_is_rebuilt_from_its_config(settings):
    renderer, inputs = _renderer(**settings), tiny_inputs()
    rebuilt = AppearanceRenderer(**json.loads(json.dumps(renderer.config)))
    rebuilt.load_state_dict(renderer.state_dict())
    torch.testing.assert_close(rebuilt(inputs), renderer(inputs))


@pytest.mark.parametrize("network", [AppearanceRenderer, AudioLatent, SirenTexture, TextureImage, UNetRenderer])
def test_sizes_have_no_defaults_beside_those_of_the_settings(network):
    parameters = list(inspect.signature(network.__init__).parameters.values())
    assert len(parameters) > 1
    assert all(parameter.default is inspect.Parameter.empty for parameter in parameters)


@pytest.mark.parametrize("supersampling", [1, 2])
def test_gradients_reach_every_parameter_and_are_finite(supersampling):
    renderer, inputs = _renderer(), tiny_inputs(supersampling=supersampling)
    renderer(inputs).square().mean().backward()
    for name, parameter in renderer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def _mouth_change(renderer: AppearanceRenderer, inputs: RenderInputs) -> float:
    other = replace(inputs, speech=inputs.speech.flip(1) * 2)
    change = (renderer(inputs) - renderer(other)).abs() * inputs.part("face")
    return change.max().item()


def test_speech_changes_pixels_where_the_geometry_does_not():
    assert _mouth_change(_renderer(), tiny_inputs()) > 1e-4
    assert _mouth_change(_renderer(conditioning="concatenation"), tiny_inputs()) > 1e-4


@pytest.mark.parametrize("settings", [{"conditioning": "none"}, {"texture": "image"}])
def test_a_texture_without_audio_does_not_depend_on_speech(settings):
    assert _mouth_change(_renderer(**settings), tiny_inputs()) == 0


def test_speech_changes_nothing_where_the_gate_is_shut():
    renderer = _renderer()
    torch.nn.init.zeros_(renderer.texture.gate.region_offset.weight)
    assert _mouth_change(renderer, tiny_inputs()) == 0


@pytest.mark.parametrize("supersampling", [1, 2])
def test_layers_are_joined_at_every_point_of_a_pixel_with_the_sirens_value_at_its_first(supersampling):
    texture, inputs = _renderer().texture, tiny_inputs(supersampling=supersampling)
    generator = torch.Generator().manual_seed(1)
    for parameter in (texture.image.texels, texture.gate.texels):
        parameter.data.copy_(torch.rand(parameter.shape, generator=generator))
    latent = torch.rand(len(inputs.uvs), 32, generator=generator, requires_grad=True)
    leaves = [latent, *texture.parameters()]

    def joined_at_points() -> torch.Tensor:
        image, gate = (
            sample_texture_plainly(each.texels, inputs.uvs) + each.region_offset(inputs.regions.long()).movedim(-1, 1)
            for each in (texture.image, texture.gate)
        )
        first = (..., slice(None, None, supersampling), slice(None, None, supersampling))
        change = texture.siren(inputs.uvs[first], inputs.regions[first], latent)
        points = image + gate * torch.nn.functional.interpolate(change, scale_factor=float(supersampling))
        return torch.nn.functional.avg_pool2d(points * (inputs.regions > 0)[:, None], supersampling)

    values = texture(inputs.uvs, inputs.regions, latent, supersampling), joined_at_points()
    weights = torch.randn(values[0].shape, generator=generator)
    gradients = [torch.autograd.grad((each * weights).sum(), leaves) for each in values]
    torch.testing.assert_close(*values)
    for ours, joined in zip(*gradients, strict=True):
        assert joined.any()
        torch.testing.assert_close(ours, joined, rtol=1e-3, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("texture", ["layered", "siren", "image"])
def test_regions_meet_within_a_pixel(texture):
    renderer, inputs = _renderer(texture=texture), tiny_inputs(1, supersampling=2)
    if texture != "siren":
        offset = getattr(renderer.texture, "image", renderer.texture).region_offset.weight
        offset.copy_(torch.arange(3.0)[:, None].expand_as(offset))
    values = renderer.neural_texture(inputs)
    assert values.shape == (1, 16, 48, 48)
    teeth, skin = (inputs.averaged((inputs.regions == region).float()[:, None]) for region in (2, 1))
    shared = (teeth > 0) & (teeth + skin == 1) & (skin > 0)
    assert shared.any()
    if texture != "siren":  # a texel of 1 on skin and of 2 on teeth
        torch.testing.assert_close(values[:, :1][shared], (1 + teeth)[shared], atol=0.2, rtol=0)


@pytest.mark.parametrize("lit", [True, False])
def test_light_is_seen_where_there_is_a_face_if_it_is_asked_for(lit):
    renderer, inputs = _renderer(lit=lit), tiny_inputs()
    texture = renderer.neural_texture(inputs)
    before, after = (
        renderer._feature_maps(replace(inputs, lighting=lighting), texture)
        for lighting in (inputs.lighting, 2 * inputs.lighting)
    )
    changed = (before != after).any(1)
    assert bool(changed.any()) == lit
    assert not changed[inputs.averaged((inputs.regions > 0)[:, None].float())[:, 0] == 0].any()


@pytest.mark.parametrize("supersampling", [1, 2])
def test_any_size_is_rendered(supersampling):
    renderer = _renderer()
    for size in (33, 50):
        inputs = tiny_inputs(1, size, supersampling=supersampling)
        assert renderer(inputs).shape == (1, 3, size, size)


def test_no_face_at_all_is_rendered_without_error():
    inputs = tiny_inputs(1)
    nothing = replace(inputs, regions=torch.zeros_like(inputs.regions), uvs=torch.zeros_like(inputs.uvs))
    assert _renderer()(nothing).isfinite().all()


def test_speech_is_standardised_and_constant_features_have_no_say():
    renderer = _renderer()
    features = torch.randn(50, 6) * 1000 + 5
    features[:, 0] = 3.0
    renderer.audio_latent.standardise_by(features)
    before = renderer.audio_latent(features[None, :5])
    features[:, 0] = -40.0
    torch.testing.assert_close(renderer.audio_latent(features[None, :5]), before)
    assert before.isfinite().all() and before.abs().max() > 0


def test_somebody_filmed_in_silence_is_painted_alike_whatever_is_said():
    renderer = _renderer()
    renderer.audio_latent.standardise_by(torch.zeros(50, 6))
    assert all(value.isfinite().all() for value in renderer.state_dict().values()), "else an avatar refuses it"
    assert _mouth_change(renderer, tiny_inputs()) == 0


def test_alpha_is_one_in_the_hole_and_falls_softly_outside():
    paint_mask = torch.zeros(1, 1, 100, 100)
    paint_mask[..., 30:60, 40:70] = 1
    alpha = soft_edge(paint_mask)
    assert (alpha[paint_mask > 0] == 1).all()
    assert alpha[..., 0, 0] == 0
    assert alpha.diff(dim=-1).abs().max() < 0.35
    assert alpha.min() >= 0 and alpha.max() <= 1


def test_batches_do_not_change_what_is_rendered():
    renderer, inputs = _renderer().eval(), tiny_inputs(5)
    whole, alpha = render_face(renderer, inputs, batch_size=5)
    parts, _ = render_face(renderer, inputs, batch_size=2)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-4)
    assert whole.shape == (5, 3, 48, 48) and alpha.shape == (5, 1, 48, 48)


def test_one_frame_is_learned_in_seconds():
    torch.manual_seed(0)
    renderer, inputs = _renderer(), tiny_inputs(1)
    target = torch.where(inputs.regions[:, None] > 0, 0.3 + 0.4 * torch.cat([inputs.uvs, inputs.uvs[:, :1]], 1), 0.5)
    optimizer = torch.optim.Adam(renderer.parameters(), 3e-3)
    for _ in range(120):
        loss = ((renderer(inputs) - target).abs() * inputs.paint_mask).sum() / inputs.paint_mask.sum() / 3
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02


def test_texture_image_reads_texel_centres():
    texture = TextureImage(1, 1, 4, start=0.0)
    with torch.no_grad():
        texture.texels.copy_(torch.arange(16.0).reshape(1, 1, 4, 4))
    centres = (torch.arange(4) + 0.5) / 4
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    sampled = texture(torch.stack([u, v])[None], torch.ones(1, 4, 4, dtype=torch.uint8), torch.zeros(1, 1))
    torch.testing.assert_close(sampled, texture.texels.detach(), check_dtype=False)


def test_the_tiny_model_is_seen_from_its_front():
    inputs = tiny_inputs(1)
    assert inputs.normals[0, 2, 24, 24] > 0.9
    assert len(tiny_model().region_names) == 2


def test_what_is_around_a_hole_is_carried_into_it_and_fades():
    values = torch.full((1, 3, 64, 64), 0.7)
    paint_mask = torch.zeros(1, 1, 64, 64)
    paint_mask[..., 16:48, 16:48] = 1
    carried, share = continue_into(torch.where(paint_mask == 1, 9.0, values), paint_mask)
    torch.testing.assert_close(carried * share, values * share)
    middle = share[0, 0, 32]
    assert (middle[:16] == 1).all() and middle[16] > 0.8 and (middle[16 + REACH : 48 - REACH] == 0).all()
    assert (middle[16:32].diff() <= 0).all()
