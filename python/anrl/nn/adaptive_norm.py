"""The adaptive normalization layers."""

from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from anrl import ops
from anrl.nn import functional as F
from anrl.nn.gates import Gate, make_gate
from anrl.nn.sync_batch_norm import shared_moments


class AdaptiveNorm(nn.Module):
    """Base class of the adaptive normalization layers; see :class:`AdaptiveNorm2d`."""

    input_dim: ClassVar[int]
    """Number of dimensions of an input."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        gate: str | nn.Module = "1layer",
        activation: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if activation not in (None, "relu"):
            raise ValueError(f"activation must be None or 'relu', not {activation!r}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.activation = activation
        self.synchronized = False
        self.process_group: dist.ProcessGroup | None = None
        self.record_gate = False
        self.last_gate: Tensor | None = None
        for name, fill in [("weight", 1.0), ("bias", 0.0), ("instance_weight", 1.0), ("instance_bias", 0.0)]:
            values = torch.full((num_features,), fill, device=device, dtype=dtype) if affine else None
            self.register_parameter(name, nn.Parameter(values) if values is not None else None)
        tracked = track_running_stats
        self.weight: Tensor | None
        self.bias: Tensor | None
        self.instance_weight: Tensor | None
        self.instance_bias: Tensor | None
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        zeros = torch.zeros(num_features, device=device, dtype=dtype)
        self.register_buffer("running_mean", zeros if tracked else None)
        self.register_buffer("running_var", torch.ones_like(zeros) if tracked else None)
        steps = torch.zeros((), dtype=torch.long, device=device)
        self.register_buffer("num_batches_tracked", steps if tracked else None)
        module = gate if isinstance(gate, nn.Module) else make_gate(gate, num_features)
        self.gate: nn.Module = module.to(device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) → (N, C, ...)."""
        if x.dim() != self.input_dim:
            raise ValueError(f"expected {self.input_dim}D input (got {x.dim()}D input)")
        if x.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got input of size {tuple(x.shape)}")
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None and self.running_mean is not None:
                momentum = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal()
        if self.record_gate:
            self.last_gate = self._gate_weights(x)
        gate = self.gate
        return F.adaptive_norm(
            x,
            gate.formula.name if isinstance(gate, Gate) else gate,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.instance_weight,
            self.instance_bias,
            training=self.training,
            momentum=momentum,
            eps=self.eps,
            activation=self.activation,
            gate_parameters=gate.arguments() if isinstance(gate, Gate) else (),
            moments=shared_moments(self.process_group) if self.synchronized else None,
        )

    @torch.no_grad()
    def _gate_weights(self, x: Tensor) -> Tensor:
        mean, _ = ops.instance_moments(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.gate(mean)

    def extra_repr(self) -> str:
        """The arguments, as torch's own layers print them."""
        gate = repr(self.gate.formula.name) if isinstance(self.gate, Gate) else type(self.gate).__name__
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}, gate={gate}, activation={self.activation!r}"
            + (", synchronized=True" if self.synchronized else "")
        )


class AdaptiveNorm1d(AdaptiveNorm):
    """:class:`AdaptiveNorm2d` for inputs of size (N, C, L)."""

    input_dim = 3


class AdaptiveNorm2d(AdaptiveNorm):
    """Adaptive feature normalization (ANRL's AFNM): a gate mixes batch and instance normalization.

    A drop-in replacement for ``nn.BatchNorm2d``: ``weight``, ``bias`` and the running statistics belong to
    the batch branch under their usual names; ``instance_weight`` and ``instance_bias`` to the instance
    branch; ``gate`` maps the spatial mean (N, C) to the weight of the batch branch, (N, C), one for each
    sample and channel.

    With ``synchronized = True`` the batch is that of all processes of ``process_group`` (by default all), as
    :func:`anrl.nn.convert_sync_adaptive_norm` sets it. With ``record_gate = True`` every forward pass leaves
    the gate's weights, (N, C), in ``last_gate``; see also :func:`anrl.nn.gate_statistics`.

    Args:
        num_features: C of an input of size (N, C, H, W).
        eps: Added to variances.
        momentum: Weight of new statistics in the running ones; None for a cumulative average.
        affine: Whether the branches have scales and shifts.
        track_running_stats: Whether to keep running statistics; without them the batch branch uses the
            statistics of the batch in evaluation too.
        gate: A key of ``anrl.nn.GATES``, or a module that maps the spatial mean (N, C) to the weight of the
            batch branch, (N, C), in [0, 1].
        activation: None, or "relu" to apply ReLU in the same pass over memory.
        device: Where to put parameters and buffers.
        dtype: Their type.

    Raises:
        ValueError: ``gate`` or ``activation`` is unknown, or the input is not (N, num_features, H, W).
    """

    input_dim = 4


class AdaptiveNorm3d(AdaptiveNorm):
    """:class:`AdaptiveNorm2d` for inputs of size (N, C, D, H, W)."""

    input_dim = 5
