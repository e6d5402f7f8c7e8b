"""A domain: the samples of one data set, in one pack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anrl import _anrl
from anrl.data.decode import decode_image
from anrl.data.lists import Record, read_list
from anrl.data.pack import INDEX_KEY, check_classes
from anrl.data.records import Records, decode_index
from anrl.errors import DataError


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
            lists: List files whose paths are keys of the pack. They replace the index.
            name: Name of the domain; by default the one in the index, or that of the pack.
            columns: See :func:`anrl.data.read_list`.
            depth_rule: See :func:`anrl.data.read_list`.

        Raises:
            DataError: the pack or a list cannot be read, has no samples or one class only, or a sample of a
                list is not in the pack.
        """
        path = Path(path)
        store = _anrl.Pack(str(path))
        index = store.get(INDEX_KEY)
        stored_name = path.name
        if lists:
            listed = [r for file in lists for r in read_list(file, columns=columns, depth_rule=depth_rule)]
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

        Samples without subject are split by video.

        Args:
            fraction: Fraction of the subjects in the validation part, in (0, 1).
            seed: Seed of the draw.

        Returns:
            The training part and the validation part.

        Raises:
            DataError: one of the parts would lack a class.
        """
        group = self.records.groups
        groups = int(group.max()) + 1
        order = np.random.default_rng(seed).permutation(groups)
        count = min(max(1, round(fraction * groups)), groups - 1)
        is_validation = np.isin(group, order[:count])
        parts = self._part(~is_validation), self._part(is_validation)
        for part, purpose in zip(parts, ("training", "validation"), strict=True):
            if set(part.labels.tolist()) != {0, 1}:
                raise DataError(
                    f"{self.path}: a validation part of {count} of {groups} subjects leaves the {purpose} "
                    "part without samples of both classes; change the validation fraction or the seed"
                )
        return parts
