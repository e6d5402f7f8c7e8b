"""Collective operations of several processes that train or evaluate one network."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function


@dataclass(frozen=True)
class Ranks:
    """This process among the processes of a job; by default it is alone."""

    rank: int = 0
    """Index of this process."""
    world_size: int = 1
    """Number of processes."""
    local_rank: int = 0
    """Index of this process on its machine, and of its GPU there."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and talks to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world_size > 1:
            dist.barrier()

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one type and device by their means over all processes, by one all-reduce.

        Every process must give tensors of the same sizes; all get the same bits.
        """
        if self.world_size == 1:
            return
        for tensor, mean in zip(tensors, average_tensors(tensors), strict=True):
            tensor.copy_(mean)

    def gather_rows(self, rows: Tensor, total: int) -> Tensor:
        """Gather the rows of all processes' shards in the order of the whole.

        Args:
            rows: (n, …), one row for each sample of this process' :meth:`anrl.data.Domain.shard`.
            total: Number of samples of the whole domain.

        Returns:
            (total, …), the same in every process.
        """
        if self.world_size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.world_size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts, 1).flatten(0, 1)[:total]

    def gather_texts(self, texts: Sequence[str]) -> list[str]:
        """Gather the texts of all processes, in the order of their ranks."""
        if self.world_size == 1:
            return list(texts)
        parts: list[list[str]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(parts, list(texts))
        return [text for part in parts for text in part]


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Join the job that ``torchrun`` started, for the duration of the block; without a job, be alone.

    An initialized process group is used and left as it is. The backend is NCCL where there are GPUs, else
    gloo.
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
    """Whether an error of a collective operation says that another process has ended."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or "gloo" in text or "connection closed" in text


def is_alone(group: dist.ProcessGroup | None = None) -> bool:
    """Whether there is no process group, or this process is its only member."""
    return not dist.is_available() or not dist.is_initialized() or dist.get_world_size(group) == 1


def all_reduce(tensor: Tensor, group: dist.ProcessGroup | None = None) -> Tensor:
    """Sum a tensor over all processes, differentiable to any order.

    The gradient is that of the sum of all processes' losses. Every process must give a tensor of the same
    size and type.
    """
    total: Tensor = _AllReduce.apply(group, tensor)  # type: ignore[no-untyped-call]  # torch's Function is untyped
    return total


def average_tensors(tensors: Sequence[Tensor], group: dist.ProcessGroup | None = None) -> list[Tensor]:
    """Average tensors over all processes by one all-reduce; alone, return the tensors themselves.

    Differentiable to any order: the gradient is that of the sum of all processes' losses. Every process must
    give tensors of the same sizes and one type.
    """
    if is_alone(group) or not tensors:
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    mean = all_reduce(flat, group) / dist.get_world_size(group)
    parts: Sequence[Tensor] = torch.split(mean, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


class _AllReduce(Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, group: dist.ProcessGroup | None, tensor: Tensor) -> Tensor:
        ctx.group = group
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(tensor, group=group)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, all_reduce(gradient, ctx.group)
