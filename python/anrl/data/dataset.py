"""The samples of a domain as a torch Dataset, for a torch DataLoader."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from anrl.data.domain import Domain
from anrl.data.transform import Transform


class Sample(NamedTuple):
    """An image with its label and depth map."""

    image: Tensor
    """(channels, S, S), of the transform's output type."""
    label: Tensor
    """0 = bona fide, 1 = attack; a scalar."""
    depth: Tensor
    """(D, D) in [0, 1], float32; zero for attacks."""
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    """Position in the domain's records; a scalar."""


class LmdbDataset(Dataset[Sample]):
    """The samples of a domain, by position.

    For training, :class:`anrl.data.DomainLoader` is faster and needs no worker processes. Augmentations
    depend on the seed, the epoch and the sample alone: call :meth:`set_epoch` before every epoch, which also
    reaches persistent workers.

    Args:
        domain: The samples.
        transform: From a stored sample to tensors.
        augment: Whether to draw the transform's augmentations.
        seed: Seed of the augmentations.
    """

    def __init__(self, domain: Domain, transform: Transform, augment: bool = False, seed: int = 0) -> None:
        self.domain = domain
        self.transform = transform
        self.augment = augment
        self.seed = seed
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]  # torch's own is untyped

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that augmentations are drawn for."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.domain)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: the sample cannot be read.
            IndexError: there is no sample at that position.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Read several samples on as many threads as torch uses; a DataLoader calls this by itself."""
        count = len(self)
        if any(not -count <= index < count for index in indices):
            raise IndexError(f"there are {count} samples; got {list(indices)}")
        rows = [[index % count] for index in indices]
        image, label, depth, failures = self.transform.core.load(
            [self.domain.samples],
            rows,
            [[0]] * len(rows),
            self.augment,
            self.seed,
            int(self._epoch),
            torch.get_num_threads(),
        )
        if failures:
            raise failures[0][2]
        columns = (torch.from_numpy(array)[:, 0] for array in (image, label, depth))
        return [Sample(*row) for row in zip(*columns, torch.tensor(rows)[:, 0], strict=True)]
