"""The appearance network: rasterised mesh, speech and surrounding footage → pixels of the face; its discriminator."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from readavatar.appearance.neural_texture import AudioLatent, LayeredTexture, SirenTexture, TextureImage
from readavatar.appearance.settings import NetworkSettings, OptimizationSettings
from readavatar.data.raster.render_inputs import RenderInputs
from readavatar.optimization.losses import Judgement
from readavatar.rendering.shading import mean_texture, shade
from readavatar.rendering.window_filters import local_mean


class ConvBlock(nn.Module):
    """Two 3×3 convolutions with normalisation over the channels of each pixel.

    Unlike statistics over the image, those of a pixel do not depend on the crop or on other parts of the image.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B out_channels H W"]:
        return _activated(self.second(_activated(self.first(x))))


def _activated(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    return F.leaky_relu(F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2), 0.2)


class UNetRenderer(nn.Module):
    """A U-Net (Ronneberger et al. 2015): feature maps of any size → an image's logits of the same size.

    At full resolution, which is half of the cost of a symmetric network, the way down has only one convolution: the
    sampled texture already has fine detail.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int, levels: int, max_width: int) -> None:
        """
        Args:
            in_channels: Of the feature maps.
            out_channels: Of the image.
            width: Channels at full resolution, doubled at each level up to ``max_width``.
            levels: Resolutions, each half the one before.
            max_width: See ``width``.
        """
        super().__init__()
        widths = [min(width * 2**level, max_width) for level in range(levels)]
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        self.encoders = nn.ModuleList(ConvBlock(each, each) for each in widths[1:])
        self.decoders = nn.ModuleList(ConvBlock(below + each, each) for each, below in pairwise(widths))
        self.head = nn.Conv2d(width, out_channels, 3, padding=1)
        # A sixth faster than channels first, since normalisation is over a pixel's channels.
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Float[Tensor, "B in_channels H W"]) -> Float[Tensor, "B out_channels H W"]:
        """Sides that are not a multiple of 2^(levels − 1) are padded by their edge and cropped again."""
        height, width = x.shape[-2:]
        multiple = 2 ** len(self.downs)
        padding = (0, -width % multiple, 0, -height % multiple)
        x = F.pad(x, padding, mode="replicate") if any(padding) else x
        x = F.leaky_relu(self.stem(x.contiguous(memory_format=torch.channels_last)), 0.2)
        skips = []
        for down, encoder in zip(self.downs, self.encoders, strict=True):
            skips.append(x)
            x = encoder(F.leaky_relu(down(x), 0.2))
        for decoder, skip in zip(reversed(self.decoders), reversed(skips), strict=True):
            x = decoder(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        return self.head(x)[..., :height, :width]


WINDOW_MARGIN = 16
"""Pixels around the paint mask that are also computed: the soft edge, and footage as context."""
WINDOW_MULTIPLE = 32
"""Of the computed window's sides."""
REACH = 5
"""Pixels by which the footage's colours are extended into the paint mask."""


class AppearanceRenderer(nn.Module):
    """Deferred neural rendering with an audio-conditioned texture (READ Avatars, sec. 3.4).

    ``AppearanceRenderer(**renderer.config)`` builds the same network again.
    """

    def __init__(
        self, num_speech_features: int, num_regions: int, speech_window: int, settings: NetworkSettings | dict
    ) -> None:
        """
        Args:
            num_speech_features: D of the speech encoder.
            num_regions: Of the morphable model.
            speech_window: W, video frames of speech for the audio latent, odd.
            settings: Sizes; a dict has the fields of ``NetworkSettings``.
        """
        super().__init__()
        settings = NetworkSettings(**settings) if isinstance(settings, dict) else settings
        self.config = {
            "num_speech_features": num_speech_features,
            "num_regions": num_regions,
            "speech_window": speech_window,
            "settings": asdict(settings),
        }
        self.latent_size, self.lit = settings.latent_size, settings.lit
        self.is_audio_conditioned = settings.texture != "image" and settings.conditioning != "none"
        if self.is_audio_conditioned:
            self.audio_latent = AudioLatent(num_speech_features, speech_window, settings.latent_size)
        self.texture = _build_texture(settings, num_regions)
        self.region = nn.Embedding(num_regions + 1, settings.region_features)
        # Beside texture and region: normals (3), gaze (2), context (3), paint mask (1), and light (3).
        in_channels = settings.texture_channels + settings.region_features + 9 + 3 * settings.lit
        self.unet = UNetRenderer(in_channels, 3, settings.unet_width, settings.unet_levels, settings.unet_max_width)

    def forward(self, inputs: RenderInputs) -> Float[Tensor, "B 3 H W"]:
        """The image in [0, 1], gamma-encoded like the footage.

        It is computed in a window around the paint mask; outside it is the footage.
        """
        window = inputs.window(WINDOW_MARGIN, WINDOW_MULTIPLE)
        seen = inputs.crop(window)
        texture = self.neural_texture(seen)
        # The U-Net's output is added to an estimate: footage outside the paint mask, inside the texture's first
        # channels.
        rim, share = continue_into(torch.logit(seen.context, eps=0.01), seen.paint_mask)
        estimate = share * rim + (1 - share) * texture[:, :3].float()
        logits = self.unet(self._feature_maps(seen, texture)).float() + estimate
        image = inputs.context.clone()
        image[..., window.rows, window.columns] = torch.sigmoid(logits)
        return image

    def neural_texture(self, inputs: RenderInputs) -> Float[Tensor, "B C H W"]:
        """The neural texture at the rasterised pixels."""
        if self.is_audio_conditioned:
            latent = self.audio_latent(inputs.speech)
        else:
            latent = inputs.gaze.new_zeros(len(inputs.gaze), self.latent_size)
        return self.texture(inputs.uvs, inputs.regions, latent, inputs.supersampling)

    def _feature_maps(self, inputs: RenderInputs, texture: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K H W"]:
        nowhere = self.region.weight[0]
        offsets, blank = self.region.weight - nowhere, torch.zeros_like(nowhere)[None, :, None, None]
        region = mean_texture(blank, offsets, inputs.uvs, inputs.regions, inputs.supersampling) + nowhere[:, None, None]
        # Only at the eyes, so that noise of the tracked gaze does not affect the rest of the face.
        gaze = inputs.gaze[..., None, None] * inputs.part("eyes")
        maps = [
            texture,
            region,
            inputs.normals,
            gaze,
            inputs.context - 0.5 * (1 - inputs.paint_mask),
            inputs.paint_mask,
        ]
        if self.lit:
            covered = inputs.averaged((inputs.regions > 0)[:, None].to(inputs.normals.dtype))
            maps.append(shade(covered.expand_as(inputs.normals), inputs.normals, inputs.lighting))
        return torch.cat([each.to(texture.dtype) for each in maps], 1)


def continue_into(
    values: Float[Tensor, "B C H W"], paint_mask: Float[Tensor, "B 1 H W"]
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"]]:
    """Extend the values around a paint mask by ``REACH`` pixels into it, so that the estimate has no seam.

    Args:
        values: Not used inside the paint mask.
        paint_mask: 1 inside.

    Returns:
        The values (inside the mask, the mean of near ones outside), and their share: 1 outside, falling to 0 inside.
    """
    known = 1 - paint_mask
    near = local_mean(known, REACH)
    mean = local_mean(values * known, REACH) / near.clamp(min=1e-3)
    return known * values + paint_mask * mean, known + paint_mask * (2 * near).clamp(max=1)


def parameter_groups(renderer: AppearanceRenderer, settings: OptimizationSettings) -> list[dict]:
    """A renderer's parameters by learning rate: of the U-Net and the audio latent, the SIREN, the texture images."""
    texels, sirens = (
        [each for part in renderer.modules() if isinstance(part, kind) for each in part.parameters()]
        for kind in (TextureImage, SirenTexture)
    )
    of_texture = {id(each) for each in [*texels, *sirens]}
    groups = [
        {
            "params": [each for each in renderer.parameters() if id(each) not in of_texture],
            "lr": settings.learning_rate,
        },
        {"params": sirens, "lr": settings.texture_learning_rate},
        {"params": texels, "lr": settings.texel_learning_rate},
    ]
    return [group for group in groups if group["params"]]


def _build_texture(settings: NetworkSettings, num_regions: int) -> LayeredTexture | SirenTexture | TextureImage:
    def image(num_channels: int, start: float) -> TextureImage:
        return TextureImage(num_channels, num_regions, settings.texture_resolution, start)

    if settings.texture == "image":
        return image(settings.texture_channels, start=0.0)
    siren = SirenTexture(
        settings.texture_channels,
        num_regions,
        settings.latent_size,
        settings.conditioning,
        settings.texture_width,
        settings.texture_depth,
        settings.num_octaves,
        settings.first_frequency,
        settings.hidden_frequency,
    )
    if settings.texture == "siren":
        return siren
    return LayeredTexture(image(settings.texture_channels, start=0.0), image(1, start=1.0), siren)


class PatchDiscriminator(nn.Module):
    """Convolutions with a logit for each patch (Isola et al. 2017), on the image at several scales."""

    def __init__(self, width: int = 32, scales: int = 2, layers: int = 3) -> None:
        """
        Args:
            width: Channels of the first layer, doubled by each.
            scales: Number of scales: the image, and its halvings.
            layers: Convolutions of stride 2.
        """
        super().__init__()
        self.discriminators = nn.ModuleList(_discriminator(width, layers) for _ in range(scales))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Judgement:
        """The features of every scale."""
        features = []
        for scale, discriminator in enumerate(self.discriminators):
            x = 2 * (F.avg_pool2d(image, 2**scale) if scale else image) - 1
            layers = []
            for layer in discriminator:
                x = layer(x)
                layers.append(x)
            features.append(layers)
        return features


def _discriminator(width: int, layers: int) -> nn.ModuleList:
    widths = [3] + [width * 2**layer for layer in range(layers)]
    convolutions = [
        nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        for before, after in pairwise(widths)
    ]
    return nn.ModuleList([*convolutions, nn.Conv2d(widths[-1], 1, 3, padding=1)])
