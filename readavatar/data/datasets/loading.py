"""Data loading in an order given by seed and epoch, which can be resumed in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from readavatar.throughput import prefetch


class SeededOrder(Sampler[int]):
    """A random order of ``num_items`` items, a function of (seed, epoch)."""

    def __init__(self, num_items: int, seed: int) -> None:
        self.num_items, self.seed, self.epoch, self.skip = num_items, seed, 0, 0
        """``skip``: number of items that the next pass leaves out, since an interrupted pass has returned them."""

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning when an epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_items

    def __iter__(self) -> Iterator[int]:
        skip, self.skip = self.skip, 0
        yield from self.order()[skip:]

    def order(self) -> list[int]:
        """All items of the epoch, in order."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.num_items, generator=generator).tolist()


class BatchLoader(DataLoader):
    """A loader for datasets whose ``__getitems__`` returns a whole batch.

    With a ``SeededOrder`` it can be resumed: Lightning stores ``state_dict`` in checkpoints and restores it before the
    first batch. torchdata's ``StatefulDataLoader`` counts batches when they are made, and would resume one batch too
    far if a thread reads ahead; here batches are counted when they are returned.
    """

    def __init__(self, dataset: Any, prefetches: bool = False, **options: Any) -> None:
        """
        Args:
            dataset: One with ``__getitems__``.
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
        if isinstance(self.sampler, SeededOrder):
            self._resumed = state_dict["given"]
            self.sampler.skip = self._resumed * self.batch_size


def _as_it_is(batch: Any) -> Any:
    return batch
