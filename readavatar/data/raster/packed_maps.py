"""Rasterised maps of a whole clip in little space: only what is covered is kept, at the precision that it needs.

A minute at 256², seen at four points a pixel, takes 1.1 GB instead of 12; the file is mapped into memory, not read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from readavatar.data.raster.render_inputs import RenderMaps

_UV_STEPS = 65535
_NORMAL_STEPS = 127


class PackedMaps:
    """``RenderMaps`` of T frames, of which some are unpacked at a time."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """Wrap what ``pack_maps`` gave."""
        self.tensors = tensors
        self.resolution, self.supersampling = tuple(tensors["resolution"].tolist()), int(tensors["supersampling"])

    def __len__(self) -> int:
        return len(self.tensors["covered"])

    def unpack(self, indices: Iterable[int]) -> RenderMaps:
        """The maps of some frames, dense."""
        return RenderMaps(*map(torch.stack, zip(*map(self._unpack_one, indices), strict=True)))

    def _unpack_one(self, index: int) -> tuple[Tensor, ...]:
        packed, shape = self.tensors, tuple(self.supersampling * side for side in self.resolution)
        # NumPy finds set bits and scatters to them several times as fast as PyTorch.
        points = _unpacked_bits(packed["covered"][index], shape)
        pixels = _any_of_points(points, self.supersampling)
        start, stop = packed["offsets"][index : index + 2].tolist()
        first, last = packed["pixel_offsets"][index : index + 2].tolist()
        uvs = _spread((packed["uvs"][start:stop].float() + 32768) / _UV_STEPS, points)
        normals = _spread(packed["normals"][first:last].float() / _NORMAL_STEPS, pixels)
        regions, parts = _spread(packed["labels"][start:stop], points)
        paint_mask = torch.from_numpy(_unpacked_bits(packed["paint_mask"][index], self.resolution))
        return uvs, normals, regions, parts, paint_mask[None].float()


def pack_maps(chunks: Iterable[RenderMaps]) -> dict[str, Tensor]:
    """Pack the maps of consecutive frames; the tensors are fit for a safetensors file and for ``PackedMaps``."""
    columns: dict[str, list[Tensor]] = defaultdict(list)
    for maps in chunks:
        covered = maps.regions > 0
        pixels = torch.from_numpy(_any_of_points(covered.numpy(), maps.supersampling))
        columns["covered"].append(_packed_bits(covered))
        columns["paint_mask"].append(_packed_bits(maps.paint_mask[:, 0] > 0))
        columns["offsets"].append(covered.sum((1, 2)))
        columns["pixel_offsets"].append(pixels.sum((1, 2)))
        columns["uvs"].append((maps.uvs.movedim(1, -1)[covered] * _UV_STEPS - 32768).round().to(torch.int16))
        columns["normals"].append((maps.normals.movedim(1, -1)[pixels] * _NORMAL_STEPS).round().to(torch.int8))
        columns["labels"].append(torch.stack([maps.regions[covered], maps.parts[covered]], -1))
    tensors = {name: torch.cat(values) for name, values in columns.items()}
    for name in ("offsets", "pixel_offsets"):
        tensors[name] = torch.cat([torch.zeros(1, dtype=torch.long), tensors[name].cumsum(0)])
    scale = {"resolution": torch.tensor(maps.paint_mask.shape[-2:]), "supersampling": torch.tensor(maps.supersampling)}
    return {**tensors, **scale}


def _any_of_points(covered: np.ndarray, supersampling: int) -> np.ndarray:
    """Which pixels are covered at any of their points."""
    *batch, height, width = covered.shape
    split = (*batch, height // supersampling, supersampling, width // supersampling, supersampling)
    return covered.reshape(split).any((-3, -1))


def _spread(values: Tensor, covered: np.ndarray) -> Tensor:
    """Put rows where ``covered`` is true, and zeros elsewhere."""
    image = np.zeros((covered.size, values.shape[1]), values.numpy().dtype)
    image[np.flatnonzero(covered)] = values.numpy()
    return torch.from_numpy(image).T.unflatten(1, covered.shape)


def _packed_bits(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.flatten(1).numpy(), axis=1))


def _unpacked_bits(bits: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    return np.unpackbits(bits.numpy(), count=math.prod(shape)).reshape(shape).view(bool)
