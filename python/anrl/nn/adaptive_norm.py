"""The adaptive normalization layers."""

import warnings
from typing import ClassVar, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_module_registration_hook

from anrl import ops
from anrl.nn import functional as F
from anrl.nn.gates import Device, Gate, make_gate
from anrl.nn.refusals import Eps, is_taken_for_batch_norm, leaf_of_graph, refuse_script
from anrl.nn.sync_batch_norm import shared_moments
from anrl.ops.operators import sizes, without_autocast


class AdaptiveNorm(_BatchNorm):
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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype, bias=bias
        )
        if activation not in (None, "relu"):
            raise ValueError(f"activation must be None or 'relu', not {activation!r}")
        self.activation = activation
        self.synchronized = False
        self.process_group: dist.ProcessGroup | None = None
        self.record_gate = False
        self.last_gate: Tensor | None = None
        self.instance_weight: Tensor | None
        self.instance_bias: Tensor | None
        for name, like in (("instance_weight", self.weight), ("instance_bias", self.bias)):
            copy = None if like is None else nn.Parameter(like.detach().clone())
            self.register_parameter(name, copy)
        self.gate: nn.Module
        if not isinstance(gate, nn.Module):
            self.gate = make_gate(gate, num_features, device, dtype)
        elif device is None and dtype is None:
            self.gate = gate
        else:
            self.gate = gate.to(device=device, dtype=dtype)

    @property
    def eps(self) -> float:
        """What is added to variances."""
        return Eps(self._eps)

    @eps.setter
    def eps(self, value: float) -> None:
        self._eps = float(value)

    def reset_parameters(self) -> None:
        """Set scales, shifts, running statistics and the gate to what they are in a new layer.

        A gate of one's own is reset by the ``reset_parameters`` of its modules.
        """
        super().reset_parameters()
        # While torch's class constructs itself there is nothing of ours yet, and it comes initialized.
        if "gate" not in self._modules:
            return
        if self.instance_weight is not None:
            nn.init.ones_(self.instance_weight)
        if self.instance_bias is not None:
            nn.init.zeros_(self.instance_bias)
        for module in self.gate.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) → (N, C, ...)."""
        if isinstance(x, fx.Proxy):
            return leaf_of_graph(self, x)
        return self._normalize(x)

    def _normalize(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)
        if sizes(x)[1] != self.num_features:
            raise ValueError(f"expected {self.num_features} channels, got input of size {tuple(x.shape)}")
        momentum: float | Tensor = 0.0 if self.momentum is None else self.momentum
        running = self.running_mean, self.running_var
        if self.training:
            self._warn_if_frozen()
            if not self.track_running_stats:
                running = None, None
            elif self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
                if self.momentum is None and self.running_mean is not None:
                    momentum = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal()
        if self.record_gate:
            self.last_gate = self._gate_weights(x)
        gate: str | nn.Module = self.gate
        parameters: tuple[Tensor, ...] = ()
        if isinstance(gate, Gate) and gate.is_plain():
            parameters, gate = gate.arguments(), gate.formula.name
        # In evaluation a process may be alone with its samples.
        is_shared = self.synchronized and self.training
        return F.adaptive_norm(
            x,
            gate,
            *running,
            self.weight,
            self.bias,
            self.instance_weight,
            self.instance_bias,
            training=self.training,
            momentum=momentum,
            eps=self._eps,
            activation=self.activation,
            gate_parameters=parameters,
            moments=shared_moments(self.process_group) if is_shared else None,
        )

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != self.input_dim:
            raise ValueError(f"expected {self.input_dim}D input (got {input.dim()}D input)")

    def _warn_if_frozen(self) -> None:
        if self.weight is None or self.weight.requires_grad or not self.track_running_stats:
            return
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        if type(self.weight) is nn.Parameter and not any(p.requires_grad for p in self.parameters()):
            warnings.warn(
                f"no parameter of this {type(self).__name__} requires a gradient, but in training mode its "
                "running statistics still move; to freeze them (which timm's freeze() does for batch "
                "normalization only), call eval() on the layer or set its track_running_stats to False",
                stacklevel=2,
            )

    def __prepare_scriptable__(self) -> NoReturn:
        """Refuse ``torch.jit.script``."""
        refuse_script(self)

    @torch.no_grad()
    def _gate_weights(self, x: Tensor) -> Tensor:
        if x.shape[2:].numel() == 1:
            return x.new_ones(x.shape[:2])
        mean, _ = ops.instance_moments(x)
        with without_autocast(x.device):
            return self.gate(mean)

    def extra_repr(self) -> str:
        """The arguments, as torch's own layers print them."""
        gate = repr(self.gate.formula.name) if isinstance(self.gate, Gate) else type(self.gate).__name__
        return (
            f"{self.num_features}, eps={self._eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}, gate={gate}, "
            f"activation={self.activation!r}" + (", synchronized=True" if self.synchronized else "")
        )


class AdaptiveNorm1d(AdaptiveNorm):
    """:class:`AdaptiveNorm2d` for inputs of size (N, C, L)."""

    input_dim = 3


class AdaptiveNorm2d(AdaptiveNorm):
    """Adaptive feature normalization (ANRL's AFNM): a gate mixes batch and instance normalization.

    A drop-in replacement for ``nn.BatchNorm2d``: ``weight``, ``bias`` and the running statistics belong to
    the batch branch under their usual names; ``instance_weight`` and ``instance_bias`` to the instance
    branch; ``gate`` maps the spatial mean (N, C) to the weight of the batch branch, (N, C), one for each
    sample and channel. Over planes of one pixel, where instance normalization would erase the signal, the
    layer is its batch branch alone, whatever the gate.

    Like every batch normalization of torch it derives from ``_BatchNorm``, so ``swa_utils.update_bn`` and
    others that look for that class work, and ``track_running_stats`` may be switched. Folding it into a
    convolution, ``nn.SyncBatchNorm.convert_sync_batchnorm`` (use
    :func:`anrl.nn.convert_sync_adaptive_norm`) and ``torch.jit.script`` are refused. ``torch.fx`` takes it
    as one node.

    With ``synchronized = True`` the batch is that of all processes of ``process_group`` (by default all), as
    :func:`anrl.nn.convert_sync_adaptive_norm` sets it. With ``record_gate = True`` every forward pass leaves
    the gate's weights, (N, C), in ``last_gate``; see also :func:`anrl.nn.gate_statistics`.

    Args:
        num_features: C of an input of size (N, C, H, W).
        eps: Added to variances.
        momentum: Weight of new statistics in the running ones; None for a cumulative average.
        affine: Whether the branches have scales and shifts.
        bias: Whether the branches have shifts, if ``affine``.
        track_running_stats: Whether to keep running statistics; without them the batch branch uses the
            statistics of the batch in evaluation too.
        gate: A key of ``anrl.nn.GATES``, or a module that maps the spatial mean (N, C) to the weight of the
            batch branch, (N, C), in [0, 1].
        activation: None, or "relu" to apply ReLU in the same pass over memory.
        device: Where to put parameters and buffers.
        dtype: Their type.

    Raises:
        ValueError: ``gate`` or ``activation`` is unknown, the input is not (N, num_features, H, W), or there
            is one value per channel in training.
    """

    input_dim = 4


class AdaptiveNorm3d(AdaptiveNorm):
    """:class:`AdaptiveNorm2d` for inputs of size (N, C, D, H, W)."""

    input_dim = 5


def _refuse_substitution(parent: nn.Module, name: str, child: nn.Module | None) -> None:
    if child is None or isinstance(parent, AdaptiveNorm):
        return
    if is_taken_for_batch_norm(parent, name, child, Gate):
        raise TypeError(
            f"a conversion for batch normalization makes a {type(parent).__name__} of an adaptive "
            "normalization, which would lose its instance branch and gate; to share batch statistics between "
            "processes, use anrl.nn.convert_sync_adaptive_norm"
        )


register_module_module_registration_hook(_refuse_substitution)
