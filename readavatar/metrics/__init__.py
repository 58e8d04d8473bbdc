"""How good a result is: pure functions on tensors, unreduced over the batch unless a function says otherwise."""

from readavatar.metrics.confidence import Interval, bootstrap_interval
from readavatar.metrics.dial import Response, StepBack, largest_step_back, rank_correlation, step_response
from readavatar.metrics.frechet import frechet_distance, motion_windows, principal_axes
from readavatar.metrics.geometry import landmark_error, rigid_alignment, vertex_error
from readavatar.metrics.image import psnr, ssim
from readavatar.metrics.lips import closure_recall, fast_motion_ratio
from readavatar.metrics.liveliness import pooled_fast_energy, pooled_std
from readavatar.metrics.sequence import (
    audio_visual_offset,
    high_frequency_energy,
    motion_std,
    pearson_correlation,
)
from readavatar.metrics.transfer import nearest_centroid_accuracy, window_means

__all__ = [
    "Interval",
    "Response",
    "StepBack",
    "audio_visual_offset",
    "bootstrap_interval",
    "closure_recall",
    "fast_motion_ratio",
    "frechet_distance",
    "high_frequency_energy",
    "landmark_error",
    "largest_step_back",
    "motion_std",
    "motion_windows",
    "nearest_centroid_accuracy",
    "pearson_correlation",
    "pooled_fast_energy",
    "pooled_std",
    "principal_axes",
    "psnr",
    "rank_correlation",
    "rigid_alignment",
    "ssim",
    "step_response",
    "vertex_error",
    "window_means",
]
