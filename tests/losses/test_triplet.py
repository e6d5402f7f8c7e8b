"""The triplet loss against a plain loop over triplets."""

import pytest
import torch

from anrl.losses import TripletLoss, triplet_loss

CLASSES = torch.tensor([0, 0, 1, 1, 0, 2, 2, 1])


def violations(features, classes, margin):
    excesses = []
    for a in range(len(features)):
        for p in range(len(features)):
            for n in range(len(features)):
                if a != p and classes[a] == classes[p] != classes[n]:
                    near, far = ((features[a] - features[i]).norm() for i in (p, n))
                    if near - far + margin > 0:
                        excesses.append(near - far + margin)
    return excesses


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_triplets_are_those_of_a_plain_loop(margin):
    torch.manual_seed(0)
    features = torch.randn(8, 3).double().requires_grad_()
    expected = torch.stack(violations(features, CLASSES, margin)).mean()
    loss = TripletLoss(margin)(features, CLASSES)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v, features)[0] for v in (loss, expected)))
    assert torch.equal(triplet_loss(features, CLASSES, margin), loss)
    assert f"margin={margin}" in repr(TripletLoss(margin))


def test_without_a_violation_the_loss_is_zero():
    features = 10.0 * torch.nn.functional.one_hot(CLASSES).double()
    assert not violations(features, CLASSES, 0.3)
    assert triplet_loss(features.requires_grad_(), CLASSES, 0.3) == 0
    one_class = torch.zeros(8, dtype=torch.long)
    assert triplet_loss(torch.randn(8, 3), one_class, 0.3) == 0


def test_equal_features_have_a_finite_gradient():
    equal = torch.zeros(4, 3).requires_grad_()
    triplet_loss(equal, torch.tensor([0, 0, 1, 1]), 0.3).backward()
    assert torch.isfinite(equal.grad).all()
