"""How good a result is: pure functions on tensors, unreduced over the batch unless a function says otherwise."""

from readavatar.metrics.geometry import landmark_error, rigid_alignment, vertex_error
from readavatar.metrics.image import psnr, ssim
from readavatar.metrics.motion import (
    audio_visual_offset,
    closure_recall,
    fast_motion_ratio,
    high_frequency_energy,
    motion_std,
    pearson_correlation,
    pooled_fast_energy,
    pooled_std,
)
from readavatar.metrics.statistics import (
    Interval,
    Response,
    StepBack,
    bootstrap_interval,
    frechet_distance,
    largest_step_back,
    motion_windows,
    nearest_centroid_accuracy,
    principal_axes,
    rank_correlation,
    step_response,
    window_means,
)

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
