"""The two calibration losses of ANRL (section 3.3)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from anrl.distributed import average_tensors
from anrl.ops import center_distances


class CalibrationLosses(NamedTuple):
    """The two losses of one domain, each a scalar."""

    inter_domain: Tensor
    """Inter-domain compatible: bona fide features lie as near to other domains' centers as to their own."""
    inter_class: Tensor
    """Inter-class separable: bona fide and attack features lie apart."""


class DualCalibration(nn.Module):
    """Inter-domain compatible and inter-class separable loss around moving class centers.

    Each domain k has a center of bona fide features R[k] and one of attack features F[k], moved towards each
    batch's mean. With d(X, c) = mean over samples and dimensions of (x - c)², for a batch of domain i:

    - inter-domain: mean over k ≠ i of d(bona fide, R[k]) - d(bona fide, R[i])
    - inter-class: d(bona fide, R[i]) - d(bona fide, F[i]) - d(attack, R[i])

    Args:
        num_domains: K, at least 2.
        num_features: D, the length of a feature vector.
        center_momentum: Weight of the old center when it moves.
        center_init: "first" starts a center at its first batch's mean, and leaves domains that were not seen
            yet out of the inter-domain loss; "ones" starts all at one, as the official code does.
        margin: If given, a loss l becomes max(0, l + margin); without it both are unbounded below.

    Raises:
        ValueError: ``num_domains`` is below 2 or ``center_init`` is unknown.
    """

    bona_fide_centers: Tensor
    attack_centers: Tensor
    seen: Tensor
    synchronized: bool = False
    """Whether centers move by the samples of all processes; losses stay those of this process' samples."""

    def __init__(
        self,
        num_domains: int,
        num_features: int,
        center_momentum: float = 0.9,
        center_init: str = "first",
        margin: float | None = None,
    ) -> None:
        super().__init__()
        if num_domains < 2:
            raise ValueError(f"calibration between domains needs at least 2 domains, got {num_domains}")
        if center_init not in ("first", "ones"):
            raise ValueError(f"center_init must be 'first' or 'ones', not {center_init!r}")
        self.center_momentum = center_momentum
        self.margin = margin
        self.register_buffer("bona_fide_centers", torch.ones(num_domains, num_features))
        self.register_buffer("attack_centers", torch.ones(num_domains, num_features))
        self.register_buffer("seen", torch.full((num_domains,), center_init == "ones"))

    def forward(self, features: Tensor, labels: Tensor, domain: int) -> CalibrationLosses:
        """Move the centers of ``domain`` (in training mode), then compute its losses.

        Args:
            features: (N, D), or maps (N, D, H, W) that are averaged over their pixels.
            labels: (N,), 0 = bona fide, 1 = attack; both must occur.
            domain: Index of the domain that all samples come from.

        Raises:
            ValueError: one of the classes is missing, or there is no such domain.
        """
        if features.dim() > 2:
            features = features.flatten(2).mean(2)
        num_domains = len(self.bona_fide_centers)
        if not 0 <= domain < num_domains:
            raise ValueError(f"domain must be from 0 to {num_domains - 1}, not {domain}")
        bona_fide, attack = features[labels == 0], features[labels == 1]
        if len(bona_fide) == 0 or len(attack) == 0:
            missing = "bona fide (label 0)" if len(bona_fide) == 0 else "attack (label 1)"
            raise ValueError(f"the batch of domain {domain} has no {missing} sample; calibration needs both")
        if self.training:
            self._move(domain, bona_fide, attack)
        # A copy: losses refer to the centers as they are now, and later batches move them.
        centers = torch.cat([self.bona_fide_centers, self.attack_centers])
        dtype = torch.promote_types(features.dtype, centers.dtype)
        distances = center_distances(features.to(dtype), centers.to(dtype))
        from_bona_fide, from_attack = (distances[labels == value].mean(0) for value in (0, 1))
        to_own = from_bona_fide[domain]
        others = [k for k in range(num_domains) if k != domain and bool(self.seen[k])]
        inter_domain = from_bona_fide[others].mean() - to_own if others else to_own * 0
        inter_class = to_own - from_bona_fide[num_domains + domain] - from_attack[domain]
        if self.margin is not None:
            inter_domain = torch.relu(inter_domain + self.margin)
            inter_class = torch.relu(inter_class + self.margin)
        return CalibrationLosses(inter_domain, inter_class)

    @torch.no_grad()
    def _move(self, domain: int, bona_fide: Tensor, attack: Tensor) -> None:
        weight = 1 - self.center_momentum if self.seen[domain] else 1.0
        for centers, features in ((self.bona_fide_centers, bona_fide), (self.attack_centers, attack)):
            total = torch.cat([features.sum(0), features.new_full((1,), len(features))])
            if self.synchronized:
                (total,) = average_tensors([total])
            centers[domain].lerp_((total[:-1] / total[-1]).to(centers.dtype), weight)
        self.seen[domain] = True
