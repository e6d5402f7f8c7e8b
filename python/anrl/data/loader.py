"""Batches of several domains at once, decoded by Rust threads while the network computes."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.domain import Domain
from anrl.data.transform import Transform

_PREFETCH = 2
"""Batches that wait for the network. One thread suffices: Rust spreads each over all cores."""


class Batch(NamedTuple):
    """B samples of each of K domains."""

    image: Tensor
    """(B, K, channels, S, S), float32."""
    label: Tensor
    """(B, K), 0 = bona fide, 1 = attack."""
    depth: Tensor
    """(B, K, D, D) in [0, 1], float32; zero for attacks."""
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    """(B, K): positions in the domains' records."""


class DomainLoader:
    """Endless shuffling of several domains, half bona fide and half attack in every domain of every batch.

    One epoch sees every sample of the longest class of all domains once; shorter ones start over. The order
    and every augmentation depend only on (seed, epoch, domain, sample).

    Args:
        domains: The source domains.
        batch_size: Samples of each domain in a batch; even.
        transform: How to read a sample, with its augmentations.
        seed: Decides order and augmentations.

    Raises:
        ValueError: ``batch_size`` is odd or not positive, or there are no domains.
    """

    def __init__(
        self, domains: Sequence[Domain], batch_size: int, transform: Transform, seed: int = 0
    ) -> None:
        """See the class."""
        if batch_size < 2 or batch_size % 2:
            raise ValueError(f"batch_size must be even, for half bona fide and half attack; got {batch_size}")
        if not domains:
            raise ValueError("a loader needs at least one domain")
        self.domains = list(domains)
        self.batch_size = batch_size
        self.transform = transform
        self.seed = seed
        self._classes = [[np.flatnonzero(d.labels == label) for label in (0, 1)] for d in self.domains]

    def __len__(self) -> int:
        """Batches in an epoch."""
        longest = max(len(members) for classes in self._classes for members in classes)
        return -(-longest // (self.batch_size // 2))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from batch ``start`` on."""
        half, steps = self.batch_size // 2, len(self)
        columns = []
        for k, classes in enumerate(self._classes):
            halves = []
            for label, members in enumerate(classes):
                order = np.random.default_rng([self.seed, epoch, k, label]).permutation(members)
                halves.append(np.resize(order, (steps, half)))
            columns.append(np.concatenate(halves, 1))
        indices = np.stack(columns, 2)

        samples = [domain.samples for domain in self.domains]
        load = partial(_load, samples, self.transform, self.transform, self.seed, epoch)
        yield from run_ahead(load, indices[start:], threads=1, ahead=_PREFETCH)


def evaluation_batches(domain: Domain, batch_size: int, transform: Transform) -> Iterator[Batch]:
    """Every sample of a domain once, in order, without augmentation; K is 1."""
    chunks = np.array_split(np.arange(len(domain))[:, None], -(-len(domain) // batch_size))
    load = partial(_load, [domain.samples], transform, None, 0, 0)
    yield from run_ahead(load, chunks, threads=1, ahead=_PREFETCH)


def _load(
    samples: list[_anrl.Samples],
    transform: Transform,
    augment: Transform | None,
    seed: int,
    epoch: int,
    rows: NDArray[np.int64],
) -> Batch:
    image, label, depth = _anrl.load_batch(samples, rows.tolist(), transform.core, augment, seed, epoch)
    return Batch(image, label, depth, torch.from_numpy(rows))
