"""The adaptive normalization layer."""

from typing import cast

import torch
from torch import Tensor, nn

from anrl.nn import functional as F
from anrl.nn.gate import make_gate


class AdaptiveNorm2d(nn.Module):
    """Chooses, per sample and channel, between batch and instance normalization (ANRL's AFNM).

    Takes the place of ``nn.BatchNorm2d``: ``weight``, ``bias`` and the running statistics belong to the batch
    branch under their usual names; ``instance_weight`` and ``instance_bias`` to the instance branch; ``gate``
    is a module that maps the spatial mean (N, C) to the weight of the batch branch.

    Args:
        num_features: C of an input of size (N, C, H, W).
        eps: Added to variances.
        momentum: Weight of new statistics in the running ones; None for a cumulative average.
        affine: Whether the branches have scales and shifts.
        track_running_stats: Whether to keep running statistics; without them the batch branch uses the
            statistics of the batch in evaluation too.
        gate: "1layer", "2layer", "static" or "dual".
        activation: None, or "relu" to apply ReLU in the same pass over memory.
        device: Where to put parameters and buffers.
        dtype: Their type.

    Raises:
        ValueError: ``gate`` or ``activation`` is unknown, or the input is not (N, num_features, H, W).
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        gate: str = "1layer",
        activation: str | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        """See the class."""
        super().__init__()
        if activation not in (None, "relu"):
            raise ValueError(f"activation must be None or 'relu', not {activation!r}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.gate_kind = gate
        self.activation = activation
        for name, fill in [("weight", 1.0), ("bias", 0.0), ("instance_weight", 1.0), ("instance_bias", 0.0)]:
            values = torch.full((num_features,), fill, device=device, dtype=dtype) if affine else None
            self.register_parameter(name, nn.Parameter(values) if values is not None else None)
        tracked = track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        zeros = torch.zeros(num_features, device=device, dtype=dtype)
        self.register_buffer("running_mean", zeros if tracked else None)
        self.register_buffer("running_var", torch.ones_like(zeros) if tracked else None)
        steps = torch.zeros((), dtype=torch.long, device=device)
        self.register_buffer("num_batches_tracked", steps if tracked else None)
        self.gate = make_gate(gate, num_features).to(device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        if x.dim() != 4:
            raise ValueError(f"expected 4D input (got {x.dim()}D input)")
        if x.shape[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got input of size {tuple(x.shape)}")
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None and self.running_mean is not None:
                momentum = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal()
        return F.adaptive_norm(
            x,
            self.gate.compute,
            self.running_mean,
            self.running_var,
            cast(Tensor | None, self.weight),
            cast(Tensor | None, self.bias),
            cast(Tensor | None, self.instance_weight),
            cast(Tensor | None, self.instance_bias),
            training=self.training,
            momentum=momentum,
            eps=self.eps,
            activation=self.activation,
            gate_parameters=self.gate.arguments(),
        )

    def extra_repr(self) -> str:
        """The arguments, as torch's own layers print them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}, gate={self.gate_kind!r}, "
            f"activation={self.activation!r}"
        )
