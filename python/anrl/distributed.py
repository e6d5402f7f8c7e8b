"""Several processes that work on one network: who they are, and what they tell each other."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from anrl.nn import average_tensors


@dataclass(frozen=True)
class Ranks:
    """The processes of a job; by default this one alone."""

    rank: int = 0
    """Which of them this is."""
    count: int = 1
    local_rank: int = 0
    """Which of those on this machine this is: the number of its GPU."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and talks to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Returns when all processes have come here."""
        if self.count > 1:
            dist.barrier()

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors of one type and device by their means over all processes, by one all-reduce.

        Every process must give tensors of the same sizes; all get the same bits.
        """
        if self.count == 1:
            return
        for tensor, mean in zip(tensors, average_tensors(tensors), strict=True):
            tensor.copy_(mean)

    def gather_rows(self, rows: Tensor, total: int) -> Tensor:
        """(n, …) from every process, scored on its :meth:`anrl.data.Domain.shard` → (total, …), in order."""
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)[:total]

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """The texts of all processes, in their order."""
        if self.count == 1:
            return list(texts)
        parts: list[list[str]] = [[] for _ in range(self.count)]
        dist.all_gather_object(parts, list(texts))
        return [text for part in parts for text in part]


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Joins the job that ``torchrun`` started, for as long as the block runs; alone without one.

    A process group that is there already is used and left as it is. The backend is NCCL where there are
    GPUs, else gloo.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size(), local)
        return
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        yield Ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), local)
    finally:
        dist.destroy_process_group()


def is_lost(error: RuntimeError) -> bool:
    """Whether an error of a collective operation says that another process is gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in text or "connection closed" in text
