"""Times the loader beside the field's Python pipeline: ``python benchmarks/bench_loader.py [OUT.csv]``.

Both read the same pack of distinct, photograph-like 256 x 256 JPEG images (about 24 kB) and depth maps. The
peer is a torch Dataset over py-lmdb, OpenCV and albumentations, in the main process and with two workers. A
pure decode of the same bytes by libjpeg-turbo (package simplejpeg) and torchvision is timed too where they
are installed. All take turns, medians count, and only ratios mean anything.
"""

import csv
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations
import cv2
import lmdb
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anrl import _anrl
from anrl.data import Domain, DomainLoader, Record, Records, Transform, pack, read_list
from anrl.data.pack import INDEX_KEY
from anrl.data.records import Contents

IMAGES, SIZE, BATCH, ROUNDS = 512, 256, 16, 5


def photograph(seed: int, channels: int) -> NDArray[np.uint8]:
    """Smooth areas, edges and noise, about as hard to compress as a face in a room."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(20, 235, (12, 12, channels)).astype(np.float32)
    image = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).reshape(SIZE, SIZE, channels)
    y, x = np.mgrid[:SIZE, :SIZE]
    for a, b, c in generator.uniform(-1, 1, (6, 3)):
        image += 15 * (np.sin(8 * a) * x + np.cos(8 * a) * y > 300 * b)[..., None] * c
    image += generator.normal(0, 9 if channels == 3 else 3, (SIZE, SIZE, 1))
    image += generator.normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def write_pack(folder: Path) -> Path:
    """A pack with as many live as attack images; live ones have depth maps."""
    lines = ["# path label depth video"]
    total = 0
    for i in track(range(IMAGES), "making images", transient=True):
        live, depth = i % 2 == 0, "-"
        image = cv2.imencode(".jpg", photograph(i, 3), [cv2.IMWRITE_JPEG_QUALITY, 84])[1].tobytes()
        total += len(image)
        (folder / f"{i}.jpg").write_bytes(image)
        if live:
            depth = f"{i}_depth.jpg"
            encoded = cv2.imencode(".jpg", photograph(IMAGES + i, 1), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
            (folder / depth).write_bytes(encoded.tobytes())
        lines.append(f"{i}.jpg {int(not live)} {depth} v{i}")
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    print(f"{IMAGES} images of {total / IMAGES / 1e3:.1f} kB in the mean")
    pack(folder / "pack.lmdb", read_list(folder / "list.txt"), root=folder)
    return folder / "pack.lmdb"


class Peer(Dataset[tuple[Tensor, int, Tensor]]):
    """The field's pipeline."""

    def __init__(self, path: Path, domain: Domain) -> None:
        """Takes the pack and its samples."""
        self.path, self.records = str(path), domain.records
        self.env: Any = None
        self.jitter = albumentations.HueSaturationValue(20, 30, 20, p=0.1)
        self.flip = albumentations.Compose(
            [albumentations.HorizontalFlip(p=0.5), albumentations.Resize(SIZE, SIZE)],
            additional_targets={"hsv": "image", "depth": "mask"},
        )
        self.normalize = albumentations.Compose(
            [albumentations.Normalize(mean=(0.5,) * 3, std=(0.5,) * 3)], additional_targets={"hsv": "image"}
        )

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        """Image (6, S, S), label, depth (32, 32)."""
        if self.env is None:
            self.env = lmdb.open(self.path, readonly=True, lock=False, readahead=False, meminit=False)
        record = self.records[index]
        with self.env.begin() as txn:
            image = txn.get(record.path.encode())
            depth = txn.get(record.depth.encode()) if record.depth else None
        rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(image, np.uint8), 1), cv2.COLOR_BGR2RGB)
        if depth is None:
            mask = np.zeros((SIZE, SIZE), np.uint8)
        else:
            mask = cv2.imdecode(np.frombuffer(depth, np.uint8), 0).reshape(SIZE, SIZE)
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        rgb = self.jitter(image=rgb)["image"]
        found = self.flip(image=rgb, hsv=hsv, depth=mask)
        planes = self.normalize(image=found["image"], hsv=found["hsv"])
        both = torch.cat([torch.from_numpy(planes[k].transpose(2, 0, 1)) for k in ("image", "hsv")])
        large = torch.from_numpy(found["depth"])[None, None].float()
        small = torch.nn.functional.interpolate(large, (32, 32), mode="bilinear", align_corners=False)
        return both, record.label, small[0, 0] / 255


def peer_epoch(dataset: Peer, workers: int) -> Callable[[], None]:
    """One epoch of the peer."""
    options: dict[str, Any] = {"persistent_workers": True} if workers else {}
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, **options)

    def run() -> None:
        for _ in loader:
            pass

    return run


def our_epoch(domain: Domain, threads: int, **options: Any) -> Callable[[], None]:
    """One epoch of ours."""
    loader = DomainLoader([domain], BATCH, Transform(image_size=SIZE, **options), num_threads=threads)

    def run() -> None:
        for _ in loader:
            pass

    return run


def decoders(domain: Domain) -> dict[str, Callable[[], None]]:
    """Pure color decoding of all images by other packages, one thread."""
    store = _anrl.Pack(str(domain.path))
    files = [store.get(record.path) or b"" for record in domain.records]
    found: dict[str, Callable[[], None]] = {}
    if importlib.util.find_spec("simplejpeg"):
        import simplejpeg

        found["libjpeg-turbo, decoding alone"] = lambda: [simplejpeg.decode_jpeg(f) for f in files] and None
    if importlib.util.find_spec("torchvision"):
        from torchvision.io import ImageReadMode, decode_jpeg

        tensors = [torch.frombuffer(bytearray(f), dtype=torch.uint8) for f in files]
        found["torchvision, decoding alone"] = lambda: (
            [decode_jpeg(t, mode=ImageReadMode.RGB) for t in tensors] and None
        )
    return found


def million() -> None:
    """Prints how long a pack of a million samples takes to open, and how much memory."""
    count, live = 1_000_000, "person_{0:04d}/clip_{1:06d}/frame_{2:08d}"
    names = [live.format(i // 1000, i // 100, i) for i in range(count)]
    records = [
        Record(f"{n}.jpg", i % 2, None if i % 2 else f"{n}_depth.jpg", n[:11], n[:23])
        for i, n in enumerate(names)
    ]
    with tempfile.TemporaryDirectory() as folder:
        writer = _anrl.PackWriter(folder)
        nothing = np.zeros(count, np.uint32)
        contents = Contents(nothing.astype(np.int64), nothing, nothing)
        for key in sorted(key for r in records for key in (r.path, r.depth) if key):
            writer.put(key, b"x")
        writer.put(INDEX_KEY, Records.of(records).encode("million", contents))
        writer.finish()
        before, start = memory(), time.perf_counter()
        domain = Domain.open(folder)
        seconds, used = time.perf_counter() - start, memory() - before
        print(f"a pack of {len(domain):,} samples opens in {seconds:.2f} s and takes {used:.0f} MB")


def memory() -> float:
    """MB that this process holds."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1000


def main() -> None:
    """Prints the table and writes it as CSV."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        domain = Domain.open(write_pack(Path(folder)))
        raw = Path(folder) / "raw.lmdb"
        pack(raw, domain.records, root=folder, image_size=SIZE, image_format="raw")
        dataset = Peer(domain.path, domain)
        calls = {
            "peer, main process": peer_epoch(dataset, 0),
            "peer, 2 workers": peer_epoch(dataset, 2),
            "ours, 1 thread": our_epoch(domain, 1),
            "ours, 2 threads": our_epoch(domain, 2),
            "ours, 1 thread, uint8": our_epoch(domain, 1, output="uint8"),
            "ours, 1 thread, raw pack": our_epoch(Domain.open(raw), 1),
            "ours, 1 thread, raw pack, uint8": our_epoch(Domain.open(raw), 1, output="uint8"),
        }
        calls |= decoders(domain)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for call in calls.values():
            call()
        for _ in track(range(ROUNDS), "rounds", transient=True):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in times.items()}
    one, two = seconds["peer, main process"], seconds["peer, 2 workers"]
    rows = [
        {
            "": name,
            "ms per image": 1e3 * value / IMAGES,
            "times as fast as the peer": one / value,
            "as the peer with 2 workers": two / value,
            "time of libjpeg-turbo": value / seconds.get("libjpeg-turbo, decoding alone", float("nan")),
        }
        for name, value in seconds.items()
    ]
    million()
    table = Table(title=f"{SIZE} x {SIZE} pixels, batches of {BATCH}")
    for column in rows[0]:
        table.add_column(column, justify="right" if column else "left")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=140).print(table)
    print(f"1 -> 2 threads: {seconds['ours, 1 thread'] / seconds['ours, 2 threads']:.2f}")
    for argument in sys.argv[1:]:
        if argument.endswith(".csv"):
            with open(argument, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
