"""From image files to batches: list files, LMDB packs, the transform and the loader.

Files go in through :func:`pack`; a :class:`Domain` is what is read back; :class:`DomainLoader` makes batches.
"""

from anrl.data.dataset import LmdbDataset, Sample
from anrl.data.domain import Domain
from anrl.data.lists import Record, read_csv, read_folder, read_list, read_samples
from anrl.data.loader import Batch, DomainLoader, evaluation_batches
from anrl.data.pack import pack
from anrl.data.records import Records
from anrl.data.transform import Transform
from anrl.data.verify import verify

__all__ = [
    "Batch",
    "Domain",
    "DomainLoader",
    "LmdbDataset",
    "Record",
    "Records",
    "Sample",
    "Transform",
    "evaluation_batches",
    "pack",
    "read_csv",
    "read_folder",
    "read_list",
    "read_samples",
    "verify",
]
