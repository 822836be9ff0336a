"""Linear layers by convolution equal torch's own, forward and backward, and are taken only where they are faster."""

import pytest
import torch
import torch.nn.functional as F

from vit_model import linear as module
from vit_model.linear import FEWEST_QUERIES, FEWEST_ROWS, Linear, linear, softmax_products

ROWS = FEWEST_ROWS + 3


@pytest.fixture
def convolutions(monkeypatch):
    """Shapes of the convolutions made; whatever processor this is, linear layers may become some."""
    made, convolve = [], F.conv2d
    monkeypatch.setattr(module, "BY_CONVOLUTION", True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(F, "conv2d", lambda x, *others: made.append(list(x.shape)) or convolve(x, *others))
    return made


@pytest.mark.parametrize("shape", [(ROWS, 24), (2, ROWS, 24), (3, 5, ROWS, 24), (ROWS, 1)])
@pytest.mark.parametrize("biased", [True, False])
def test_equals_torchs_own_forward_and_backward(convolutions, shape, biased):
    x, weight, bias = torch.randn(shape), torch.randn(40, shape[-1]), torch.randn(40) if biased else None
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias) if tensor is not None]
    expected, given = F.linear(*(part.double() for part in inputs)), linear(x, weight, bias)
    assert convolutions == [[1, shape[-1], x.numel() // shape[-1], 1]]
    assert given.shape == expected.shape and given.is_contiguous()
    torch.testing.assert_close(given.double(), expected, rtol=1e-5, atol=1e-5)
    score = torch.randn(expected.shape)
    of_given = torch.autograd.grad((given * score).sum(), inputs)
    of_expected = torch.autograd.grad((expected * score).sum(), inputs)
    for one, other in zip(of_given, of_expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(ROWS, 24), (2, ROWS, 24)])
@pytest.mark.parametrize("biased", [True, False])
def test_frozen_weights_keep_no_activations(convolutions, shape, biased):
    x, layer = torch.randn(shape, requires_grad=True), Linear(24, 40, bias=biased).requires_grad_(False)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.shape) or tensor, lambda it: it):
        given = layer(x)
    assert kept == [layer.weight.shape] and len(convolutions) == 1
    score = torch.randn(given.shape)
    (gradient,) = torch.autograd.grad((given * score).sum(), x)
    torch.testing.assert_close(gradient, score @ layer.weight, rtol=1e-5, atol=1e-5)
    assert gradient.shape == x.shape and gradient.is_contiguous()
    summed = torch.autograd.grad(layer(x).sum(), x)[0]  # a gradient that is one number, expanded
    torch.testing.assert_close(summed, layer.weight.sum(0).expand(shape), rtol=1e-5, atol=1e-5)


def test_a_bias_alone_can_be_trained(convolutions):
    x, layer = torch.randn(ROWS, 24, requires_grad=True), Linear(24, 40)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert torch.equal(layer.bias.grad, torch.full((40,), float(ROWS)))


def test_the_gradient_of_frozen_weights_has_a_gradient(convolutions):
    x, layer = torch.randn(ROWS, 24, requires_grad=True), Linear(24, 40).requires_grad_(False)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    expected = (2 * layer.weight.T @ layer.weight).sum(0).expand(ROWS, -1)
    torch.testing.assert_close(second, expected, rtol=1e-4, atol=1e-4)


def test_takes_rows_that_do_not_lie_side_by_side(convolutions):
    x, weight = torch.randn(24, 2, ROWS).permute(1, 2, 0), torch.randn(48, 40)[:, ::2].T[:, ::2].T[:, : 24 // 2]
    x = x[..., ::2]
    torch.testing.assert_close(linear(x, weight), F.linear(x, weight), rtol=1e-5, atol=1e-5)
    assert len(convolutions) == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_numbers_are_left_to_torch(convolutions, dtype):
    x, weight = torch.randn(ROWS, 24, dtype=dtype), torch.randn(40, 24, dtype=dtype)
    assert torch.equal(linear(x, weight), F.linear(x, weight)) and not convolutions


def test_autocast_is_left_to_torch(convolutions):
    x, weight = torch.randn(ROWS, 24), torch.randn(40, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    assert not convolutions


def test_a_single_thread_is_left_to_torch(convolutions, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x, weight = torch.randn(ROWS, 24), torch.randn(40, 24)
    assert torch.equal(linear(x, weight), F.linear(x, weight)) and not convolutions


@pytest.mark.parametrize("rows", [0, 1, FEWEST_ROWS - 1])
def test_few_rows_are_left_to_torch(convolutions, rows):
    x, weight, bias = torch.randn(rows, 24), torch.randn(40, 24), torch.randn(40)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias)) and not convolutions


def test_other_processors_are_left_to_torch(convolutions, monkeypatch):
    monkeypatch.setattr(module, "BY_CONVOLUTION", False)
    x, layer = torch.randn(2, ROWS, 24), Linear(24, 40)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias)) and not convolutions


def test_a_compiler_sees_a_linear_layer(convolutions):
    layer = Linear(24, 40)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(torch.ones(ROWS, 24)), F.linear(torch.ones(ROWS, 24), layer.weight, layer.bias))
    assert not convolutions


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("count", [7, FEWEST_QUERIES + 1])
def test_softmax_products(convolutions, shape, count):
    queries, keys = torch.randn(*shape, count, 8), torch.randn(*shape, 600, 8)
    expected = torch.softmax(queries.double() @ keys.double().transpose(-2, -1), -1)
    torch.testing.assert_close(softmax_products(queries, keys).double(), expected, rtol=1e-4, atol=1e-7)
    assert len(convolutions) == (0 if count == 7 else max(1, torch.Size(shape).numel()))


AMD, INTEL = "vendor_id\t: AuthenticAMD\n", "vendor_id\t: GenuineIntel\n"


@pytest.mark.parametrize(
    ("capability", "cpuinfo", "identifier", "expected"),
    [
        ("AVX512", AMD, None, True),
        ("AVX2", AMD, None, False),
        ("AVX512", INTEL, None, False),
        ("AVX512", None, "AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD", True),
        ("AVX512", None, "Intel64 Family 6 Model 106 Stepping 6, GenuineIntel", False),
        ("AVX512", None, None, False),
    ],
)
def test_which_processors(monkeypatch, tmp_path, capability, cpuinfo, identifier, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(module, "CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    if identifier:
        monkeypatch.setenv("PROCESSOR_IDENTIFIER", identifier)
    else:
        monkeypatch.delenv("PROCESSOR_IDENTIFIER", raising=False)
    assert module._mkl_leaves_half() is expected
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)  # such a torch asks something else anyway
    assert module._mkl_leaves_half() is False
