"""JSON files beside weights can say anything: what cannot be meant is refused when the checkpoint is loaded, by the
field's name, in a message of bounded length."""

import json

import pytest
import torch

from vit_model import CheckpointError, Preprocessing, VisionTransformer, ViTConfig, load_model, save_model
from vit_model.errors import MOST_QUOTED, quoted

LONG = "x" * 200_000
NUMBERS = {
    "not a number": float("nan"),
    "infinity": float("inf"),
    "1e308": 1e308,
    "400 digits": 10**400,
    "negative": -1,
    "zero": 0,
    "a text": "1/255",
    "a long text": LONG,
    "true": True,
    "a list": [[1]],
    "an object": {"a": 1},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    config = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 1, "heads": 2, "mlp_width": 32, "classes": 2}
    save_model(VisionTransformer(ViTConfig(**config)).eval(), folder / "vit")
    save_model(
        VisionTransformer(ViTConfig(**config, pool="mean-patches")).eval(), folder / "own"
    )  # model_type vit_explorer
    return folder


@pytest.fixture
def change(saved, tmp_path):
    def changed(file, which="vit", **values):
        for source in (saved / which).iterdir():
            (tmp_path / source.name).write_bytes(source.read_bytes())
        (tmp_path / file).write_text(json.dumps(json.loads((tmp_path / file).read_text()) | values))
        return tmp_path

    return changed


def refused(folder) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert len(message) <= 700, len(message)
    return message


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("field", ["image_mean", "image_std", "rescale_factor"])
def test_statistics_that_cannot_be_meant(field, value, change):
    """inf, NaN, a negative std and "1/255" made pixels without a number among them, or an error of torch's at the first
    picture."""
    if field == "image_mean" and value in (-1, 0):
        value = -1e9  # -1 and 0 can be meant
    sent = value if field == "rescale_factor" else [0.5, value, 0.5]
    message = refused(change("preprocessor_config.json", **{field: sent}))
    assert f"cannot be used: {field} must be" in message and "Correct it in preprocessor_config.json" in message


@pytest.mark.parametrize("value", [[], [0.5, 0.5], 0.5, "0.5", [0.5] * 100_000, {"r": 1}], ids=lambda v: str(v)[:12])
def test_statistics_of_other_than_the_channels(value, change):
    assert "image_mean must be 1 or 3 numbers" in refused(change("preprocessor_config.json", image_mean=value))


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
def test_sizes_that_cannot_be_meant(value, change):
    for size in (value, {"height": value, "width": 16}, {"shortest_edge": value}):
        refused(change("preprocessor_config.json", size=size))
    refused(change("preprocessor_config.json", do_center_crop=True, crop_size=value))


@pytest.mark.parametrize("name", ["do_resize", "do_center_crop", "do_rescale", "do_normalize"])
def test_a_switch_is_true_or_false(name, change):
    """ "false" counted as true."""
    assert f"{name} must be true or false, got 'false'" in refused(
        change("preprocessor_config.json", **{name: "false"})
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"resample": 99}, "resample must be one of 0 (nearest), 1 (lanczos), 2 (bilinear)"),
        ({"resample": LONG}, "resample must be one of"),
        ({"resample": True}, "resample must be one of"),
        ({"image_processor_type": ["ViTImageProcessor"]}, "image_processor_type must be a name"),
        ({"image_processor_type": LONG}, "got xxx"),
        ({"vit_explorer": [1]}, "vit_explorer must be an object"),
        ({"vit_explorer": {LONG: 1}}, "vit_explorer must be an object"),
        ({"vit_explorer": {"std": [-1, 1, 1]}}, "none negative in std"),
        ({"vit_explorer": {"fit": [1]}}, "fit must be one of"),
    ],
)
def test_other_fields_of_preprocessing(values, words, change):
    assert words in refused(change("preprocessor_config.json", **values))


@pytest.mark.parametrize("kind", sorted(NUMBERS.keys() - {"zero"}))
def test_timms_configuration(kind):
    """What is zero or empty there has timm's default."""
    value = NUMBERS[kind]
    for cfg in ({"std": [0.5, value, 0.5]}, {"crop_pct": value}, {"input_size": [3, value, 224]}, {"mean": value}):
        with pytest.raises(ValueError, match=f"{next(iter(cfg))} must be") as caught:
            Preprocessing.from_timm(cfg)
        assert len(str(caught.value)) <= 400


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"0": LONG, "1": "dog"}, "gives class 0 a name of 200,000 characters"),
        ({"0": ["cat"], "1": "dog"}, "should name class 0 by a text, got ['cat']"),
        ({"0": None}, "should name class 0 by a text"),
        ({LONG: "cat"}, "should map class numbers to names"),
        ({"9" * 400: "cat"}, "has the class number"),
        ({"-1": "cat"}, "has the class number -1"),
        ([["cat"]], "should map class numbers to names"),
        ("cat", "should map class numbers to names"),
        ({str(index): "x" * 999 for index in range(8100)}, "characters together; expected at most 8,000,000"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_labels_that_no_list_can_show(labels, words, change):
    """A label of 200 kB went into every answer and every list of classes."""
    assert words in refused(change("config.json", id2label=labels))


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize(
    "field",
    ["hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size", "hidden_act"],
)
def test_numbers_of_a_config(field, value, change):
    refused(change("config.json", **{field: value}))


@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("field", ["width", "depth", "heads", "image_size", "patch_size", "mlp_width", "registers"])
def test_numbers_of_our_own_config(field, value, change):
    """A million blocks and more were made before the first was compared with the weights."""
    config = json.loads((change("config.json", "own") / "config.json").read_text())["vit_config"]
    if value != config[field]:
        refused(change("config.json", "own", vit_config=config | {field: value}))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x", 10**400, [1]], ids=lambda value: str(value)[:9])
@pytest.mark.parametrize("field", ["norm_eps", "layer_scale", "dropout", "pool", "mlp"])
def test_rates_and_names_of_our_own_config(field, value, change):
    config = json.loads((change("config.json", "own") / "config.json").read_text())["vit_config"]
    assert "'vit_config' is odd" in refused(change("config.json", "own", vit_config=config | {field: value}))


@pytest.mark.parametrize("config", [[1], "x", {LONG: 1}, 7], ids=lambda value: str(value)[:9])
def test_our_own_config_of_another_kind(config, change):
    assert "'vit_config' is odd" in refused(change("config.json", "own", vit_config=config))


def test_a_depth_that_the_weights_do_not_have(change):
    config = json.loads((change("config.json", "own") / "config.json").read_text())["vit_config"]
    message = refused(change("config.json", "own", vit_config=config | {"depth": 1_000_000}))
    assert "config.json says depth 1000000, the weights have" in message


@pytest.mark.parametrize("depth", [65, 900, 50_000])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_json_nested_deep(file, depth, saved, change):
    folder = change(file)
    for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth):
        (folder / file).write_text('{"model_type": "vit", "more": ' + text + "}")
        message = refused(folder)
        assert file in message and ("deep" in message or "not valid JSON" in message)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cat", "'cat'"),
        (0.5, "0.5"),
        ([1, 2], "[1, 2]"),
        ((224, 224), "(224, 224)"),
        (None, "None"),
        (10**5000, "a number of 5,001 digits"),
    ],
    ids=["text", "number", "list", "pair", "nothing", "digits"],
)
def test_what_is_quoted_reads_as_python_writes_it(value, shown):
    assert quoted(value) == shown


def test_what_is_quoted_is_short_whatever_it_is():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (LONG, LONG.encode(), [LONG] * 1000, {LONG: LONG}, deep, 10**300, {"a": deep}, set(range(10**5))):
        assert len(quoted(value)) <= 2 * MOST_QUOTED
    while deep:
        deep = deep[0]  # by hand: freeing it all at once would need its own depth of stack
