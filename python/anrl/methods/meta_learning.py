"""One step of ANRL's meta-learning (section 3.4), for any number of domains and any split of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from anrl.data import DomainBatch
from anrl.losses import DualCalibration
from anrl.models import ModelOutput
from anrl.models.base import Model
from anrl.nn import gate_parameters


class LossWeights(NamedTuple):
    """Weights of the four losses; the defaults are the official code's."""

    classification: float = 1.0
    depth: float = 0.1
    inter_domain: float = 0.001
    inter_class: float = 0.001


class DomainLosses(NamedTuple):
    """The four unweighted losses of one domain, and its accuracy, each a scalar without graph."""

    classification: Tensor
    depth: Tensor
    inter_domain: Tensor
    inter_class: Tensor
    accuracy: Tensor
    """Not a loss: the share of samples whose larger logit is that of their class."""


class MetaStepLosses(NamedTuple):
    """Losses of the meta-train and the meta-test domains, in the order they were given."""

    train: list[DomainLosses]
    test: list[DomainLosses]


def meta_step(
    model: Model,
    calibration: DualCalibration | None,
    batches: Sequence[DomainBatch],
    *,
    meta_train: Sequence[int],
    meta_test: Sequence[int],
    inner_lr: float,
    first_order: bool = False,
    detach_base: bool = False,
    weights: LossWeights | None = None,
    inner_parameters: Mapping[str, nn.Parameter] | None = None,
    reduce_gradients: Callable[[Sequence[Tensor]], Sequence[Tensor]] | None = None,
    batch_statistics: Literal["domain", "joint"] = "domain",
) -> tuple[Tensor, MetaStepLosses]:
    """Compute the loss of one meta-learning step; ``loss.backward()`` and an optimizer step are the caller's.

    The losses of the meta-train domains give one gradient step of size ``inner_lr`` on the gates (or on other
    parameters, ``inner_parameters``); the meta-test domains are forwarded with those fast weights.

    Args:
        model: The network. Without adaptive gates there is nothing to adapt and the result is the sum of all
            domains' losses.
        calibration: The calibration losses, or None to leave them out.
        batches: One batch for each domain; the position is the domain's index.
        meta_train: Indices of the meta-train domains, in the order to forward them.
        meta_test: Indices of the meta-test domains.
        inner_lr: Step size of the inner update.
        first_order: Whether to treat the inner gradient as a constant: much cheaper, with an error of the
            order of ``inner_lr``.
        detach_base: Whether the fast weights start from detached parameters, as in the official code. This
            cuts the gates off most of the meta-test gradient; it is here to reproduce published figures.
        weights: Weights of the losses.
        inner_parameters: The parameters that the inner step changes, by their names in the model; the gates
            by default, ``dict(model.named_parameters())`` for MAML on the whole network.
        reduce_gradients: Reduction of the inner gradients of several processes to one, for instance
            :func:`anrl.nn.average_tensors`, so that all move their gates alike.
        batch_statistics: "domain", as in the paper: every domain is forwarded by itself, so its batch
            statistics are its own. "joint": all domains are forwarded together both times, as
            running statistics will treat them; up to twice the work.

    Returns:
        The total loss with its graph, and the losses it is made of.

    Raises:
        ValueError: no meta-train domain, a domain in both splits or out of range, ``batch_statistics`` is
            unknown, or a batch without both classes while ``calibration`` is given.
    """
    weights = weights or LossWeights()
    used = [*meta_train, *meta_test]
    if not meta_train or len(set(used)) != len(used) or not all(0 <= k < len(batches) for k in used):
        raise ValueError(
            f"meta_train {list(meta_train)} and meta_test {list(meta_test)} must be disjoint, the first not "
            f"empty, with indices of the {len(batches)} batches"
        )
    if batch_statistics not in ("domain", "joint"):
        raise ValueError(f"batch_statistics must be 'domain' or 'joint', not {batch_statistics!r}")

    def forward(domains: Sequence[int], fast: dict[str, Tensor]) -> list[tuple[Tensor, DomainLosses]]:
        if batch_statistics == "joint" and domains:
            joint = forward_jointly(model, [batches[k] for k in used], fast)
            outputs = (joint[used.index(k)] for k in domains)
        else:
            outputs = (functional_call(model, fast, (batches[k].image,)) for k in domains)
        return [
            domain_loss(output, batches[k], k, calibration, weights)
            for k, output in zip(domains, outputs, strict=True)
        ]

    train = forward(meta_train, {})
    train_loss = torch.stack([loss for loss, _ in train]).sum()

    fast: dict[str, Tensor] = {}
    gradients: Sequence[Tensor]
    inner = dict(gate_parameters(model) if inner_parameters is None else inner_parameters)
    if inner and meta_test and inner_lr != 0:
        if first_order:
            gradients, train_loss = _differentiated(train_loss, model, inner)
        else:
            gradients = torch.autograd.grad(train_loss, list(inner.values()), create_graph=True)
        if reduce_gradients is not None:
            gradients = reduce_gradients(gradients)
        fast = {
            name: (base.detach() if detach_base else base) - inner_lr * gradient
            for (name, base), gradient in zip(inner.items(), gradients, strict=True)
        }
    test = forward(meta_test, fast)
    total = train_loss + sum((loss for loss, _ in test), torch.zeros_like(train_loss))
    return total, MetaStepLosses([parts for _, parts in train], [parts for _, parts in test])


def _differentiated(
    loss: Tensor, model: Model, inner: dict[str, nn.Parameter]
) -> tuple[list[Tensor], Tensor]:
    """Compute the gradients of ``inner``, and the loss with a graph that only knows its gradient.

    One backward pass gives both, and the memory of the loss's own graph is free for what comes next.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    computed = torch.autograd.grad(loss, parameters, allow_unused=True)
    gradients = {p: g for p, g in zip(parameters, computed, strict=True) if g is not None}
    linear = torch.stack([(p * g).sum() for p, g in gradients.items()]).sum()
    return [gradients[parameter] for parameter in inner.values()], loss.detach() + (linear - linear.detach())


def joint_step(
    model: Model,
    calibration: DualCalibration | None,
    batches: Sequence[DomainBatch],
    weights: LossWeights | None = None,
) -> tuple[Tensor, list[DomainLosses]]:
    """Compute the loss without meta-learning: all domains in one forward pass, their losses added.

    Args:
        model: The network.
        calibration: The calibration losses, or None to leave them out.
        batches: One batch for each domain; the position is the domain's index.
        weights: Weights of the losses.

    Returns:
        The total loss with its graph, and the losses of each domain.
    """
    return joint_loss(forward_jointly(model, batches), batches, calibration, weights or LossWeights())


def forward_jointly(
    model: Model, batches: Sequence[DomainBatch], fast: Mapping[str, Tensor] | None = None
) -> list[ModelOutput]:
    """All domains in one forward pass, with common batch statistics; the output of each.

    Args:
        model: The network.
        batches: One batch for each domain.
        fast: Tensors that take the place of parameters, by their names in the model.
    """
    output = functional_call(model, dict(fast or {}), (torch.cat([batch.image for batch in batches]),))
    sizes = [len(batch.image) for batch in batches]
    return [ModelOutput(*part) for part in zip(*(t.split(sizes) for t in output), strict=True)]


def joint_loss(
    outputs: Sequence[ModelOutput],
    batches: Sequence[DomainBatch],
    calibration: DualCalibration | None,
    weights: LossWeights,
) -> tuple[Tensor, list[DomainLosses]]:
    """Add the weighted losses of all domains; return the losses of each, too."""
    results = [
        domain_loss(output, batch, domain, calibration, weights)
        for domain, (output, batch) in enumerate(zip(outputs, batches, strict=True))
    ]
    return torch.stack([loss for loss, _ in results]).sum(), [parts for _, parts in results]


def domain_loss(
    output: ModelOutput,
    batch: DomainBatch,
    domain: int,
    calibration: DualCalibration | None,
    weights: LossWeights,
) -> tuple[Tensor, DomainLosses]:
    """Compute the weighted sum of one domain's losses, and the losses it is made of."""
    classification = F.cross_entropy(output.logits, batch.label)
    depth = depth_loss(output.depth.squeeze(1), batch.depth, batch.has_depth)
    total = weights.classification * classification + weights.depth * depth
    inter_domain = inter_class = torch.zeros_like(classification)
    if calibration is not None:
        inter_domain, inter_class = calibration(output.features, batch.label, domain)
        total = total + weights.inter_domain * inter_domain + weights.inter_class * inter_class
    accuracy = (output.logits.argmax(1) == batch.label).double().mean()
    return total, DomainLosses(
        classification=classification.detach(),
        depth=depth.detach(),
        inter_domain=inter_domain.detach(),
        inter_class=inter_class.detach(),
        accuracy=accuracy,
    )


def depth_loss(depth: Tensor, target: Tensor, has_depth: Tensor | None = None) -> Tensor:
    """Compute the mean squared error of depth maps (N, h, w).

    A target of another size is averaged over areas. The error of samples for which ``has_depth``, (N,), is
    False counts as zero; the mean is over all N, so that it does not depend on how processes share a batch.
    """
    if target.shape != depth.shape:
        target = F.adaptive_avg_pool2d(target[:, None], (depth.shape[1], depth.shape[2]))[:, 0]
    if has_depth is not None:
        target = torch.where(has_depth[:, None, None], target, depth.detach())
    return F.mse_loss(depth, target)
