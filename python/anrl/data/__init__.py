"""From image files to batches: list files, LMDB packs, the transform and the loader.

:func:`pack` stores files, :class:`Domain` opens what is stored, :class:`DomainLoader` makes batches of it.
"""

from anrl.data.csv_lists import read_csv
from anrl.data.dataset import LmdbDataset, Sample
from anrl.data.decode import decode_image
from anrl.data.domain import DecodedSample, Domain
from anrl.data.folders import read_folder
from anrl.data.lists import read_list, read_samples, read_sources
from anrl.data.loader import Batch, DomainBatch, DomainLoader, evaluation_batches
from anrl.data.pack import pack
from anrl.data.record import Record
from anrl.data.records import Records
from anrl.data.transform import Transform
from anrl.data.verify import verify

__all__ = [
    "Batch",
    "DecodedSample",
    "Domain",
    "DomainBatch",
    "DomainLoader",
    "LmdbDataset",
    "Record",
    "Records",
    "Sample",
    "Transform",
    "decode_image",
    "evaluation_batches",
    "pack",
    "read_csv",
    "read_folder",
    "read_list",
    "read_samples",
    "read_sources",
    "verify",
]
