"""Images and packs that tests make for themselves."""

import io

import lmdb
import numpy as np
from PIL import Image

from anrl.data import Domain, pack, read_list


def photograph(height, width, channels=3, seed=0):
    """Something with the smooth areas, edges and noise of a photograph, (H, W, channels) uint8."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        a, b, c, d = generator.uniform(0.02, 0.3, 4)
        plane = 128 + 60 * np.sin(a * x + b * y) + 50 * np.sign(np.sin(c * x - d * y))
        planes.append(plane + generator.normal(0, 12, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def encode(pixels, kind="PNG", **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write_domain(folder, subjects=4, frames=2, size=24, seed=0):
    """A tiny data set whose attacks are striped, with depth maps and a list; returns the list file."""
    folder.mkdir(parents=True)
    lines = ["# path label depth subject video attack"]
    for s in range(subjects):
        for label in (0, 1):
            for f in range(frames):
                pixels = photograph(size, size, seed=seed + 100 * s + f).astype(int)
                if label:
                    pixels[:, ::2] += 50
                stem = f"{s}_{label}_{f}"
                (folder / f"{stem}.jpg").write_bytes(
                    encode(np.clip(pixels, 0, 255).astype(np.uint8), "JPEG", quality=95)
                )
                depth = "-"
                if not label:
                    depth = f"{stem}_depth.png"
                    (folder / depth).write_bytes(encode(photograph(size, size, 1, seed=s)))
                attack = ("print", "replay")[s % 2] if label else "-"
                lines.append(f"{stem}.jpg {label} {depth} s{s} s{s}_{label} {attack}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return folder / "list.txt"


def packed_domain(folder):
    """The pack ``tiny.lmdb`` of the data set in ``data``, both made in a folder."""
    file = write_domain(folder / "data")
    pack(folder / "tiny.lmdb", read_list(file), root=file.parent)
    return Domain.open(folder / "tiny.lmdb")


def official_pack(path, root, records, **options):
    """A pack of the official layout, without index."""
    with lmdb.open(str(path), map_size=1 << 24, **options) as env, env.begin(write=True) as txn:
        for record in records:
            for name in filter(None, (record.path, record.depth)):
                txn.put(name.encode(), (root / name).read_bytes())
