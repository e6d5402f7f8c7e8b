"""Records of many samples, stored in columns: a million open at once and take little memory."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Literal, NamedTuple, overload

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from anrl.data.record import Record
from anrl.errors import DataError

INDEX_KEY = "__anrl__/index"
"""Key of a pack's index."""
INDEX_VERSION = 2

_TEXTS = ("path", "depth", "subject", "video", "attack")


class Texts(NamedTuple):
    """A column of strings: distinct strings joined to one buffer, and the number of a string for each row."""

    blob: NDArray[np.uint8]
    """The distinct strings in UTF-8, without separators; (bytes,)."""
    ends: NDArray[np.int64]
    """End of each string in ``blob``; (strings,)."""
    codes: NDArray[np.int32]
    """Number of each row's string; (N,)."""

    @classmethod
    def of(cls, values: Sequence[str]) -> "Texts":
        """Encode strings; equal ones are stored once."""
        numbers: dict[str, int] = {}
        codes = np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int32)
        encoded = [value.encode() for value in numbers]
        ends = np.cumsum([len(value) for value in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends, codes)

    def at(self, row: int) -> str:
        """The string of a row."""
        return self.named(int(self.codes[row]))

    def named(self, code: int) -> str:
        """The string of a number."""
        start = int(self.ends[code - 1]) if code else 0
        return self.blob[start : self.ends[code]].tobytes().decode(errors="replace")

    def given(self) -> NDArray[np.bool_]:
        """Whether each row's string is not empty; (N,)."""
        return (np.diff(self.ends, prepend=0) > 0)[self.codes]

    def check(self) -> None:
        """Raise a ValueError if a string lies outside the buffer, or a row has no string."""
        bounds = np.concatenate([[0], self.ends, [len(self.blob)]])
        if (np.diff(bounds) < 0).any() or (self.codes < 0).any() or (self.codes >= len(self.ends)).any():
            raise ValueError("texts out of bounds")


class Contents(NamedTuple):
    """Sizes and checksums of the files in a pack; each (N,)."""

    size: NDArray[np.int64]
    """Bytes of the image."""
    checksum: NDArray[np.uint32]
    """CRC-32 of the image."""
    depth_checksum: NDArray[np.uint32]
    """CRC-32 of the depth map, zero where there is none."""


class Records(Sequence[Record]):
    """A sequence of :class:`anrl.data.Record`, each created on access."""

    def __init__(
        self,
        texts: dict[str, Texts],
        label: NDArray[np.uint8],
        landmarks: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> None:
        """``rows`` selects rows of the columns; missing landmarks are NaN, or ``landmarks`` has no rows."""
        self.texts, self.label, self.landmarks, self.rows = texts, label, landmarks, rows

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Records":
        """Store a sequence of records in columns."""
        if isinstance(records, Records):
            return records
        records = list(records)
        texts = {name: Texts.of([getattr(r, name) or "" for r in records]) for name in _TEXTS}
        label = np.array([r.label for r in records], np.uint8)
        marks = [r.landmarks or (np.nan,) * 10 for r in records]
        landmarks = np.array(marks if any(r.landmarks for r in records) else [], np.float32).reshape(-1, 10)
        return cls(texts, label, landmarks, np.arange(len(records)))

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,): 0 = bona fide, 1 = attack."""
        return self.label[self.rows].astype(np.int64)

    @property
    def has_depth(self) -> NDArray[np.bool_]:
        """(N,): whether the depth is known: by a map, or because the sample is an attack: zero."""
        return self.texts["depth"].given()[self.rows] | (self.labels == 1)

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,): the same number for samples of one subject, or of one video if they name no subject.

        A sample without either is a group of its own.
        """
        subject, video = self.texts["subject"], self.texts["video"]
        pairs = subject.codes[self.rows].astype(np.int64) * len(video.ends) + video.codes[self.rows]
        distinct, numbers = np.unique(pairs, return_inverse=True)
        names = [
            subject.named(pair // len(video.ends)) or video.named(pair % len(video.ends)) for pair in distinct
        ]
        order = {name: number for number, name in enumerate(sorted(set(names) - {""}))}
        groups = np.array([order.get(name, -1) for name in names], np.int64)[numbers]
        alone = groups < 0
        groups[alone] = len(order) + np.arange(np.count_nonzero(alone))
        return groups

    @property
    def grouping(self) -> Literal["subject", "video", "sample"]:
        """Finest unit that :attr:`groups` has: "sample" if some samples have neither subject nor video."""
        subjects, videos = (self.texts[name].given()[self.rows] for name in ("subject", "video"))
        if subjects.all():
            return "subject"
        return "video" if (subjects | videos).all() else "sample"

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> "Records": ...
    def __getitem__(self, index: int | slice) -> "Record | Records":
        """Return one record, or a part of the sequence."""
        if isinstance(index, slice):
            return self.select(self.rows[index])
        row = int(self.rows[index])
        path, depth, subject, video, attack = (self.texts[name].at(row) for name in _TEXTS)
        marks = tuple(self.landmarks[row].tolist()) if len(self.landmarks) else (np.nan,)
        landmarks = None if np.isnan(marks[0]) else marks
        return Record(path, int(self.label[row]), depth or None, subject, video, attack, landmarks)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over the records in order."""
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether the records are equal."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # unhashable, as a list

    def select(self, rows: NDArray[np.int64]) -> "Records":
        """Select rows of the columns."""
        return Records(self.texts, self.label, self.landmarks, rows)

    def encode(self, name: str, contents: Contents) -> bytes:
        """Encode as the index of a pack, in the safetensors format."""
        compact = Records.of(list(self)) if len(self.rows) != len(self.label) else self
        columns: dict[str, NDArray[np.generic]] = {"label": compact.label, "landmarks": compact.landmarks}
        columns |= contents._asdict()
        for text, parts in compact.texts.items():
            columns |= {f"{text}.{part}": values for part, values in parts._asdict().items()}
        return safetensors.numpy.save(columns, {"version": str(INDEX_VERSION), "name": name})


def decode_index(index: bytes, where: str) -> tuple[str, Records, Contents]:
    """Decode the index of a pack: the domain's name, its records, sizes and checksums of their files.

    Raises:
        DataError: the index is of another version or damaged.
    """
    try:
        length = int.from_bytes(index[:8], "little")
        # The first version was JSON.
        header = {} if index.startswith(b"{") else json.loads(index[8 : 8 + length])
        metadata = header.get("__metadata__", {"version": "1"})
        if metadata["version"] != str(INDEX_VERSION):
            raise DataError(
                f"{where}: its index has version {metadata['version']} and this anrl reads {INDEX_VERSION}; "
                "pack the files again"
            )
        columns = safetensors.numpy.load(index)
        texts = {name: Texts(*(columns[f"{name}.{part}"] for part in Texts._fields)) for name in _TEXTS}
        label = columns["label"]
        contents = Contents(*(columns[name] for name in Contents._fields))
        lengths = {len(column) for column in (label, *contents, *(text.codes for text in texts.values()))}
        if len(lengths) != 1:
            raise ValueError("columns differ in length")
        for text in texts.values():
            text.check()
        if (label > 1).any() or columns["landmarks"].shape not in ((0, 10), (len(label), 10)):
            raise ValueError("labels or landmarks of another kind")
        records = Records(texts, label, columns["landmarks"], np.arange(len(label)))
        return metadata["name"], records, contents
    except (KeyError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise DataError(f"{where}: its index is damaged ({error!r}); pack the files again") from None


assert set(_TEXTS) | {"label", "landmarks"} == {field.name for field in fields(Record)}
