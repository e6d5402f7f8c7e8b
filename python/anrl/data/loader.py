"""The data loader: batches of several domains, decoded by Rust threads while the network computes."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anrl.data.ahead import run_ahead
from anrl.data.domain import Domain
from anrl.data.transform import Transform
from anrl.errors import DataError

_MAX_THREADS = 1024


class DomainBatch(NamedTuple):
    """B samples of one domain."""

    image: Tensor
    """(B, channels, S, S)."""
    label: Tensor
    """(B,), 0 = bona fide, 1 = attack."""
    depth: Tensor
    """(B, D, D) in [0, 1]; zero for attacks, and where ``has_depth`` is False."""
    has_depth: Tensor | None = None
    """(B,): False for bona fide samples without depth map; None if there are none in the batch."""


class Batch(NamedTuple):
    """B samples of each of K domains."""

    image: Tensor
    """(B, K, channels, S, S), of the transform's output type."""
    label: Tensor
    """(B, K), 0 = bona fide, 1 = attack."""
    depth: Tensor
    """(B, K, D, D) in [0, 1], float32; zero for attacks, and where ``has_depth`` is False."""
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    """(B, K): positions in the domains' records."""
    keys: list[list[str]] | None = None
    """The samples' keys in their packs, B lists of K, if asked for."""
    has_depth: Tensor | None = None
    """(B, K): False for bona fide samples without depth map; None if there are none in the batch."""
    domain_dim: int = 1
    """Dimension of the domains in all tensors: 1, or 0 where the loader was asked for ``domain_major``."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Copy images, labels and depth to a device, all at once; the positions stay on the CPU."""
        image, label, depth = (t.to(device, non_blocking=non_blocking) for t in self[:3])
        has_depth = self.has_depth
        if has_depth is not None:
            has_depth = has_depth.to(device, non_blocking=non_blocking)
        return self._replace(image=image, label=label, depth=depth, has_depth=has_depth)

    def domains(self) -> list[DomainBatch]:
        """Slice by domain, without copies."""
        parts = [t.unbind(self.domain_dim) for t in self[:3]]
        if self.has_depth is not None:
            parts.append(self.has_depth.unbind(self.domain_dim))
        return [DomainBatch(*tensors) for tensors in zip(*parts, strict=True)]


class DomainLoader:
    """A reproducible loader whose batches hold samples of every domain.

    Iterating runs one epoch; the next starts with other draws, unless :meth:`set_epoch` says otherwise. Order
    and augmentations depend only on the seed, the epoch, the domain, the sample and how often it was drawn
    before in the epoch: not on threads, ranks or where the run was resumed. One Rust call makes a batch,
    without worker processes; errors keep its order.

    Args:
        domains: The source domains.
        batch_size: Samples of each domain in a batch.
        transform: From a stored sample to tensors, with its augmentations.
        seed: Seed of order and augmentations.
        balanced: Whether half of every domain's samples in every batch are bona fide and half attacks, and an
            epoch sees every sample of the longest class once, shorter ones starting over. Otherwise an epoch
            is as long as the longest domain, item i is sample i modulo a domain's length, and the items are
            those of torch's DistributedSampler with the same seed.
        shuffle: Whether to draw the order anew in every epoch.
        rank: Number of this process.
        world_size: Number of processes that share an epoch.
        num_threads: Number of decoding threads; by default as many as torch uses.
        prefetch: Number of batches that are made ahead. At most two more exist at a time.
        drop_last: Whether to leave out a last, smaller batch (or the samples that do not fill all ranks).
        on_error: "raise", or "skip" to warn and take the next sample of the same class instead.
        pin_memory: Whether to copy batches to page-locked memory, where there is a GPU.
        domain_major: Whether tensors are (K, B, …), each domain's samples next to each other, instead of
            (B, K, …).
        keys: Whether batches contain their samples' keys.

    Raises:
        ValueError: an argument is out of range, or there are no domains.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        batch_size: int,
        transform: Transform,
        seed: int = 0,
        *,
        balanced: bool = True,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        num_threads: int | None = None,
        prefetch: int = 2,
        drop_last: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        pin_memory: bool = False,
        domain_major: bool = False,
        keys: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        if balanced and batch_size % 2:
            raise ValueError(f"batch_size must be even, for half bona fide and half attack; got {batch_size}")
        if not domains:
            raise ValueError("a loader needs at least one domain")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be from 0 to world_size - 1 = {world_size - 1}, not {rank}")
        if num_threads is not None and not 1 <= num_threads <= _MAX_THREADS:
            raise ValueError(f"num_threads must be from 1 to {_MAX_THREADS}, not {num_threads}")
        if prefetch < 0:
            raise ValueError(f"prefetch must not be negative, but is {prefetch}")
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.domains = list(domains)
        self.batch_size = batch_size
        self.transform = transform
        self.augment = True
        self.seed = seed
        self.balanced = balanced
        self.shuffle = shuffle
        self.rank = rank
        self.world_size = world_size
        self.num_threads = num_threads
        self.prefetch = prefetch
        self.drop_last = drop_last
        self.on_error = on_error
        self.pin_memory = pin_memory
        self.domain_major = domain_major
        self.keys = keys
        self._classes = [[np.flatnonzero(d.labels == label) for label in (0, 1)] for d in self.domains]
        self._depths = [domain.records.has_depth for domain in self.domains]
        # Unreadable samples, by domain.
        self._bad: list[set[int]] = [set() for _ in self.domains]
        self._epoch = 0
        self._step = 0
        self._resume = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        if self.balanced:
            longest = max(len(members) for classes in self._classes for members in classes)
            batches = longest / (self.batch_size // 2 * self.world_size)
        else:
            batches = self._items() / self.batch_size
        return int(np.floor(batches) if self.drop_last else np.ceil(batches))

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the current epoch, after :meth:`load_state_dict` over the rest of it."""
        start = self._step if self._resume else 0
        self._resume, self._step = False, start
        for batch in self.epoch(self._epoch, start):
            self._step += 1
            yield batch
        self._epoch, self._step = self._epoch + 1, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration runs, from its first batch."""
        self._epoch, self._step, self._resume = epoch, 0, False

    def state_dict(self) -> dict[str, int]:
        """Return the loader's position: the epoch, and the number of its batches taken."""
        return {"epoch": self._epoch, "step": self._step, "seed": self.seed, "length": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume at a position; skips to it without reading, with any number of threads.

        Raises:
            ValueError: the state is that of a loader with another seed or length.
        """
        own = self.state_dict()
        for key in ("seed", "length"):
            if state[key] != own[key]:
                raise ValueError(f"the state is of a loader with {key} {state[key]}, not {own[key]}")
        self._epoch, self._step, self._resume = state["epoch"], state["step"], True

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over one epoch from batch ``start`` on, without moving the loader's position."""
        rows, repeats = self._balanced_rows(epoch) if self.balanced else self._rows(epoch)
        starts = range(0, len(rows), self.batch_size)
        chunks = [(rows[at : at + self.batch_size], repeats[at : at + self.batch_size]) for at in starts]
        if not self.balanced and self.drop_last:
            chunks = chunks[: len(self)]
        load = partial(self._load, [domain.samples for domain in self.domains], epoch)
        yield from run_ahead(load, chunks[start:], num_threads=1, ahead=self.prefetch)

    def _items(self) -> int:
        """The number of items that each rank takes in an unbalanced epoch."""
        items = max(len(domain) for domain in self.domains) / self.world_size
        return int(np.floor(items) if self.drop_last else np.ceil(items))

    def _rows(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The items of a rank in an unbalanced epoch, (items, K): positions in the domains, earlier draws."""
        longest = max(len(domain) for domain in self.domains)
        generator = torch.Generator().manual_seed(self.seed + epoch)
        order = torch.randperm(longest, generator=generator).numpy() if self.shuffle else np.arange(longest)
        # The first items fill up the last ranks, as in torch's DistributedSampler.
        places = np.arange(self._items() * self.world_size)[self.rank :: self.world_size]
        items = order[places % longest] + places // longest * longest
        lengths = np.array([len(domain) for domain in self.domains])
        rounds = -(-longest // lengths)
        return (
            (items % longest)[:, None] % lengths,
            (items % longest)[:, None] // lengths + (items // longest)[:, None] * rounds,
        )

    def _balanced_rows(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rank's items of a balanced epoch, in each batch bona fide samples first; as :meth:`_rows`."""
        half, steps = self.batch_size // 2, len(self)
        places = np.arange(steps * half * self.world_size).reshape(steps, -1)[:, self.rank :: self.world_size]
        columns, repeats = [], []
        for k, classes in enumerate(self._classes):
            halves = []
            for label, members in enumerate(classes):
                draw = np.random.default_rng([self.seed, epoch, k, label])
                order = draw.permutation(members) if self.shuffle else members
                halves.append(order[places % len(order)])
            columns.append(np.concatenate(halves, 1).ravel())
            repeats.append(np.concatenate([places // len(members) for members in classes], 1).ravel())
        return np.stack(columns, 1), np.stack(repeats, 1)

    def _load(
        self, samples: list[Any], epoch: int, chunk: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> Batch:
        num_threads = self.num_threads or torch.get_num_threads()
        rows, repeats = (part.copy() for part in chunk)
        while True:
            *arrays, failures = self.transform.core.load(
                samples, rows.tolist(), repeats.tolist(), self.augment, self.seed, epoch, num_threads
            )
            if failures and self.on_error == "raise":
                raise failures[0][2]
            if not failures:
                break
            for row, k, error in failures:
                # Its augmentation is not one of those that the next sample has by itself.
                repeats[row, k] += (rows[row, k] + 1) << 32
                rows[row, k] = self._next(k, int(rows[row, k]))
                warnings.warn(f"{error}; the next sample of its class takes its place", stacklevel=2)
        tensors = (torch.from_numpy(array) for array in (*arrays, rows))
        if self.domain_major:
            tensors = (tensor.transpose(0, 1) for tensor in tensors)
        if self.pin_memory and torch.cuda.is_available():
            tensors = (tensor.pin_memory() for tensor in tensors)
        image, label, depth, index = tensors
        has_depth = self._has_depth(rows)
        keys = None
        if self.keys:
            keys = [[d.records[i].path for d, i in zip(self.domains, row, strict=True)] for row in rows]
        return Batch(image, label, depth, index, keys, has_depth, domain_dim=0 if self.domain_major else 1)

    def _has_depth(self, rows: NDArray[np.int64]) -> Tensor | None:
        known = np.stack([self._depths[k][rows[:, k]] for k in range(len(self.domains))], 1)
        if known.all():
            return None
        return torch.from_numpy(known.T if self.domain_major else known)

    def _next(self, k: int, index: int) -> int:
        """The next readable sample of a class after an unreadable one."""
        domain = self.domains[k]
        members = self._classes[k][domain.labels[index]]
        self._bad[k].add(index)
        for candidate in np.roll(members, -1 - np.searchsorted(members, index)).tolist():
            if candidate not in self._bad[k]:
                return int(candidate)
        raise DataError(f"{domain.path}: no sample of the class of {domain.records[index].path} can be read")


def evaluation_batches(domain: Domain, batch_size: int, transform: Transform) -> Iterator[DomainBatch]:
    """Iterate once over the samples of a domain, in order and without augmentation."""
    loader = DomainLoader([domain], batch_size, transform, balanced=False, shuffle=False)
    loader.augment = False
    for batch in loader.epoch(0):
        yield from batch.domains()
