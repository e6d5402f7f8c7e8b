"""Torch's own database of modules: what it asks of batch and instance normalization, asked of the layer."""

import copy
import io
import pickle

import pytest
import torch
from torch.testing._internal.common_modules import module_db

from anrl import ops
from anrl.nn import AdaptiveNorm1d, AdaptiveNorm2d, AdaptiveNorm3d
from support.close import assert_close

LAYERS = {"1d": AdaptiveNorm1d, "2d": AdaptiveNorm2d, "3d": AdaptiveNorm3d}
ENTRIES = {
    info.module_cls.__name__: info
    for info in module_db
    if info.module_cls.__name__.startswith(("BatchNorm", "InstanceNorm"))
}
assert len(ENTRIES) == 6
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def inputs(entry, dtype, training, device="cpu", requires_grad=True):
    info = ENTRIES[entry]
    torch.manual_seed(0)
    given = {"device": device, "dtype": dtype, "requires_grad": requires_grad, "training": training}
    return info.module_inputs_func(info, **given)


def is_served(entry, case):
    """Whether a case's input has samples, channels and at least one spatial dimension."""
    return case.forward_input.args[0].dim() == LAYERS[entry[-2:]].input_dim


NUMBERS = [
    pytest.param(entry, number, training, id=f"{entry}-{case.desc or number}-{training}")
    for entry in ENTRIES
    for training in (True, False)
    for number, case in enumerate(inputs(entry, torch.float32, training))
    if is_served(entry, case)
]
every_case = pytest.mark.parametrize("entry, number, training", NUMBERS)


def build(entry, number, training, dtype=torch.float64, device="cpu"):
    case = inputs(entry, dtype, training, device)[number]
    arguments = case.constructor_input
    torch.manual_seed(1)
    layer = LAYERS[entry[-2:]](*arguments.args, **arguments.kwargs, device=device, dtype=dtype)
    if device != "meta":
        with torch.no_grad():
            for tensor in (*layer.parameters(), *(b for b in layer.buffers() if b.dtype == dtype)):
                tensor.copy_(torch.rand(tensor.shape) * 0.6 + 0.2)
    return layer.train(training), case.forward_input.args[0]


def derivatives(layer, x):
    y = layer(x)
    return [y, *torch.autograd.grad(y.sin().sum(), [x, *layer.parameters()], materialize_grads=True)]


def call(layer):
    """A function of the input and the parameters, which leaves the running statistics as they were."""
    names = [name for name, _ in layer.named_parameters()]
    buffers = dict(layer.named_buffers())

    def function(x, *values):
        state = dict(zip(names, values, strict=True)) | {k: v.clone() for k, v in buffers.items()}
        return torch.func.functional_call(layer, state, (x,))

    return function


@pytest.mark.parametrize("dtype", DTYPES)
@every_case
def test_forward_agrees_with_the_reference(entry, number, training, dtype):
    layer, x = build(entry, number, training, dtype)
    with ops.references_only():
        expected = call(layer)(x, *layer.parameters()).detach()
    y = layer(x)
    assert y.dtype == x.dtype and y.shape == x.shape
    if len(x):
        precision = {torch.float16: 3e-3, torch.bfloat16: 2e-2, torch.float32: 1e-5, torch.float64: 1e-11}
        assert_close(y.double(), expected.double(), precision[dtype])


@every_case
def test_other_ranks_of_input_are_refused(entry, number, training):
    layer, x = build(entry, number, training)
    for wrong in (x.flatten(0, 1), x[None]):
        with pytest.raises(ValueError, match=f"expected {x.dim()}D input"):
            layer(wrong)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@every_case
def test_everything_is_made_on_the_device_and_of_the_type_asked_for(entry, number, training, dtype):
    layer, x = build(entry, number, training, dtype, device="meta")
    tensors = [*layer.parameters(), *layer.buffers()]
    assert all(t.is_meta for t in tensors)
    assert all(t.dtype == dtype for t in tensors if t.is_floating_point())
    results = derivatives(layer, x)
    assert all(t.is_meta for t in results) and results[0].shape == x.shape
    real = layer.to_empty(device="cpu")
    real.reset_parameters()
    assert all(t.isfinite().all() for t in real.state_dict().values())


@every_case
def test_copies_give_the_same(entry, number, training):
    layer, x = build(entry, number, training)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    loaded, _ = build(entry, number, training)
    loaded.reset_parameters()
    loaded.load_state_dict(torch.load(file))
    copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded]
    expected = layer(x)
    for other in copies:
        assert repr(other) == repr(layer) and torch.equal(other(x), expected)


@every_case
def test_layouts_give_the_same(entry, number, training):
    layer, x = build(entry, number, training)
    expected = derivatives(copy.deepcopy(layer), x)
    layouts = [x.repeat_interleave(2, -1)[..., ::2], x.transpose(0, 1).contiguous().transpose(0, 1)]
    if x.dim() > 3:
        form = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        layouts.append(x.contiguous(memory_format=form))
        assert layer(layouts[-1]).is_contiguous(memory_format=form)
        layer, _ = build(entry, number, training)
    for layout in layouts:
        found = derivatives(copy.deepcopy(layer), layout.detach().requires_grad_())
        for a, b in zip(found, expected, strict=True):
            if b.numel():
                assert_close(a, b, 1e-11, absolute=1e-12)


@every_case
def test_modes_and_types_switch(entry, number, training):
    layer, x = build(entry, number, training)
    assert layer.eval().training is False and layer.train().training is True
    narrow = layer.to(torch.float32)
    assert narrow(x.float()).dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in layer.parameters())


# Torch's own doing: operators without a rule for batches, and its forward-mode rules are scripted.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@every_case
def test_derivatives_of_every_mode_are_right(entry, number, training):
    layer, x = build(entry, number, training)
    if x.numel() == 0:
        assert layer(x).shape == x.shape
        return
    x = x[:2, :, :3].detach().contiguous().requires_grad_()
    values = [x, *(p.detach().requires_grad_() for p in layer.parameters())]
    modes = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
    assert torch.autograd.gradcheck(call(layer), values, fast_mode=True)
    assert torch.autograd.gradcheck(call(layer), values, **modes)
    assert torch.autograd.gradgradcheck(call(layer), values, fast_mode=True, check_fwd_over_rev=True)


@pytest.mark.parametrize("entry", [name for name in ENTRIES if name.startswith("Batch")])
def test_errors_are_those_of_batch_norm(entry):
    info = ENTRIES[entry]
    given = {"device": "cpu", "dtype": torch.float32, "requires_grad": False, "training": True}
    cases = info.module_error_inputs_func(info, **given)
    assert cases
    for case in cases:
        arguments = case.module_error_input.constructor_input
        layer = LAYERS[entry[-2:]](*arguments.args, **arguments.kwargs)
        with pytest.raises(Exception) as error:
            layer(*case.module_error_input.forward_input.args)
        assert type(error.value) in (ValueError, RuntimeError)
