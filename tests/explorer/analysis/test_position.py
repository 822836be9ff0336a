"""Position similarity: golden values, properties, other sizes, wording of errors."""

import pytest
import torch
import torch.nn.functional as F

from explorer import position_similarity


def test_golden_cosine_and_dot(tiny_model):
    model = tiny_model(image_size=(8, 16), width=2, heads=1)  # a 1x2 grid after the class token
    model.positions.copy_(torch.tensor([[[9.0, 9.0], [3.0, 4.0], [4.0, 3.0]]]))
    cosine = torch.tensor([[1.0, 0.96], [0.96, 1.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(position_similarity(model), cosine)
    dot = torch.tensor([[25.0, 24.0], [24.0, 25.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(position_similarity(model, kind="dot"), dot)


def test_native_map_is_symmetric_with_1_at_itself(tiny_model):
    found = position_similarity(tiny_model(image_size=(32, 48), distillation_token=True, registers=2))
    assert found.shape == (4, 6, 4, 6)
    flat = found.reshape(24, 24)
    torch.testing.assert_close(flat, flat.T)
    torch.testing.assert_close(flat.diagonal(), torch.ones(24))
    assert flat.abs().max() < 1 + 1e-6


@pytest.mark.parametrize("method", ["bilinear", "jax", "timm"])
def test_another_size_is_that_of_the_resized_model(tiny_model, method):
    model = tiny_model()
    found = position_similarity(model, (16, 72), method)
    assert found.shape == (2, 9, 2, 9)
    torch.testing.assert_close(found, position_similarity(model.at_size((16, 72), method)))
    assert not torch.allclose(found, position_similarity(model, (16, 72), "hf"))


def test_golden_interpolation(tiny_model):
    model = tiny_model(image_size=(8, 16), width=2, heads=1)
    model.positions.copy_(torch.tensor([[[9.0, 9.0], [1.0, 0.0], [0.0, 1.0]]]))
    # Bilinear from 2 to 4 across: (1, 0), (.75, .25), (.25, .75), (0, 1)
    new = torch.tensor([[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]])
    expected = F.cosine_similarity(new[:, None], new[None], dim=-1).reshape(1, 4, 1, 4)
    torch.testing.assert_close(position_similarity(model, (8, 32)), expected)


def test_same_size_is_native(tiny_model):
    model = tiny_model()
    assert torch.equal(position_similarity(model, 32), position_similarity(model))


def test_wording_of_errors(tiny_model):
    with pytest.raises(ValueError, match="kind must be one of cosine, dot, got 'euclid'"):
        position_similarity(tiny_model(), kind="euclid")
    with pytest.raises(ValueError, match="the nearest that fit are 32x32 and 40x40"):
        position_similarity(tiny_model(), 33)
    with pytest.raises(ValueError, match="unknown interpolation 'cubic'; choose one of bilinear"):
        position_similarity(tiny_model(), 64, "cubic")
