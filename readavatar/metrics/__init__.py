"""How good a result is: pure functions on tensors, unreduced over the batch unless a function says otherwise."""

from readavatar.metrics.confidence import Interval, bootstrap_interval
from readavatar.metrics.geometry import landmark_error, rigid_alignment, vertex_error
from readavatar.metrics.image import psnr, ssim
from readavatar.metrics.lips import closure_recall, fast_motion_ratio
from readavatar.metrics.sequence import (
    audio_visual_offset,
    high_frequency_energy,
    motion_std,
    pearson_correlation,
)
from readavatar.metrics.transfer import nearest_centroid_accuracy, window_means

__all__ = [
    "Interval",
    "audio_visual_offset",
    "bootstrap_interval",
    "closure_recall",
    "fast_motion_ratio",
    "high_frequency_energy",
    "landmark_error",
    "motion_std",
    "nearest_centroid_accuracy",
    "pearson_correlation",
    "psnr",
    "rigid_alignment",
    "ssim",
    "vertex_error",
    "window_means",
]
