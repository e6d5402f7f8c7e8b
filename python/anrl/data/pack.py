"""Writing packs: images under their paths, and an index under a reserved key."""

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anrl import _anrl
from anrl.data.ahead import run_ahead
from anrl.data.lists import Record
from anrl.data.records import Contents, Records
from anrl.data.transform import Transform
from anrl.errors import DataError

INDEX_KEY = "__anrl__/index"

Codec = Literal["jpeg", "png", "raw"]


def pack(
    out: str | Path,
    records: Sequence[Record],
    *,
    root: str | Path = ".",
    name: str | None = None,
    image_size: int | None = None,
    depth_size: int | None = None,
    codec: Codec | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes an LMDB pack of one domain.

    Every image is decoded once to be sure that it is whole. The pack is built beside ``out`` and renamed
    when complete, so whatever happens nothing half-written is left at ``out``, and nothing there is lost.

    Files are stored as they are, unless one of the sizes or a codec is given. Then images are decoded, turned
    upright, resized as :class:`anrl.data.Transform` would, and stored anew. HSV is computed from the stored
    pixels later, so resizing here and resizing there are close, not equal.

    Args:
        out: The folder to create.
        records: The samples, from :func:`anrl.data.read_samples`.
        root: The folder that the records' paths are relative to.
        name: Name of the domain; by default the name of ``out``.
        image_size: Side to resize images to.
        depth_size: Side to resize depth maps to; by default an eighth of ``image_size``.
        codec: "jpeg" (quality 95, full colour resolution; what resized images become by default), "png", or
            "raw": pixels, which no other reader of packs knows, and which need no decoding.
        jobs: Threads that read and decode; by default one for every core.
        overwrite: Whether to replace an existing pack.
        progress: Called with (files done, files in all).

    Raises:
        DataError: no samples, one class only, a missing or damaged file, a sample listed twice, a path too
            long for a key, a full disk, or ``out`` exists.
        ValueError: a size or the codec is out of range, or images with landmarks are to be resized.
    """
    out, root = Path(out), Path(root)
    store = _storage(records, image_size, depth_size, codec)
    check_classes(records, str(out))
    if out.exists() and not overwrite:
        raise DataError(f"{out}: exists already; choose another path or allow to overwrite it")
    files = _files(records)
    building, old = (out.parent / f".{out.name}.{what}-{os.getpid()}" for what in ("building", "old"))
    try:
        for path in files:
            _check_exists(root, path)
        building.mkdir(parents=True)
        writer = _anrl.PackWriter(str(building))
        # In the order of their keys, which packs them most densely.
        ordered = sorted(files, key=str.encode)
        read = partial(_read, root, files, store)
        contents = run_ahead(read, ordered, num_threads=jobs or os.cpu_count() or 1, ahead=64)
        found: dict[str, tuple[int, int]] = {}
        for done, (path, content) in enumerate(zip(ordered, contents, strict=True), 1):
            writer.put(path, content)
            found[path] = len(content), zlib.crc32(content)
            if progress is not None:
                progress(done, len(files))
        writer.put(INDEX_KEY, Records.of(records).encode(name or out.name, _contents(records, found)))
        writer.finish()
        if out.exists():
            out.rename(old)
        building.rename(out)
    except OSError as error:
        raise DataError(f"{error.filename or out}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if old.exists() and not out.exists():
            old.rename(out)
        _remove(old)


def check_classes(records: Sequence[Record], where: str) -> None:
    """Refuses lists without samples or with one class only."""
    found = set(records.labels if isinstance(records, Records) else [r.label for r in records])
    if not found:
        raise DataError(f"{where}: there are no samples")
    if len(found) < 2:
        has, lacks = ("bona fide", "attacks") if found == {0} else ("attack", "bona fide samples")
        raise DataError(f"{where}: all {len(records)} samples are {has}; add the list with the {lacks}")


def encode_image(pixels: NDArray[np.uint8], codec: Codec) -> bytes:
    """The bytes of an image (H, W, 3) or (H, W, 1)."""
    if codec == "raw":
        height, width, channels = pixels.shape
        return _anrl.RAW_MAGIC + struct.pack("<III", width, height, channels) + pixels.tobytes()
    image, stream = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), io.BytesIO()
    if codec == "png":
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def _storage(
    records: Sequence[Record], image_size: int | None, depth_size: int | None, codec: Codec | None
) -> Callable[[bytes, bool], bytes]:
    """From a file's bytes, and whether it is a depth map, to what is stored."""
    if codec not in (None, "jpeg", "png", "raw"):
        raise ValueError(f"codec must be 'jpeg', 'png' or 'raw', not {codec!r}")
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
            if codec is None:
                return content
        return encode_image(pixels, codec or "jpeg")

    return store


def _files(records: Sequence[Record]) -> dict[str, bool]:
    """Every file to store, and whether it is a depth map."""
    files: dict[str, bool] = {}
    for record in records:
        for path, is_depth in ((record.path, False), (record.depth, True)):
            if path is None:
                continue
            if path in files and not is_depth:
                raise DataError(f"{path}: is listed twice")
            if len(path.encode()) > _anrl.MAX_KEY:
                raise DataError(f"{path}: longer than the {_anrl.MAX_KEY} bytes that a key may have")
            files[path] = is_depth
    return files


def _contents(records: Sequence[Record], found: dict[str, tuple[int, int]]) -> Contents:
    images = [found[record.path] for record in records]
    depths = [found[record.depth][1] if record.depth else 0 for record in records]
    size, checksum = (np.array(column) for column in zip(*images, strict=True))
    return Contents(size.astype(np.int64), checksum.astype(np.uint32), np.array(depths, np.uint32))


def _check_exists(root: Path, path: str) -> None:
    if not (root / path).is_file():
        raise DataError(f"{root / path}: is listed but does not exist (paths are relative to {root})")


def _read(root: Path, files: dict[str, bool], store: Callable[[bytes, bool], bytes], path: str) -> bytes:
    content = (root / path).read_bytes()
    try:
        return store(content, files[path])
    except DataError as error:
        raise DataError(f"{root / path}: {error}") from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
