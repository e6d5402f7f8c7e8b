"""The maximum mean discrepancy against its definition, one pair of vectors at a time."""

import pytest
import torch

from anrl.losses import MMDLoss, squared_mmd


def naive(a, b, bandwidths):
    joined = torch.cat([a, b])
    scale = torch.stack([(x - y).square().sum() for x in joined for y in joined]).mean()

    def mean_kernel(xs, ys):
        values = [
            torch.exp(-(x - y).square().sum() / (s * scale)) for x in xs for y in ys for s in bandwidths
        ]
        return torch.stack(values).mean()

    return mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)


def test_discrepancy_is_that_of_the_kernel():
    torch.manual_seed(0)
    a, b = torch.randn(5, 3).double(), torch.randn(4, 3).double() + 1
    torch.testing.assert_close(squared_mmd(a, b, (0.5, 2.0)), naive(a, b, (0.5, 2.0)))
    assert squared_mmd(a, a.clone(), (1.0,)).abs() < 1e-12


def test_equal_features_have_a_finite_gradient():
    same = torch.zeros(3, 2).requires_grad_()
    squared_mmd(same, torch.zeros(3, 2), (1.0,)).backward()
    assert torch.isfinite(same.grad).all()


def test_the_loss_is_the_mean_over_pairs_of_domains():
    torch.manual_seed(1)
    domains = [torch.randn(n, 3).double() + n for n in (2, 3, 4)]
    loss = MMDLoss([0.5, 1.0])
    pairs = [naive(domains[i], domains[j], (0.5, 1.0)) for i, j in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(loss(domains), torch.stack(pairs).mean())
    assert "bandwidths=(0.5, 1.0)" in repr(loss)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least 2 domains, got features of 1"):
        MMDLoss((1.0,))([torch.randn(2, 3)])
    with pytest.raises(ValueError, match="bandwidths"):
        MMDLoss(())
