import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anrl import ops
from anrl.losses import DualCalibration
from support.close import assert_close

LABELS = torch.tensor([0, 1, 0, 1])


def naive(real, fake, centres_real, centres_fake, domain):
    """The formulas, one sample and one number at a time."""

    def distance(samples, centre):
        return sum((a - b) ** 2 for s in samples for a, b in zip(s, centre, strict=True)) / samples.numel()

    own = distance(real, centres_real[domain])
    others = [distance(real, c) for k, c in enumerate(centres_real) if k != domain]
    return sum(others) / len(others) - own, own - distance(real, centres_fake[domain]) - distance(
        fake, centres_real[domain]
    )


@pytest.mark.parametrize("domains", [2, 4])
def test_losses_follow_the_formulas(domains):
    torch.manual_seed(0)
    calibration = DualCalibration(domains, 5, init="ones").double()
    for domain in [1, 0, 1]:
        features = torch.randn(4, 5, dtype=torch.double)
        losses = calibration(features, LABELS, domain)
        expected = naive(features[::2], features[1::2], calibration.real, calibration.fake, domain)
        torch.testing.assert_close(torch.stack(list(losses)), torch.stack(list(expected)))


def test_centres_start_at_the_first_batch_and_move_by_momentum():
    calibration = DualCalibration(2, 3, momentum=0.75)
    first, second = torch.randn(2, 4, 3)
    calibration(first, LABELS, 0)
    torch.testing.assert_close(calibration.real[0], first[::2].mean(0))
    calibration(second, LABELS, 0)
    torch.testing.assert_close(calibration.fake[0], 0.75 * first[1::2].mean(0) + 0.25 * second[1::2].mean(0))


def test_domains_not_seen_yet_do_not_count():
    calibration = DualCalibration(3, 3)
    features = torch.randn(4, 3)
    assert calibration(features, LABELS, 2).inter_domain == 0
    loss = calibration(torch.randn(4, 3), LABELS, 0).inter_domain
    assert loss != 0 and not calibration.seen[1]


def test_evaluation_moves_nothing():
    calibration = DualCalibration(2, 3, init="ones").eval()
    calibration(torch.randn(4, 3), LABELS, 0)
    assert (calibration.real == 1).all()


def test_margin_bounds_the_losses_below():
    calibration = DualCalibration(2, 3, init="ones", margin=0.5)
    losses = calibration(torch.randn(4, 3) * 100, LABELS, 0)
    assert losses.inter_domain >= 0 and losses.inter_class >= 0


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.integers(1, 70), st.integers(1, 8), st.integers(1, 400)), st.booleans())
def test_distances_and_their_derivatives_agree_with_the_twin(shape, double):
    n, m, d = shape
    dtype = torch.float64 if double else torch.float32
    torch.manual_seed(0)
    inputs = [torch.randn(n, d, dtype=dtype), torch.randn(d, m, dtype=dtype).T]
    w = torch.randn(n, m, dtype=dtype)
    inputs = [t.requires_grad_() for t in inputs]

    def run(distances):
        found = distances(*inputs)
        first = torch.autograd.grad((found.sin() * w).sum(), inputs, create_graph=True)
        second = torch.autograd.grad(sum(g.sin().sum() for g in first), inputs, create_graph=True)
        third = torch.autograd.grad(sum(g.square().sum() for g in second), inputs)
        return [found, *first, *second, *(third if double else ())]

    for a, b in zip(run(ops.centre_distances), run(ops.centre_distances_twin), strict=True):
        assert_close(a.detach(), b.detach(), 1e-11 if double else 2e-5, absolute=1e-12 if double else 1e-6)


@pytest.mark.parametrize("margin", [None, 0.7])
@pytest.mark.parametrize("domain", [0, 2])
def test_losses_have_exact_second_derivatives(margin, domain):
    torch.manual_seed(3)
    calibration = DualCalibration(3, 6, init="ones", margin=margin).double().eval()
    calibration.real.normal_(), calibration.fake.normal_()
    features = torch.randn(4, 6, dtype=torch.double, requires_grad=True)

    def losses(features):
        return tuple(calibration(features, LABELS, domain))

    assert torch.autograd.gradcheck(losses, features)
    assert torch.autograd.gradgradcheck(losses, features)
    found = losses(features)
    with ops.twins_only():
        for a, b in zip(found, losses(features), strict=True):
            assert_close(a.detach(), b.detach(), 1e-12)


def test_a_missing_class_is_named():
    with pytest.raises(ValueError, match="domain 1 has no attack"):
        DualCalibration(2, 3)(torch.randn(2, 3), torch.tensor([0, 0]), 1)
    with pytest.raises(ValueError, match="from 0 to 1, not 2"):
        DualCalibration(2, 3)(torch.randn(4, 3), LABELS, 2)
    with pytest.raises(ValueError, match="at least 2 domains"):
        DualCalibration(1, 3)
