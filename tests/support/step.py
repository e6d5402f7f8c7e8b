"""One training step of any network."""

import torch
from torch.func import functional_call
from torch.nn import functional as F

from anrl.nn import gate_parameters

LABEL = torch.tensor([0, 0, 1, 1])


def loss_of(output):
    target = torch.rand(output.depth.shape) * (LABEL == 0)[:, None, None, None]
    return F.cross_entropy(output.logits, LABEL) + F.mse_loss(output.depth, target)


def backward(model, image):
    """A forward and a backward pass in training mode; checks shapes and gradients."""
    output = model.train()(image)
    size = output.features.shape[2:]
    assert output.logits.shape == (4, 2)
    assert output.features.shape == (4, model.num_features, *size)
    assert output.depth.shape == (4, 1, *size) and (output.depth >= 0).all()
    torch.testing.assert_close(model.eval().classify(model.extract(image)), model(image).logits)
    loss_of(output).backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def meta_backward(model, image, inner_lr=0.1):
    """A second-order step through the gates, and the gradient of the gates."""
    model.train()
    gates = gate_parameters(model)
    gradients = torch.autograd.grad(
        loss_of(functional_call(model, {}, (image,))), list(gates.values()), create_graph=True
    )
    fast = {
        name: gate - inner_lr * gradient
        for (name, gate), gradient in zip(gates.items(), gradients, strict=True)
    }
    loss_of(functional_call(model, fast, (image.flip(0),))).backward()
    return {name: gate.grad for name, gate in gates.items()}
