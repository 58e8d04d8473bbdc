"""Choice of the device by name."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from readavatar.errors import UserError


def choose_device(name: str = "auto") -> torch.device:
    """The device with a given name.

    Args:
        name: ``cpu``; ``cuda`` or ``cuda:1`` (NVIDIA's and AMD's GPUs); ``mps`` (Apple's); or ``auto``, the first
            available one of ``cuda``, ``mps`` and ``cpu``.

    Raises:
        UserError: The device is unknown or not available.
    """
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps and _mps_suffices() else "cpu"
    if name == "cuda" and cuda:
        return torch.device("cuda", torch.cuda.current_device())
    if name not in ("cpu", *cuda, *mps):
        raise UserError(f"Expected a device of {', '.join(['auto', 'cpu', *cuda, *mps])}, but got '{name}'.")
    return torch.device(name)


def _mps_suffices() -> bool:
    """Whether texture look-up with repeated edges works on Apple's GPUs (in PyTorch from version 2.11 on)."""
    try:
        image, grid = torch.zeros(1, 1, 2, 2, device="mps"), torch.zeros(1, 1, 1, 2, device="mps")
        for mode in ("bilinear", "bicubic"):
            F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)
    except RuntimeError:  # of which PyTorch's error for a missing kernel is a subclass
        return False
    return True
