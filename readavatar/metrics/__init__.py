"""How good a result is: pure functions on tensors, unreduced over the batch unless a function says otherwise."""

from readavatar.metrics.confidence import Interval, bootstrap_interval
from readavatar.metrics.geometry import landmark_error, rigid_alignment, vertex_error
from readavatar.metrics.image import psnr, ssim
from readavatar.metrics.sequence import (
    audio_visual_offset,
    high_frequency_energy,
    motion_std,
    pearson_correlation,
)

__all__ = [
    "Interval",
    "audio_visual_offset",
    "bootstrap_interval",
    "high_frequency_energy",
    "landmark_error",
    "motion_std",
    "pearson_correlation",
    "psnr",
    "rigid_alignment",
    "ssim",
    "vertex_error",
]
