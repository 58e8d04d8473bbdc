"""The frames and masks of a clip store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from readavatar.errors import UserError


def image_name(index: int) -> str:
    """File name of a frame or a mask."""
    return f"{index:06d}.png"


def read_image(path: Path, mode: str, size: int) -> UInt8[np.ndarray, "size size *channels"]:
    """Read a square picture.

    Args:
        path: The PNG.
        mode: ``RGB`` or ``L``; a picture of another is not one that a clip store's writer wrote.
        size: Pixels.

    Raises:
        UserError: It is missing, damaged, of another size or of another mode.
    """
    try:
        with Image.open(path) as image:
            found = image.mode
            pixels = np.asarray(image)
    except (FileNotFoundError, OSError) as error:
        raise UserError(f"Expected a whole image at '{path}', but {error}; prepare the clip again.") from None
    if pixels.shape[:2] != (size, size):
        raise UserError(f"Expected {size}×{size} pixels in '{path}', but got {pixels.shape[1]}×{pixels.shape[0]}.")
    if found != mode:
        raise UserError(f"Expected an image of mode {mode} at '{path}', but got {found}; prepare the clip again.")
    return pixels
