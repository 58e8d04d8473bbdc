"""Data loading in an order that can be resumed in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from readavatar.throughput import prefetch


class ResumableOrder(Sampler[int]):
    """``num_items`` items in order, of which a pass can leave out the first."""

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items
        self.skip = 0
        """Items that the next pass leaves out at its beginning, as an interrupted one has given them."""

    def __len__(self) -> int:
        return self.num_items

    def __iter__(self) -> Iterator[int]:
        skip, self.skip = self.skip, 0
        yield from self.order()[skip:]

    def order(self) -> list[int]:
        """The whole epoch's items."""
        return list(range(self.num_items))


class SeededOrder(ResumableOrder):
    """A random order, a function of (seed, epoch)."""

    def __init__(self, num_items: int, seed: int) -> None:
        super().__init__(num_items)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning tells which epoch begins."""
        self.epoch = epoch

    def order(self) -> list[int]:
        """The whole epoch's items."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.num_items, generator=generator).tolist()


class BatchLoader(DataLoader):
    """A loader for datasets that return whole batches.

    With a ``ResumableOrder`` it can be resumed: Lightning stores ``state_dict`` in checkpoints and restores it before
    the first batch. torchdata's ``StatefulDataLoader`` counts batches when they are made, and would resume one batch
    too far if a thread reads ahead; here batches are counted when they are returned.
    """

    def __init__(self, dataset: Any, prefetches: bool = False, **options: Any) -> None:
        """
        Args:
            dataset: Its ``__getitems__`` returns a batch; or its ``__getitem__``, with a ``batch_size`` of None.
            prefetches: Make the next batch in a thread while the current one is used. Unlike between processes, nothing
                is copied.
            options: For ``torch.utils.data.DataLoader``.
        """
        super().__init__(dataset, **{"collate_fn": _as_it_is, **options})
        self.prefetches, self._given, self._resumed = prefetches, 0, 0

    def __iter__(self) -> Iterator[Any]:
        # Nothing is read before the first batch is requested; Lightning has set the sampler's epoch by then.
        self._given, self._resumed = self._resumed, 0
        batches = super().__iter__()
        for batch in prefetch(batches) if self.prefetches else batches:
            self._given += 1
            yield batch
        self._given = 0

    def state_dict(self) -> dict[str, int]:
        """The number of batches of the epoch that were returned."""
        return {"given": self._given % max(1, len(self))}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the batches that were returned."""
        if isinstance(self.sampler, ResumableOrder):
            self._resumed = state_dict["given"]
            self.sampler.skip = self._resumed * (self.batch_size or 1)


def _as_it_is(batch: Any) -> Any:
    return batch
