"""Metrics of single frames: distances between shapes, between landmarks and between images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

LEFT_EYE, RIGHT_EYE = slice(42, 48), slice(36, 42)
"""Of the 68 iBUG landmarks; left is the subject's."""


def rigid_alignment(
    source: Float[Tensor, "B N 3"], target: Float[Tensor, "B N 3"], weights: Float[Tensor, "#B N"] | None = None
) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3"]]:
    """The rotation R and translation t that bring ``source @ R.mT + t`` closest to ``target`` (Kabsch 1976).

    Args:
        source: Points, metres.
        target: The same points elsewhere, metres.
        weights: Of each pair, ≥ 0; None weights all equally.

    Returns:
        R, which is never a reflection, and t, metres.

    Example:
        >>> import torch
        >>> from readavatar.metrics import rigid_alignment
        >>> source = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]])
        >>> rotation, translation = rigid_alignment(source, source + torch.tensor([1.0, 2.0, 3.0]))
        >>> translation.allclose(torch.tensor([1.0, 2.0, 3.0]), atol=1e-5)
        True
    """
    weights = torch.ones_like(source[..., 0]) if weights is None else weights.expand_as(source[..., 0])
    weights = (weights / weights.sum(-1, keepdim=True))[..., None]
    source_centre = (weights * source).sum(1, keepdim=True)
    target_centre = (weights * target).sum(1, keepdim=True)
    covariance = (weights * (target - target_centre)).mT @ (source - source_centre)
    left, _, right = torch.linalg.svd(covariance)
    # A reflection would fit a mirrored shape better, but is not a rigid motion.
    signs = torch.ones_like(left[..., 0])
    signs[..., 2] = torch.linalg.det(left @ right).sign()
    rotation = (left * signs[..., None, :]) @ right
    return rotation, (target_centre - source_centre @ rotation.mT)[:, 0]


def vertex_error(
    predicted: Float[Tensor, "B N 3"], target: Float[Tensor, "B N 3"], weights: Float[Tensor, "#B N"] | None = None
) -> Float[Tensor, "B N"]:
    """Distance of each vertex from its target after the best rigid alignment (``rigid_alignment``), metres.

    The gradient treats the alignment as constant: it is optimal, so that its first-order change does not affect the
    mean square, and the gradient of the SVD is infinite for symmetric shapes.

    Args:
        predicted: Vertices, metres; differentiable.
        target: The true vertices, metres, in any frame.
        weights: Of each vertex in the alignment, ≥ 0; None weights all equally.

    Example:
        >>> import torch
        >>> from readavatar.metrics import vertex_error
        >>> target = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]])
        >>> bool((vertex_error(target + 0.5, target) < 1e-5).all())  # a shift is not an error
        True
    """
    rotation, translation = rigid_alignment(predicted.detach(), target.detach(), weights)
    squared = (predicted @ rotation.mT + translation[:, None] - target).square().sum(-1)
    return torch.where(squared > 0, squared, 1.0).sqrt() * (squared > 0)  # the root's gradient at 0 is infinite


def landmark_error(predicted: Float[Tensor, "B 68 d"], target: Float[Tensor, "B 68 d"]) -> Float[Tensor, "B 68"]:
    """Distance of each of the 68 iBUG landmarks from its target, in inter-ocular distances of the target.

    The inter-ocular distance is that between the means of each eye's six landmarks, which, unlike that of the outer
    corners, does not depend on a single point's annotation.

    Args:
        predicted: In 2D or 3D, any unit.
        target: In the same unit and frame.

    Example:
        >>> import torch
        >>> from readavatar.metrics import landmark_error
        >>> target = torch.zeros(1, 68, 2)
        >>> target[:, 36:42, 0] = -32.0  # the right eye
        >>> target[:, 42:48, 0] = 32.0  # the left eye, 64 pixels away
        >>> landmark_error(target + torch.tensor([6.4, 0.0]), target).mean()
        tensor(0.1000)
    """
    between_eyes = (target[:, LEFT_EYE].mean(1) - target[:, RIGHT_EYE].mean(1)).norm(dim=-1)
    return (predicted - target).norm(dim=-1) / between_eyes[:, None]


def psnr(
    predicted: Float[Tensor, "B C H W"],
    target: Float[Tensor, "B C H W"],
    mask: Float[Tensor, "B 1 H W"] | None = None,
) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio, −10 log₁₀ of the mean squared error.

    Args:
        predicted: In [0, 1].
        target: In [0, 1].
        mask: Weight of each pixel; None weights all equally.

    Returns:
        Decibels; infinite for equal images, NaN if the mask is empty.

    Example:
        >>> import torch
        >>> from readavatar.metrics import psnr
        >>> psnr(torch.full((1, 3, 8, 8), 0.6), torch.full((1, 3, 8, 8), 0.5)).round(decimals=2)
        tensor([20.])
    """
    return -10 * torch.log10(_masked_mean((predicted - target).square(), mask))


def ssim(
    predicted: Float[Tensor, "B C H W"],
    target: Float[Tensor, "B C H W"],
    mask: Float[Tensor, "B 1 H W"] | None = None,
) -> Float[Tensor, " B"]:
    """Structural similarity (Wang et al. 2004, eq. 13; Gaussian window of 11 pixels, σ 1.5), mean of its map.

    Args:
        predicted: In [0, 1]; sides of at least 6 pixels.
        target: In [0, 1].
        mask: Weight of each pixel of the map (its window extends by 5 pixels); None weights all equally.

    Returns:
        In [−1, 1], 1 for equal images; NaN if the mask is empty.

    Example:
        >>> import torch
        >>> from readavatar.metrics import ssim
        >>> image = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
        >>> ssim(image, image).round(decimals=3)
        tensor([1.])
    """
    # Without autocast: a variance is a difference of nearly equal numbers, and bfloat16 gave 0.39 instead of 0.95.
    with torch.autocast(predicted.device.type, enabled=False):
        _, similarity = structural_similarity_index_measure(
            predicted.float(), target.float(), data_range=1.0, reduction="none", return_full_image=True
        )
    return _masked_mean(similarity, mask)


def _masked_mean(values: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"] | None) -> Float[Tensor, " B"]:
    if mask is None:
        return values.mean((1, 2, 3))
    return (values * mask).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) * values.shape[1])
