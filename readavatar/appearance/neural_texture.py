"""Neural textures: a feature vector at any point of the face's surface, which may depend on the speech.

Symbols: C texture channels, L size of the audio latent, P points of a frame (padded), ω frequencies of the sines. A
    frame
of H × W pixels is sampled at h × w points, ``supersampling`` along each side of a pixel, and a pixel has the mean of
its points.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.rendering.shading import mean_texture
from readavatar.rendering.window_filters import mean_of_points

_LATENT_WIDTH = 64
"""Channels of ``AudioLatent``'s layers."""


class AudioLatent(nn.Module):
    """Speech features of W video frames → one latent of size L, by temporal convolutions and attention over time."""

    def __init__(self, num_features: int, window: int, latent_size: int) -> None:
        """
        Args:
            num_features: D of the speech features.
            window: W, odd; the current frame is in the middle.
            latent_size: L.
        """
        super().__init__()
        # The scales of pretrained encoders' features differ by orders of magnitude.
        self.register_buffer("feature_mean", torch.zeros(num_features))
        self.register_buffer("feature_scale", torch.ones(num_features))
        width = _LATENT_WIDTH
        self.project = nn.Linear(num_features, width)
        self.position = nn.Parameter(torch.randn(window, width) * 0.02)
        self.convolutions = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.attention = nn.Conv1d(width, 1, 1, bias=False)
        self.out = nn.Linear(2 * width, latent_size)

    @torch.no_grad()
    def standardise_by(self, features: Float[Tensor, "T D"]) -> None:
        """Set the mean and scale of every feature from the training speech.

        Features that are constant in training (footage without sound) are set to 0.
        """
        std = features.std(0, correction=0)
        self.feature_mean.copy_(features.mean(0))
        self.feature_scale.copy_(torch.where(std > 1e-5, 1 / std, 0.0))

    def forward(self, speech: Float[Tensor, "B window D"]) -> Float[Tensor, "B L"]:
        """The latent, in (−1, 1)."""
        # Clamped, so that rare clicks do not give untrained latents.
        standard = ((speech - self.feature_mean) * self.feature_scale).clamp(-5, 5)
        features = (self.project(standard) + self.position).mT
        features = features + self.convolutions(features)
        pooled = (features * self.attention(features).softmax(-1)).sum(-1)
        middle = features[..., features.shape[-1] // 2]
        return torch.tanh(self.out(torch.cat([pooled, middle], -1)))


_POINTS_MULTIPLE = 256


def positional_encoding(points: Float[Tensor, "*n 2"], num_octaves: int) -> Float[Tensor, "*n {2+4*num_octaves}"]:
    """The points themselves, and sines and cosines of π · 2^k times them, k < ``num_octaves``.

    Tancik et al. 2020; Mildenhall et al. 2020, eq. 4.

    Args:
        points: In [−1, 1].
        num_octaves: Number of octaves; 0 returns only the points.
    """
    frequencies = math.pi * 2.0 ** torch.arange(num_octaves, dtype=points.dtype, device=points.device)
    angles = (points[..., None] * frequencies).flatten(-2)
    return torch.cat([points, angles.sin(), angles.cos()], -1)


def gather_covered(covered: Bool[Tensor, "B N"]) -> tuple[Int[Tensor, "B P"], Bool[Tensor, "B P"]]:
    """Indices of each frame's covered pixels, padded to the largest count, and whether each is not padding.

    Padding is pixel 0. It costs a few evaluations, but keeps an axis for frames, over which latents broadcast
    (gathering a latent for each point would take longer than the network's layers).
    """
    rows, columns = covered.nonzero(as_tuple=True)
    counts = covered.sum(1)
    position = torch.arange(len(rows), device=covered.device) - (counts.cumsum(0) - counts)[rows]
    # Few different sizes, so that memory can be reused in the next step.
    width = max(-(-int(counts.max()) // _POINTS_MULTIPLE), 1) * _POINTS_MULTIPLE
    index = torch.zeros(len(covered), width, dtype=torch.long, device=covered.device)
    index[rows, position] = columns
    return index, torch.arange(width, device=covered.device) < counts[:, None]


def map_covered(
    function: Callable[[Float[Tensor, "B P 2"], Int[Tensor, "B P"]], Float[Tensor, "B P C"]],
    uvs: Float[Tensor, "B 2 H W"],
    regions: UInt8[Tensor, "B H W"],
) -> Float[Tensor, "B C H W"]:
    """Evaluate ``function(uvs, regions)`` where there is a surface, and put zeros elsewhere."""
    height, width = regions.shape[-2:]
    index, valid = gather_covered(regions.flatten(1) > 0)
    points = uvs.flatten(2).mT.gather(1, index[..., None].expand(-1, -1, 2))
    values = function(points, regions.flatten(1).gather(1, index).long())
    rows = torch.arange(len(index), device=index.device)[:, None].expand_as(index)
    image = values.new_zeros(len(index), height * width, values.shape[-1])
    image = image.index_put((rows[valid], index[valid]), values[valid])
    return image.mT.unflatten(2, (height, width))


class SineLayer(nn.Linear):
    """sin(γ · ω (W x + b) + β), initialised as in Sitzmann et al. 2020, sec. 3.2; γ, β are FiLM (Perez et al. 2018)."""

    def __init__(self, in_features: int, out_features: int, frequency: float, is_first: bool = False) -> None:
        super().__init__(in_features, out_features)
        self.frequency = frequency
        # U(−√(6/n)/ω, √(6/n)/ω) keeps W x · ω ~ N(0, 1) at any depth; the first layer's inputs are in [−1, 1].
        bound = 1 / in_features if is_first else math.sqrt(6 / in_features) / frequency
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self,
        x: Float[Tensor, "B P n"],
        scale: Float[Tensor, "#B 1 m"] | None = None,
        shift: Float[Tensor, "#B #P m"] | None = None,
    ) -> Float[Tensor, "B P m"]:
        """``scale`` is γ − 1 and ``shift`` is β, radians."""
        linear = F.linear(x, self.weight, self.bias)
        gain = self.frequency if scale is None else (self.frequency * (1 + scale)).to(linear.dtype)
        angle = linear * gain
        return torch.sin(angle if shift is None else angle + shift.to(linear.dtype))


class SirenTexture(nn.Module):
    """An audio-conditioned texture without fixed resolution: a SIREN over encoded uvs, conditioned on the audio latent.

    READ Avatars, sec. 3.4. Regions of the surface (teeth, tongue, skin, …) have learned phases in the first layer,
    which separate them even if a model's uvs overlap.
    """

    def __init__(
        self,
        num_channels: int,
        num_regions: int,
        latent_size: int,
        conditioning: str,
        width: int,
        depth: int,
        num_octaves: int,
        first_frequency: float,
        hidden_frequency: float,
    ) -> None:
        """
        Args:
            num_channels: C.
            num_regions: Of the morphable model.
            latent_size: L.
            conditioning: ``film`` (γ and β of every layer from the latent), ``concatenation`` (of the latent and the
                encoded uvs) or ``none``.
            width: Features of a layer.
            depth: Sine layers.
            num_octaves: Of the positional encoding.
            first_frequency: ω of the first layer.
            hidden_frequency: ω of the others.
        """
        super().__init__()
        self.num_octaves, self.conditioning, self.width = num_octaves, conditioning, width
        extra = latent_size if conditioning == "concatenation" else 0
        self.first = SineLayer(2 + 4 * num_octaves + extra, width, first_frequency, is_first=True)
        self.hidden = nn.ModuleList(SineLayer(width, width, hidden_frequency) for _ in range(depth - 1))
        self.last = nn.Linear(width, num_channels)
        # Like the hidden layers: small initial values, instead of noise that the U-Net would have to learn to ignore.
        bound = math.sqrt(6 / width) / hidden_frequency
        nn.init.uniform_(self.last.weight, -bound, bound)
        self.region_phase = nn.Embedding(num_regions + 1, width)
        nn.init.uniform_(self.region_phase.weight, -math.pi, math.pi)
        if conditioning == "film":
            self.film = nn.Linear(latent_size, depth * 2 * width)
            # Little modulation at first, since the SIREN's initialisation is for the unmodulated network.
            nn.init.normal_(self.film.weight, std=0.1 / math.sqrt(latent_size))
            nn.init.zeros_(self.film.bias)

    def forward(
        self,
        uvs: Float[Tensor, "B 2 h w"],
        regions: UInt8[Tensor, "B h w"],
        latent: Float[Tensor, "B L"],
        supersampling: int = 1,
    ) -> Float[Tensor, "B C H W"]:
        """The texture where there is a surface (``regions`` above 0), zeros elsewhere."""
        values = map_covered(lambda points, region: self.evaluate(points, region, latent), uvs, regions)
        return mean_of_points(values, supersampling)

    def evaluate(
        self, uvs: Float[Tensor, "B P 2"], regions: Int[Tensor, "B P"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B P C"]:
        """The texture at points of the surface."""
        modulations = self._modulations(latent)
        # Not in bfloat16, whose 8 bits are too few for uvs and for the first layer's angles of tens of radians.
        with torch.autocast(uvs.device.type, enabled=False):
            encoded = positional_encoding(2 * uvs.float() - 1, self.num_octaves)
            if self.conditioning == "concatenation":
                points = encoded.shape[1]
                encoded = torch.cat([encoded, latent.float()[:, None].expand(-1, points, -1)], -1)
            scale, shift = modulations[0]
            phase = self.region_phase(regions)
            features = self.first(encoded, scale, phase if shift is None else phase + shift)
        for layer, (scale, shift) in zip(self.hidden, modulations[1:], strict=True):
            features = layer(features, scale, shift)
        return self.last(features)

    def _modulations(self, latent: Float[Tensor, "B L"]) -> list[tuple[Tensor | None, Tensor | None]]:
        depth = 1 + len(self.hidden)
        if self.conditioning != "film":
            return [(None, None)] * depth
        modulation = self.film(latent).float()[:, None].unflatten(-1, (depth, 2, self.width))
        return [(modulation[:, :, layer, 0], modulation[:, :, layer, 1]) for layer in range(depth)]


class TextureImage(nn.Module):
    """A learned image of features, the same for any speech (deferred neural rendering, Thies et al. 2019)."""

    def __init__(self, num_channels: int, num_regions: int, resolution: int, start: float) -> None:
        """
        Args:
            num_channels: C.
            num_regions: Each region has a learned offset, since regions with overlapping uvs share texels.
            resolution: Texels along each side.
            start: Initial value.
        """
        super().__init__()
        # A constant, so that texels that are never visible in training (such as the upper teeth) are not noise.
        texels = torch.zeros(1, num_channels, resolution, resolution)
        # channels_last, for the compiled look-up.
        self.texels = nn.Parameter(texels.contiguous(memory_format=torch.channels_last))
        self.region_offset = nn.Embedding(num_regions + 1, num_channels)
        nn.init.constant_(self.region_offset.weight, start)

    def forward(
        self,
        uvs: Float[Tensor, "B 2 h w"],
        regions: UInt8[Tensor, "B h w"],
        latent: Float[Tensor, "B L"],
        supersampling: int = 1,
    ) -> Float[Tensor, "B C H W"]:
        """The texture where there is a surface, zeros elsewhere; ``latent`` is not used."""
        return mean_texture(self.texels, self.region_offset.weight, uvs, regions, supersampling)


class LayeredTexture(nn.Module):
    """A learned image for the constant appearance of a face, plus a SIREN for what speech changes.

    A texel is trained by the few pixels that show it, while a weight of the SIREN is trained by all of the face, so
    that skin, lashes and teeth compete. A second image (the gate) learns where speech changes the face; elsewhere the
    SIREN has no effect.
    """

    def __init__(self, image: TextureImage, gate: TextureImage, siren: SirenTexture) -> None:
        """
        Args:
            image: Of C channels.
            gate: Of one.
            siren: Of C.
        """
        super().__init__()
        self.image, self.gate, self.siren = image, gate, siren

    def forward(
        self,
        uvs: Float[Tensor, "B 2 h w"],
        regions: UInt8[Tensor, "B h w"],
        latent: Float[Tensor, "B L"],
        supersampling: int = 1,
    ) -> Float[Tensor, "B C H W"]:
        """image + gate · siren where there is a surface, zeros elsewhere.

        The SIREN, which takes by far the longest, is evaluated once for each pixel, at its first point, without visible
        loss.
        """
        first = (..., slice(None, None, supersampling), slice(None, None, supersampling))
        change = self.siren(uvs[first], regions[first], latent)
        return self.image(uvs, regions, latent, supersampling) + self.gate(uvs, regions, latent, supersampling) * change
