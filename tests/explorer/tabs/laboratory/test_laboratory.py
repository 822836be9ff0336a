"""What a browser may ask of the laboratory, hostile wishes included, and what comes of a wish."""

import numpy as np
import pytest
import torch

from explorer.analysis.edits import Edits, PatchEdit, apply_edits
from explorer.analysis.rollout import rollout
from explorer.session.scenes import ModelChoice, scene_at_size, scene_of
from explorer.tabs.laboratory import edits as laboratory_edits
from explorer.tabs.laboratory import tab as laboratory
from explorer.tabs.laboratory.edits import ablation_of, difference, layers_at_once, outcome_of, read_wish
from explorer.ui.examples import example_files
from vit_model import VisionTransformer, ViTConfig


@pytest.fixture(scope="module")
def scene():
    return scene_of(ModelChoice(), str(example_files()[0]))


def test_a_wish_is_read_as_it_was_written(scene):
    told = {
        "steps": [
            {"kind": "drop", "patches": [3, 4], "seed": 0},
            {"kind": "move", "patches": [7], "by": [0, -1], "seed": 1},
        ],
        "grid": [12, 12],
        "positions": "shuffled",
        "seed": 5,
        "heads": [[1, 2], [0, 0], [1, 2]],
        "mlps": [3],
        "layers": [2],
        "size": "",
        "method": "own",
        "target": "Golf_Ball",
    }
    wish = read_wish(told, scene)
    steps = (PatchEdit("drop", (3, 4)), PatchEdit("move", (7,), by=(0, -1), seed=1))
    assert wish.edits == Edits(steps, "shuffled", 5, ((0, 0), (1, 2)), (3,), (2,))
    assert wish.target == scene.model.labels.index("golf_ball")
    assert read_wish(told | {"target": "3"}, scene).target == 3
    assert read_wish(told | {"size": "64", "grid": [8, 8]}, scene).edits.steps == steps
    assert read_wish({}, scene).edits == Edits()


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"evil": 1},
        {"steps": 3},
        {"steps": [{}]},
        {"steps": [{"kind": "drop", "patches": [1] * 2}]},
        {"steps": [{"kind": "drop", "patches": [True]}]},
        {"steps": [{"kind": "drop", "patches": list(range(10**4))}]},
        {"steps": [{"kind": "explode", "patches": [1]}]},
        {"steps": [{"kind": ["drop"], "patches": [1]}]},
        {"steps": [{"kind": "move", "patches": [1], "by": [1]}]},
        {"steps": [{"kind": "drop", "patches": [1], "code": "x"}]},
        {"steps": [{"kind": "drop", "patches": [1]}] * 101},
        {"heads": [[0]]},
        {"heads": [[0, 1.0]]},
        {"heads": [[0, 0]] * 1000},
        {"mlps": ["0"]},
        {"positions": {"a": 1}},
        {"seed": -1},
        {"seed": 2**40},
        {"grid": [12]},
        {"grid": [0, 12]},
        {"grid": [10**4, 10**4]},
        {"grid": "12x12"},
        {"size": 64},
        {"size": "6" * 300},
        {"method": "../../etc"},
        {"target": {"$": 1}},
    ],
    ids=str,
)
def test_hostile_wishes_are_refused_in_one_sentence(scene, told):
    with pytest.raises(ValueError, match="could not be read"):
        read_wish(told, scene)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"size": "100"}, "96x96"),
        ({"size": "9999"}, "multiple|patches"),
        ({"size": "8192", "grid": [12, 12], "steps": [{"kind": "drop", "patches": [3]}]}, "this host allows"),
        ({"target": "unicorn"}, "unicorn"),
        ({"target": "12"}, "from 0 to 9"),
        ({"steps": [{"kind": "drop", "patches": [144]}]}, "patch must be from 0 to 143"),
        ({"steps": [{"kind": "drop", "patches": list(range(144))}]}, "leave at least one"),
        ({"heads": [[99, 0]]}, "layer must be from 0 to"),
        ({"layers": [99]}, "layer must be from 0 to"),
    ],
)
def test_wishes_that_people_can_mistake_have_words_of_their_own(scene, told, words):
    with pytest.raises(ValueError, match=words):
        outcome_of(scene, read_wish(told, scene))


def test_changes_to_patches_are_carried_to_another_resolution(scene):
    steps = [
        {"kind": "drop", "patches": [0, 1, 12, 13], "seed": 0},
        {"kind": "move", "patches": [7], "by": [0, 1], "seed": 1},
        {"kind": "blur", "patches": [143], "seed": 2},
    ]
    told = {"steps": steps, "grid": [12, 12], "heads": [[1, 2]], "layers": [3], "positions": "zero"}
    wish = read_wish(told | {"size": "192"}, scene)
    corner = (0, 1, 2, 3, 24, 25, 26, 27, 48, 49, 50, 51, 72, 73, 74, 75)
    assert wish.edits.steps == (PatchEdit("drop", corner), PatchEdit("blur", (550, 551, 574, 575), seed=2))
    assert (wish.edits.heads, wish.edits.layers, wish.edits.positions) == (((1, 2),), (3,), "zero")
    value = laboratory.outcome_value(outcome_of(scene, wish), wish, None)
    assert value["dropped"] == list(corner)
    assert (value["carried"]["moves"], value["carried"]["unseen"]) == (1, 0)
    again = read_wish(told | {"steps": value["carried"]["steps"], "grid": [24, 24], "size": "192"}, scene)
    assert again.edits == wish.edits
    assert again.carried is None
    back = read_wish({"steps": value["carried"]["steps"], "grid": [24, 24]}, scene)
    assert [step.patches for step in back.edits.steps] == [(0, 1, 12, 13), (143,)]


def test_attention_of_every_layer_before_and_after(scene):
    told = {"steps": [{"kind": "drop", "patches": [5]}], "heads": [[1, 0]]}
    outcome = outcome_of(scene, read_wish(told, scene))
    edited = apply_edits(scene.model, scene.pixels, Edits((PatchEdit("drop", (5,)),), heads=((1, 0),)))
    trace = edited.model.trace(edited.pixels)
    for layer in range(scene.trace.layers):
        for found, of in zip(outcome.attention[layer], (scene.trace, trace), strict=True):
            row = of.attention(layer)[0, :, 0, 1:].mean(0)
            left = found.flatten()[~found.flatten().isnan()]
            torch.testing.assert_close(left, row / row.mean(), rtol=1e-5, atol=1e-5)
    arrays, _ = laboratory._arrays(scene, {"edits": told})
    assert arrays["attention_before"].shape == arrays["attention_after"].shape == (scene.trace.layers, 12, 12)
    np.testing.assert_array_equal(arrays["attention_after"][2], outcome.attention[2][1])
    value = laboratory.outcome_value(outcome, read_wish(told, scene), None)
    assert value["attention"][0]["after"] != value["attention"][5]["after"]


def test_of_long_sequences_one_layer_at_a_time_is_sent(scene, monkeypatch):
    wish = read_wish({"size": "512"}, scene)
    assert layers_at_once(scene, read_wish({}, scene), 3) == range(scene.trace.layers)
    assert layers_at_once(scene, wish, 3) == (3,)
    monkeypatch.setattr(laboratory_edits, "VALUES_AT_ONCE", 100)
    attention = laboratory._show(scene, None)[1]["attention"]
    assert [layer is None for layer in attention] == [True] * (scene.trace.layers - 1) + [False]


def test_the_ablation_is_of_what_is_changed_and_of_the_class_that_is_watched(scene):
    told = {"steps": [{"kind": "drop", "patches": list(range(40))}], "heads": [[2, 1]], "positions": "zero"}
    wish = read_wish(told, scene)
    *_, found = ablation_of(scene, wish)
    assert found.target == int(scene.trace.logits.argmax()), "as predicted before"
    assert found.logit == pytest.approx(float(outcome_of(scene, wish).logits[found.target]), abs=1e-4)
    without = read_wish(told | {"layers": [4]}, scene)
    lost = float(outcome_of(scene, without).logits[found.target]) - found.logit
    assert float(found.logits[4, -1]) == pytest.approx(lost, abs=1e-3)
    *_, plain = ablation_of(scene, read_wish({}, scene))
    assert not torch.allclose(plain.logits, found.logits, atol=1e-2)
    arrays, _ = laboratory._arrays(scene, {"edits": told, "ablation": True})
    np.testing.assert_allclose(arrays["ablation_logits"], found.logits, atol=1e-4)


def test_an_outcome_is_the_edited_model_on_the_edited_picture(scene):
    told = {"steps": [{"kind": "drop", "patches": list(range(20))}], "heads": [[0, 2]], "positions": "zero"}
    outcome = outcome_of(scene, read_wish(told, scene))
    edits = Edits((PatchEdit("drop", tuple(range(20))),), "zero", heads=((0, 2),))
    expected = apply_edits(scene.model, scene.pixels, edits)
    torch.testing.assert_close(outcome.logits, expected.model(expected.pixels)[0])
    before, after = outcome.maps["rollout"]
    row = rollout(scene.trace)[1:]
    torch.testing.assert_close(before.flatten(), row / row.mean())
    assert after.flatten()[:20].isnan().all()
    assert float(after.nanmean()) == pytest.approx(1.0)
    assert outcome.maps["positions"][1].nan_to_num().abs().max() == 0, "they are all zero"


def test_nothing_changed_is_no_difference(scene):
    outcome = outcome_of(scene, read_wish({}, scene))
    assert torch.equal(outcome.logits, scene.trace.logits[0])
    for before, after in (*outcome.maps.values(), *outcome.attention.values()):
        assert not difference(before, after).any()


def test_another_resolution_is_seen_with_its_interpolation(scene):
    wish = read_wish({"size": "64x128", "method": "jax", "layers": [5]}, scene)
    outcome = outcome_of(scene, wish)
    seen = scene_at_size(scene, (64, 128), "jax")
    expected = apply_edits(seen.model, seen.pixels, Edits(layers=(5,)))
    torch.testing.assert_close(outcome.logits, expected.model(expected.pixels)[0])
    before, after = outcome.attention[scene.trace.layers - 1]
    assert after.shape == (8, 16)
    assert difference(before, after).shape == before.shape == (12, 12)
    value = laboratory.outcome_value(outcome, wish, None)
    assert value["grids"] == [[12, 12], [8, 16]]


def test_everything_switched_off_has_no_rollout_and_no_crash(scene):
    outcome = outcome_of(scene, read_wish({"layers": list(range(scene.trace.layers))}, scene))
    assert outcome.maps["rollout"][1].isnan().all()
    value = laboratory.outcome_value(outcome, read_wish({}, scene), None)
    assert value["maps"]["rollout"]["after"][0][0] is None


def test_what_is_taken_away(scene):
    state = {"edits": {"heads": [[1, 1]], "target": "2"}, "ablation": True}
    arrays, choices = laboratory._arrays(scene, state)
    assert choices["target"] == 2
    assert arrays["ablation_logits"].shape == (scene.trace.layers, scene.trace.heads + 2)
    assert np.isfinite(arrays["ablation_logits"]).all()
    np.testing.assert_array_equal(arrays["logits_before"], scene.trace.logits[0])
    arrays, _ = laboratory._arrays(scene, {})
    assert "ablation_logits" not in arrays
    with pytest.raises(ValueError, match="could not be read"):
        laboratory._arrays(scene, {"edits": 7})


@pytest.mark.parametrize("fields", [{"classes": 0}, {"pool": "mean-patches", "class_token": False}], ids=str)
def test_models_without_a_head_or_a_class_token(scene, fields):
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2, "mlp_width": 48, "classes": 3}
    model = VisionTransformer(ViTConfig(**shape | fields)).eval()
    pixels = torch.randn(1, 3, 32, 32)
    other = type(scene)(model, scene.choice, scene.picture, scene.picture_hash, pixels, scene.box, model.trace(pixels))
    wish = read_wish({"steps": [{"kind": "drop", "patches": [0]}], "grid": [4, 4], "target": "0"}, other)
    value = laboratory.outcome_value(outcome_of(other, wish), wish, None)
    assert (value["watched"] is None) == (not model.config.classes)
    assert value["dropped"] == [0]
