"""Writing packs: images under their paths, and an index under a reserved key."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.pack_folder import replacing_pack
from anrl.data.record import Record
from anrl.data.records import INDEX_KEY, Contents, Records
from anrl.data.transform import Transform
from anrl.errors import DataError
from anrl.progress import Progress

ImageFormat = Literal["jpeg", "png", "raw"]
Store = Callable[[bytes, bool], bytes]
"""From a file's bytes, and whether it is a depth map, to what is stored."""


def pack(
    out: str | Path,
    records: Sequence[Record],
    *,
    root: str | Path = ".",
    name: str | None = None,
    image_size: int | None = None,
    depth_size: int | None = None,
    image_format: ImageFormat | None = None,
    num_threads: int | None = None,
    overwrite: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    allow_missing_depth: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Write an LMDB pack of one domain.

    Every image is decoded once to be sure that it is whole. The pack is built beside ``out`` and renamed
    when complete, so whatever happens nothing half-written is left at ``out``, and nothing there is lost.
    What a killed run left beside ``out`` is removed by the next one.

    Files are stored as they are, unless one of the sizes or an image format is given. Then images are
    decoded, turned upright, resized as :class:`anrl.data.Transform` would, and stored anew. HSV is computed
    from the stored pixels later, so resizing here and resizing there are close, not equal.

    Args:
        out: The folder to create.
        records: The samples, from :func:`anrl.data.read_samples`. Their keys are their paths with ``/``
            between folders and without ``.`` and ``..``.
        root: The folder that the records' paths are relative to.
        name: Name of the domain; by default the name of ``out``.
        image_size: Side to resize images to.
        depth_size: Side to resize depth maps to; by default an eighth of ``image_size``.
        image_format: "jpeg" (quality 95, full color resolution; what resized images become by default),
            "png", or "raw": pixels, which no other reader of packs knows, and which need no decoding.
        num_threads: Number of threads that read and decode; by default one for every core.
        overwrite: Whether to replace an existing pack; nothing else is ever replaced.
        on_error: "raise", or "skip" to leave out the samples whose files cannot be read.
        allow_missing_depth: Whether a depth map that is named may be missing, as long as there are others.
            Training leaves these samples out of the depth loss.
        progress: Told the number of files done.

    Returns:
        A sentence for every sample that was left out, and for every depth map that is missing.

    Raises:
        DataError: no samples, one class only, missing or damaged files (all of them are named), a sample
            listed twice, a path too long for a key, a full disk, or ``out`` exists.
        ValueError: a size or the image format is out of range, or images with landmarks are to be resized.
    """
    out, root = Path(out), Path(root)
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    store = _storage(records, image_size, depth_size, image_format)
    records = [_with_keys(record, root) for record in records]
    check_classes(records, str(out))
    notes: list[str] = []
    if allow_missing_depth:
        records = _without_missing_depth(records, root, notes)
    files = _files(records)
    # In the order of their keys, which packs them most densely.
    ordered = sorted(files, key=str.encode)
    read = partial(_read, root, files, store)
    with replacing_pack(out, overwrite) as building:
        writer = _anrl.PackWriter(str(building))
        stored: dict[str, tuple[int, int]] = {}
        problems: dict[str, str] = {}
        contents = run_ahead(read, ordered, num_threads=num_threads or os.cpu_count() or 1, ahead=64)
        for done, (path, content) in enumerate(zip(ordered, contents, strict=True), 1):
            if isinstance(content, DataError):
                problems[path] = str(content)
            elif on_error == "skip" or not problems:
                writer.put(path, content)
                stored[path] = len(content), zlib.crc32(content)
            if progress is not None:
                progress(done, len(files))
        if problems and on_error == "raise":
            raise DataError(_all_problems(list(problems.values()), len(files)))
        kept = [r for r in records if r.path in stored and (r.depth is None or r.depth in stored)]
        notes += [f"{problem}; its sample is left out" for problem in problems.values()]
        check_classes(kept, str(out))
        index = Records.of(kept).encode(name or out.name, _contents(kept, stored))
        writer.put(INDEX_KEY, index)
        writer.finish()
    return notes


def check_classes(records: Sequence[Record], where: str) -> None:
    """Refuse lists without samples or with one class only."""
    labels = set(records.labels if isinstance(records, Records) else [r.label for r in records])
    if not labels:
        raise DataError(f"{where}: there are no samples")
    if len(labels) < 2:
        has, lacks = ("bona fide", "attacks") if labels == {0} else ("attack", "bona fide samples")
        raise DataError(f"{where}: all {len(records)} samples are {has}; add the list with the {lacks}")


def encode_image(pixels: NDArray[np.uint8], image_format: ImageFormat) -> bytes:
    """Encode an image (H, W, 3) or (H, W, 1)."""
    if image_format == "raw":
        height, width, channels = pixels.shape
        return _anrl.RAW_MAGIC + struct.pack("<III", width, height, channels) + pixels.tobytes()
    image, stream = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), io.BytesIO()
    if image_format == "png":
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def _storage(
    records: Sequence[Record],
    image_size: int | None,
    depth_size: int | None,
    image_format: ImageFormat | None,
) -> Store:
    if image_format not in (None, "jpeg", "png", "raw"):
        raise ValueError(f"image_format must be 'jpeg', 'png' or 'raw', not {image_format!r}")
    if image_size is not None and any(record.landmarks for record in records):
        raise ValueError("images with landmarks cannot be resized: landmarks are in pixels of the originals")
    resize = None
    if image_size is not None or depth_size is not None:
        resize = Transform(image_size or 256, color="rgb", output="uint8", depth_size=depth_size)

    # A depth map is resized beside an image, which plays no part.
    black = encode_image(np.zeros((1, 1, 3), np.uint8), "raw")

    def store(content: bytes, is_depth: bool) -> bytes:
        if resize is not None and is_depth:
            depth = resize(black, content)[1].numpy()
            pixels = np.rint(depth * 255).astype(np.uint8)[..., None]
        elif resize is not None and image_size is not None:
            pixels = np.ascontiguousarray(resize(content)[0].permute(1, 2, 0).numpy())
        else:
            pixels = _anrl.decode_image(content, is_depth)
            if image_format is None:
                return content
        return encode_image(pixels, image_format or "jpeg")

    return store


def _with_keys(record: Record, root: Path) -> Record:
    """Write paths as keys: with / between folders, each file in one spelling."""
    return replace(record, path=_key(record.path, root), depth=record.depth and _key(record.depth, root))


def _key(path: str, root: Path) -> str:
    if "\\" in path and not (root / path).exists():
        path = path.replace("\\", "/")  # a path of Windows
    key = os.path.normpath(path)
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise DataError(f"{path!r}: the name is not UTF-8; rename the file") from None
    if size > _anrl.MAX_KEY:
        raise DataError(f"{path}: longer than the {_anrl.MAX_KEY} bytes that a key may have")
    return key


def _without_missing_depth(records: list[Record], root: Path, notes: list[str]) -> list[Record]:
    named = [record.depth for record in records if record.depth]
    missing = {depth for depth in named if not (root / depth).is_file()}
    if missing and len(missing) == len(set(named)):
        raise DataError(
            f"{root / min(missing)}: none of the {len(missing)} depth maps that are named exists; correct "
            "the depth rule or the list"
        )
    notes += [f"{root / depth}: the depth map does not exist" for depth in sorted(missing)]
    return [replace(record, depth=None) if record.depth in missing else record for record in records]


def _files(records: Sequence[Record]) -> dict[str, bool]:
    """Every file to store, and whether it is a depth map."""
    labels: dict[str, int] = {}
    for record in records:
        if record.path in labels:
            both = "with both labels" if labels[record.path] != record.label else "twice"
            raise DataError(f"{record.path}: is listed {both}; keep one of the lines")
        labels[record.path] = record.label
    depths = {record.depth for record in records if record.depth}
    if shared := depths & labels.keys():
        raise DataError(f"{min(shared)}: is listed as an image and as a depth map; correct the list")
    return dict.fromkeys(labels, False) | dict.fromkeys(depths, True)


def _contents(records: Sequence[Record], stored: dict[str, tuple[int, int]]) -> Contents:
    images = [stored[record.path] for record in records]
    depths = [stored[record.depth][1] if record.depth else 0 for record in records]
    size, checksum = (np.array(column) for column in zip(*images, strict=True))
    return Contents(size.astype(np.int64), checksum.astype(np.uint32), np.array(depths, np.uint32))


def _read(root: Path, files: dict[str, bool], store: Store, path: str) -> bytes | DataError:
    """Read and decode a file; an error is a result, so that one run finds all of them."""
    try:
        return store((root / path).read_bytes(), files[path])
    except FileNotFoundError:
        return DataError(f"{root / path}: is listed but does not exist (paths are relative to {root})")
    except OSError as error:
        return DataError(f"{root / path}: {error.strerror}")
    except DataError as error:
        return DataError(f"{root / path}: {error}")


def _all_problems(problems: list[str], files: int) -> str:
    if len(problems) == 1:
        return problems[0]
    lines = "\n".join(f"  {problem}" for problem in problems)
    return f"{len(problems)} of {files} files cannot be packed; replace them or leave them out:\n{lines}"
