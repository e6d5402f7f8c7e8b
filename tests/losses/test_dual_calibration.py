"""Dual calibration: its losses by the formulas, its moving centers, its derivatives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anrl import ops
from anrl.losses import DualCalibration
from support.close import assert_close

LABELS = torch.tensor([0, 1, 0, 1])


def naive(bona_fide, attack, bona_fide_centers, attack_centers, domain):
    """The formulas, one sample and one number at a time."""

    def distance(samples, center):
        return sum((a - b) ** 2 for s in samples for a, b in zip(s, center, strict=True)) / samples.numel()

    own = distance(bona_fide, bona_fide_centers[domain])
    others = [distance(bona_fide, c) for k, c in enumerate(bona_fide_centers) if k != domain]
    inter_domain = sum(others) / len(others) - own
    to_other_class = distance(bona_fide, attack_centers[domain]) + distance(attack, bona_fide_centers[domain])
    return inter_domain, own - to_other_class


@pytest.mark.parametrize("domains", [2, 4])
def test_losses_follow_the_formulas(domains):
    torch.manual_seed(0)
    calibration = DualCalibration(domains, 5, center_init="ones").double()
    for domain in [1, 0, 1]:
        features = torch.randn(4, 5, dtype=torch.double)
        losses = calibration(features, LABELS, domain)
        expected = naive(
            features[::2], features[1::2], calibration.bona_fide_centers, calibration.attack_centers, domain
        )
        torch.testing.assert_close(torch.stack(list(losses)), torch.stack(list(expected)))


def test_centers_start_at_the_first_batch_and_move_by_momentum():
    calibration = DualCalibration(2, 3, center_momentum=0.75)
    first, second = torch.randn(2, 4, 3)
    calibration(first, LABELS, 0)
    torch.testing.assert_close(calibration.bona_fide_centers[0], first[::2].mean(0))
    calibration(second, LABELS, 0)
    torch.testing.assert_close(
        calibration.attack_centers[0], 0.75 * first[1::2].mean(0) + 0.25 * second[1::2].mean(0)
    )


def test_domains_not_seen_yet_do_not_count():
    calibration = DualCalibration(3, 3)
    features = torch.randn(4, 3)
    assert calibration(features, LABELS, 2).inter_domain == 0
    loss = calibration(torch.randn(4, 3), LABELS, 0).inter_domain
    assert loss != 0 and not calibration.seen[1]


def test_evaluation_moves_nothing():
    calibration = DualCalibration(2, 3, center_init="ones").eval()
    calibration(torch.randn(4, 3), LABELS, 0)
    assert (calibration.bona_fide_centers == 1).all()


def test_margin_bounds_the_losses_below():
    calibration = DualCalibration(2, 3, center_init="ones", margin=0.5)
    losses = calibration(torch.randn(4, 3) * 100, LABELS, 0)
    assert losses.inter_domain >= 0 and losses.inter_class >= 0


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.integers(1, 70), st.integers(1, 8), st.integers(1, 400)), st.booleans())
def test_distances_and_their_derivatives_agree_with_the_reference(shape, double):
    n, m, d = shape
    dtype = torch.float64 if double else torch.float32
    torch.manual_seed(0)
    values = [torch.randn(n, d, dtype=dtype), torch.randn(d, m, dtype=dtype).T]
    weights = torch.randn(n, m, dtype=dtype)

    def run(distances, dtype):
        inputs, w = [t.to(dtype).requires_grad_() for t in values], weights.to(dtype)
        result = distances(*inputs)
        first = torch.autograd.grad((result.sin() * w).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.sin().sum() for g in first), inputs, create_graph=True)
        third = torch.autograd.grad(sum(g.square().sum() for g in second), inputs)
        return [result, *first, *second, *(third if double else ())]

    # Where distances are near zero, float32 itself is less exact than the bound: then the reference's own
    # error, twice, is the bound.
    exact = run(ops.center_distances_reference, torch.float64)
    plain = run(ops.center_distances_reference, dtype)
    for ours, reference, expected in zip(run(ops.center_distances, dtype), plain, exact, strict=True):
        limit = 2 * (reference - expected).abs().max().item() if not double else 0.0
        assert_close(
            ours.detach(),
            expected.detach(),
            1e-11 if double else 2e-5,
            absolute=max(limit, 1e-12 if double else 1e-6),
        )


@pytest.mark.parametrize("margin", [None, 0.7])
@pytest.mark.parametrize("domain", [0, 2])
def test_losses_have_exact_second_derivatives(margin, domain):
    torch.manual_seed(3)
    calibration = DualCalibration(3, 6, center_init="ones", margin=margin).double().eval()
    calibration.bona_fide_centers.normal_(), calibration.attack_centers.normal_()
    features = torch.randn(4, 6, dtype=torch.double, requires_grad=True)

    def losses(features):
        return tuple(calibration(features, LABELS, domain))

    assert torch.autograd.gradcheck(losses, features)
    assert torch.autograd.gradgradcheck(losses, features)
    by_kernels = losses(features)
    with ops.references_only():
        for a, b in zip(by_kernels, losses(features), strict=True):
            assert_close(a.detach(), b.detach(), 1e-12)


def test_a_missing_class_is_named():
    with pytest.raises(ValueError, match="domain 1 has no attack"):
        DualCalibration(2, 3)(torch.randn(2, 3), torch.tensor([0, 0]), 1)
    with pytest.raises(ValueError, match="from 0 to 1, not 2"):
        DualCalibration(2, 3)(torch.randn(4, 3), LABELS, 2)
    with pytest.raises(ValueError, match="at least 2 domains"):
        DualCalibration(1, 3)
