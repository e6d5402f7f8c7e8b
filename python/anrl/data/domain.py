"""A domain: the samples of one data set, in one pack."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.decode import decode_image
from anrl.data.lists import read_samples
from anrl.data.pack import check_classes
from anrl.data.record import Record
from anrl.data.records import INDEX_KEY, Records, decode_index
from anrl.errors import DataError

_SPLITS = 100
"""Draws of a validation part before none is thought to have both classes."""


class DecodedSample(NamedTuple):
    """A stored sample as :meth:`Domain.read` returns it: decoded, neither resized nor normalized."""

    image: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    depth: NDArray[np.uint8] | None
    """(H', W'), 0 = background, 255 = nearest; None where the record names no depth map."""
    record: Record
    """Key, label, subject, video and attack species."""


@dataclass(frozen=True)
class Domain:
    """Samples of one data set, and the pack that holds their bytes.

    :meth:`open` opens a pack, :meth:`select` takes a part of a domain, :meth:`read` decodes one sample. A
    domain can be pickled and sent to other processes.
    """

    path: Path
    """The pack."""
    name: str
    """The domain's name."""
    records: Records = field(repr=False)
    """The samples: a sequence of :class:`anrl.data.Record`."""

    @classmethod
    def open(
        cls,
        path: str | Path,
        lists: Sequence[str | Path] = (),
        *,
        name: str | None = None,
        columns: Sequence[str] | None = None,
        depth_rule: str | None = None,
    ) -> "Domain":
        """Open a pack, with its own index or, for packs of the official layout, with list files.

        Args:
            path: A folder with ``data.mdb``, or an LMDB file.
            lists: List or CSV files whose paths are keys of the pack. They replace the index.
            name: Name of the domain; by default the one in the index, or that of the pack.
            columns: See :func:`anrl.data.read_samples`.
            depth_rule: See :func:`anrl.data.read_samples`.

        Raises:
            DataError: the pack or a list cannot be read, has no samples or one class only, or a sample of a
                list is not in the pack.
        """
        path = Path(path)
        store = _anrl.Pack(str(path))
        index = store.get(INDEX_KEY)
        stored_name = path.name
        if lists:
            listed = [r for file in lists for r in read_samples(file, columns=columns, depth_rule=depth_rule)]
            records = Records.of(listed)
        elif index is not None:
            stored_name, records, _ = decode_index(index, str(path))
        else:
            raise DataError(
                f"{path}: a pack without an index (of the official layout, perhaps); "
                "give the list files that belong to it"
            )
        check_classes(records, str(path))
        domain = cls(path, name or stored_name, records)
        if lists:
            domain.samples.check()
        return domain

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.records)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the open pack."""
        return {"path": self.path, "name": self.name, "records": self.records}

    @cached_property
    def _pack(self) -> _anrl.Pack:
        return _anrl.Pack(str(self.path))

    @cached_property
    def samples(self) -> _anrl.Samples:
        """The samples as the Rust loader takes them: positions in the memory map."""
        records = self.records
        return _anrl.Samples(
            self._pack,
            records.texts["path"],
            records.texts["depth"],
            records.label,
            records.landmarks,
            records.rows,
        )

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,): 0 = bona fide, 1 = attack."""
        return self.records.labels

    def read(self, index: int) -> DecodedSample:
        """Decode one sample; for batches use :class:`anrl.data.DomainLoader`.

        Args:
            index: Position in ``records``; negative ones count from the end.

        Raises:
            DataError: the image or the depth map is missing or damaged.
            IndexError: there is no sample at that position.
        """
        record = self.records[index]
        image = self._decode(record.path, gray=False)
        depth = self._decode(record.depth, gray=True)[..., 0] if record.depth is not None else None
        return DecodedSample(image, depth, record)

    def stored(self, key: str) -> bytes | None:
        """Bytes of a stored file, or None if the pack has no such key."""
        return self._pack.get(key)

    def _decode(self, key: str, *, gray: bool) -> NDArray[np.uint8]:
        content = self._pack.get(key)
        if content is None:
            raise DataError("is not in the pack", path=str(self.path), key=key)
        try:
            return decode_image(content, gray)
        except DataError as error:
            raise DataError(error.reason, path=str(self.path), key=key) from None

    def select(self, keep: Callable[[Record], bool]) -> "Domain":
        """Select the samples for which ``keep`` is true."""
        return self._part(np.array([keep(r) for r in self.records], bool))

    def readable(self) -> tuple["Domain", list[str]]:
        """Select the samples that can be decoded, by decoding all of them.

        Returns:
            The domain of these samples, and the reason why each other one cannot be read.

        Raises:
            DataError: no sample of a class is left.
        """

        def problem(index: int) -> str | None:
            try:
                self.read(index)
            except DataError as error:
                return str(error)
            return None

        reasons = list(run_ahead(problem, range(len(self)), num_threads=os.cpu_count() or 1, ahead=64))
        kept = self._part(np.array([reason is None for reason in reasons], bool))
        check_classes(kept.records, str(self.path))
        return kept, [reason for reason in reasons if reason is not None]

    def of_class(self, label: int) -> "Domain":
        """Select the bona fide samples (0) or the attacks (1)."""
        return self._part(self.labels == label)

    def evenly_spaced(self, count: int) -> "Domain":
        """Select at most ``count`` samples at equal distances."""
        positions = np.linspace(0, len(self) - 1, min(count, len(self)))
        return self._part(positions.round().astype(np.int64))

    def shard(self, rank: int, world_size: int) -> "Domain":
        """Select the samples rank, rank + world_size, …; the first samples fill up the last shards."""
        length = -(-len(self) // world_size)
        return self._part(np.resize(np.arange(len(self)), length * world_size)[rank::world_size])

    def _part(self, kept: NDArray[Any]) -> "Domain":
        return Domain(self.path, self.name, self.records.select(self.records.rows[kept]))

    def split_validation(self, fraction: float, seed: int) -> tuple["Domain", "Domain"]:
        """Split into a training part and a validation part, with no subject in both.

        Samples without subject are split by video, and those without video by themselves, with a warning:
        frames of one video are alike, so that the validation part then tells less.

        Args:
            fraction: Fraction of the subjects in the validation part, in (0, 1).
            seed: Seed of the draw.

        Returns:
            The training part and the validation part.

        Raises:
            DataError: one of the parts would lack a class.
        """
        group, grouping = self.records.groups, self.records.grouping
        if grouping == "sample":
            warnings.warn(
                f"{self.path}: samples name neither subject nor video, so they are split one by one; frames "
                "of one video may be in both parts. Name subjects or videos in the list",
                stacklevel=2,
            )
        groups = int(group.max()) + 1
        draws = np.random.default_rng(seed)
        count = min(max(1, round(fraction * groups)), groups - 1)
        for _ in range(_SPLITS):
            is_validation = np.isin(group, draws.permutation(groups)[:count])
            parts = self._part(~is_validation), self._part(is_validation)
            if all(set(part.labels.tolist()) == {0, 1} for part in parts):
                return parts
        raise DataError(
            f"{self.path}: no validation part of {count} of {groups} {grouping}s leaves samples of both "
            "classes in both parts; change the validation fraction or name more subjects in the list"
        )
