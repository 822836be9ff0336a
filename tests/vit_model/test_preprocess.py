"""Preprocessing against transformers, timm and torchvision, and the crop box."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch.testing import assert_close
from torchvision.transforms._presets import ImageClassification
from transformers import (
    AutoImageProcessor,
    BitImageProcessor,
    CLIPImageProcessor,
    DeiTImageProcessor,
    ViTImageProcessor,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from vit_model.preprocess import CLIP_MEAN, HALF, IMAGENET_MEAN, IMAGENET_STD, CropBox, Preprocessing

PICTURE_SIZES = [(64, 48), (48, 65), (31, 33), (200, 40), (37, 211), (56, 56), (20, 20)]
IMAGENET = {"image_mean": list(IMAGENET_MEAN), "image_std": list(IMAGENET_STD)}


def photograph(width, height, mode="RGB"):
    """Waves with some noise: neither flat nor all noise, so that a shift or a wrong filter shows."""
    down, across = np.mgrid[0:height, 0:width]
    waves = [np.sin(across / 5 + down / 9), np.cos(across / 11), np.sin(down / 4)]
    noise = np.random.default_rng(0).integers(-20, 20, (height, width, 3))
    values = np.clip(127 + 100 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def assert_within_a_grey_level(ours, theirs, preprocessing):
    step = preprocessing.rescale / torch.tensor(preprocessing.std).view(-1, 1, 1)
    assert ours.shape == theirs.shape
    assert ((ours - theirs).abs() / step).max() <= 1.01


@pytest.mark.parametrize("picture_size", PICTURE_SIZES)
@pytest.mark.parametrize(
    ("processor_class", "config"),
    [
        (ViTImageProcessor, {"size": {"height": 32, "width": 32}}),
        (ViTImageProcessor, {"size": {"height": 24, "width": 40}, "resample": 3} | IMAGENET),
        (ViTImageProcessor, {"size": 32, "do_normalize": False}),
        (ViTImageProcessor, {"size": 32, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}),
        (ViTImageProcessor, {"size": 32, "rescale_factor": 1 / 128}),
        (ViTImageProcessorPil, {"size": {"height": 32, "width": 32}, "resample": 1}),
        (DeiTImageProcessor, {"size": 37, "crop_size": 32} | IMAGENET),
        (DeiTImageProcessor, {"size": {"height": 37, "width": 37}, "crop_size": {"height": 32, "width": 24}}),
        (DeiTImageProcessor, {"size": 32, "do_center_crop": False}),
        (DeiTImageProcessor, {"do_resize": False, "crop_size": 32}),
        (BitImageProcessor, {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}} | IMAGENET),
        (BitImageProcessor, {"size": {"shortest_edge": 24}, "crop_size": {"height": 32, "width": 30}}),
        (BitImageProcessor, {"size": 37, "crop_size": 32, "resample": 2}),
        (CLIPImageProcessor, {"size": 32, "crop_size": 32}),
    ],
)
def test_agrees_with_transformers(processor_class, config, picture_size):
    processor = processor_class(**config)
    picture = photograph(*picture_size)
    theirs = processor(picture, return_tensors="pt")["pixel_values"]
    for written in (processor.to_dict(), config | {"image_processor_type": processor_class.__name__}):
        preprocessing = Preprocessing.from_hugging_face(written)
        assert_within_a_grey_level(preprocessing(picture)[0], theirs, preprocessing)


@pytest.mark.parametrize("picture_size", PICTURE_SIZES)
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize(("input_size", "crop_pct"), [((32, 32), 0.875), ((32, 32), 1.0), ((24, 40), 0.9)])
def test_agrees_with_timm(picture_size, crop_mode, input_size, crop_pct):
    config = {"input_size": (3, *input_size), "crop_pct": crop_pct, "crop_mode": crop_mode, "mean": HALF, "std": HALF}
    picture = photograph(*picture_size)
    for interpolation in ("bicubic", "bilinear"):
        config["interpolation"] = interpolation
        theirs = create_transform(**config)(picture)[None]
        preprocessing = Preprocessing.from_timm(config)
        assert_within_a_grey_level(preprocessing(picture)[0], theirs, preprocessing)


def test_timm_at_another_size_is_timms_own():
    config = {"input_size": [3, 32, 32], "crop_pct": 0.9}
    theirs = create_transform((3, 48, 48), crop_pct=0.9, interpolation="bicubic")(photograph(90, 70))[None]
    preprocessing = Preprocessing.from_timm(config, image_size=48)
    assert_within_a_grey_level(preprocessing(photograph(90, 70))[0], theirs, preprocessing)
    assert preprocessing.resize == 53  # floor(48 / 0.9), where scaling 35 = floor(32 / 0.9) would give 52


def test_timm_defaults_and_one_channel():
    default = Preprocessing.from_timm({})
    assert (default.size, default.resize, default.resample) == ((224, 224), 256, "bicubic")
    assert (default.mean, default.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert Preprocessing.from_timm({"interpolation": "random"}).resample == "bicubic"
    assert Preprocessing.from_timm({"input_size": [1, 32, 32], "mean": [0.1], "std": [0.3]}).mean == (0.1,)
    assert Preprocessing.from_timm({"mean": [0.5], "std": [0.5]}).std == HALF


@pytest.mark.parametrize("picture_size", PICTURE_SIZES)
def test_agrees_with_torchvision(picture_size):
    preprocessing = Preprocessing.for_torchvision(28)
    assert preprocessing.resize == 32
    theirs = ImageClassification(crop_size=28, resize_size=32)(photograph(*picture_size))[None]
    assert_within_a_grey_level(preprocessing(photograph(*picture_size))[0], theirs, preprocessing)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "YCbCr"])
def test_agrees_with_transformers_on_other_modes(mode):
    config = {"size": {"height": 32, "width": 32}, "do_convert_rgb": True}
    picture = photograph(64, 48, mode)
    theirs = ViTImageProcessor(**config)(picture, return_tensors="pt")["pixel_values"]
    preprocessing = Preprocessing.from_hugging_face(config)
    assert_within_a_grey_level(preprocessing(picture)[0], theirs, preprocessing)


def test_google_is_a_squash_from_minus_one_to_one():
    pixels, box = Preprocessing.for_google((2, 3))(Image.new("RGB", (9, 4), (0, 255, 51)))
    assert box == CropBox(0, 0, 9, 4)
    assert pixels.dtype == torch.float32 and pixels.is_contiguous()
    assert_close(pixels, torch.tensor([-1.0, 1.0, -0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 3))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (  # google/vit-base-patch16-224-in21k and facebook/dino-vits16, as first published
            {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 2},
            Preprocessing(),
        ),
        (
            {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "resample": 3},
            Preprocessing(resize=(256, 256), resample="bicubic"),
        ),
        (  # without a type at all
            {"do_center_crop": True, "crop_size": 224, "size": 256, "resample": 3} | IMAGENET,
            Preprocessing(resize=(256, 256), resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        (  # facebook/dinov2-base
            {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": 224} | IMAGENET,
            Preprocessing(resize=256, resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD),
        ),
        ({"image_processor_type": "ViTImageProcessorFast", "size": None}, Preprocessing()),
        ({"size": {"shortest_edge": 30}}, Preprocessing(size=(30, 30), resize=30)),
        ({"size": 48, "do_resize": False}, Preprocessing(size=(48, 48))),
        (
            {"image_processor_type": "TimmWrapperImageProcessor", "pretrained_cfg": {"crop_pct": 1.0}},
            Preprocessing.from_timm({"crop_pct": 1.0}),
        ),
    ],
)
def test_old_spellings(config, expected):
    assert Preprocessing.from_hugging_face(config) == expected
    assert Preprocessing.from_hugging_face(config, 96) == expected.at_size(96)


EVERY_KIND = [
    Preprocessing(size=(32, 32)),
    Preprocessing(size=(24, 40), resize=(30, 50), resample="bicubic"),
    Preprocessing(size=(32, 32), resize=37, mean=IMAGENET_MEAN, std=IMAGENET_STD, crop_offset="round"),
    Preprocessing(size=(24, 40), resize=(30, 50), fit="cover"),
    Preprocessing(size=(24, 40), fit="contain", resample="lanczos"),
    Preprocessing(size=(24, 24), fit="crop"),
    Preprocessing(size=(24, 24), rescale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3),
    Preprocessing(size=(24, 24), mean=(0.1,), std=(0.3,)),
]


@pytest.mark.parametrize("preprocessing", EVERY_KIND)
def test_hugging_face_round_trip(preprocessing):
    written = json.loads(json.dumps(preprocessing.to_hugging_face()))
    assert Preprocessing.from_hugging_face(written) == preprocessing


@pytest.mark.parametrize("preprocessing", [kind for kind in EVERY_KIND if kind.fit in ("squash", "crop")])
@pytest.mark.parametrize("picture_size", [(64, 48), (31, 200)])
def test_transformers_reads_what_we_write(tmp_path, preprocessing, picture_size):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessing.to_hugging_face()))
    picture = photograph(*picture_size, mode="RGB" if len(preprocessing.mean) == 3 else "L")
    theirs = AutoImageProcessor.from_pretrained(tmp_path)(picture, return_tensors="pt")["pixel_values"]
    if preprocessing.crop_offset == "floor":  # transformers knows no other, so that its crop may be a pixel away
        assert_within_a_grey_level(preprocessing(picture)[0], theirs, preprocessing)
    assert theirs.shape[2:] == preprocessing.size


@pytest.mark.parametrize("fit", ["cover", "contain"])
def test_transformers_reads_its_nearest_where_it_knows_no_such_fit(tmp_path, fit):
    written = Preprocessing(size=(24, 40), resize=(30, 50), fit=fit).to_hugging_face()
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(written))
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert processor(photograph(64, 48), return_tensors="pt")["pixel_values"].shape == (1, 3, 24, 40)


@pytest.mark.parametrize("preprocessing", EVERY_KIND)
@pytest.mark.parametrize("picture_size", PICTURE_SIZES)
def test_what_the_model_sees_can_be_shown(preprocessing, picture_size):
    picture = photograph(*picture_size)
    pixels, _ = preprocessing(picture)
    seen = preprocessing.pixels_to_picture(pixels)
    assert seen.mode == "RGB" and seen.size == preprocessing.size[::-1]
    scale = preprocessing.rescale / torch.tensor(preprocessing.std).view(-1, 1, 1)
    again = (torch.from_numpy(np.array(seen)).permute(2, 0, 1)[: len(scale)] * preprocessing.rescale).float()
    again = (again - torch.tensor(preprocessing.mean).view(-1, 1, 1)) / torch.tensor(preprocessing.std).view(-1, 1, 1)
    assert ((again - pixels[0]).abs() / scale).max() < 0.01  # the very greys
    assert preprocessing.pixels_to_picture(pixels[0]).tobytes() == seen.tobytes()


@pytest.mark.parametrize("preprocessing", EVERY_KIND)
@pytest.mark.parametrize("picture_size", [(640, 480), (480, 650), (310, 330), (900, 400)])
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.4, 0.6), (0.55, 0.38)])
def test_a_coloured_block_is_found_where_the_crop_box_says(preprocessing, picture_size, place):
    """Paint the picture black but for a white block; the centre of what is bright in the pixels, mapped back through
    the box, must be the block's own centre to within one resized pixel."""
    (width, height), (h, w) = picture_size, preprocessing.size
    if preprocessing.fit == "crop":
        width, height = width // 16, height // 16
    picture = Image.new("RGB", (width, height))
    across, down = place[0] * width, place[1] * height
    side = min(width, height) / 8
    block = [round(across - side), round(down - side), round(across + side), round(down + side)]
    picture.paste("white", (block[0], block[1], block[2], block[3]))
    pixels, box = preprocessing(picture)
    bright = torch.from_numpy(np.array(preprocessing.pixels_to_picture(pixels).convert("L"))).float()
    if preprocessing.fit == "contain":  # the fill is grey and is no block
        bright = torch.where(bright == 128, 0.0, bright)
    rows, columns = torch.arange(h) + 0.5, torch.arange(w) + 0.5
    row = (bright.sum(1) * rows).sum() / bright.sum()
    column = (bright.sum(0) * columns).sum() / bright.sum()
    pixel = (box.right - box.left) / w, (box.bottom - box.top) / h
    left, top = max(block[0], box.left), max(block[1], box.top)  # of what the crop leaves of the block
    right, bottom = min(block[2], box.right), min(block[3], box.bottom)
    assert box.left + column * pixel[0] == pytest.approx((left + right) / 2, abs=pixel[0])
    assert box.top + row * pixel[1] == pytest.approx((top + bottom) / 2, abs=pixel[1])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_patch_maps_back_after_an_exif_turn(orientation):
    """A red 16 px square in the upright picture colours exactly one patch; its box is that square."""
    upright = Image.new("RGB", (96, 64), "blue")
    upright.paste("red", (48, 32, 64, 48))
    turns = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    stored.getexif()[0x0112] = orientation
    pixels, box = Preprocessing(size=(32, 32), resize=32, resample="box")(stored)
    red = torch.nn.functional.avg_pool2d(pixels[:, 0], 8)[0]  # 4x4 patches of 8 px, 16 px of the picture each
    assert box == CropBox(16, 0, 80, 64)
    index = int(red.argmax())
    assert box.patch(index, (4, 4)) == CropBox(48, 32, 64, 48)
    assert red.flatten()[index] > 0.9 and (red > 0).sum() == 1


def test_crop_box_of_a_padded_picture_lies_around_it():
    assert Preprocessing(size=(20, 20), fit="contain")(Image.new("RGB", (40, 20)))[1] == CropBox(0, -10, 40, 30)
    assert Preprocessing(size=(20, 20), resize=10)(Image.new("RGB", (40, 20)))[1] == CropBox(0, -10, 40, 30)


@pytest.mark.parametrize("preprocessing", EVERY_KIND)
@pytest.mark.parametrize("picture_size", [(1, 1), (5000, 1), (1, 5000), (1, 20_000)])
def test_one_pixel_and_long_and_thin(preprocessing, picture_size):
    pixels, _ = preprocessing(Image.new("RGB", picture_size, (200, 100, 50)))
    assert pixels.shape == (1, len(preprocessing.mean), *preprocessing.size)
    assert preprocessing.pixels_to_picture(pixels).getextrema()[0][1] in (200, 124)  # red, or the grey of the colour


def test_what_is_cropped_away_of_a_long_picture_is_never_resized(monkeypatch):
    """Shorter edge 1 -> 256 would make 20,000 rows 5,120,000: five gigabytes."""
    picture = Image.linear_gradient("L").resize((1, 20_000)).convert("RGB")
    asked, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *a, **k: asked.append(size) or resize(self, size, *a, **k)
    )
    preprocessing = Preprocessing(resize=256, resample="bicubic")
    pixels, box = preprocessing(picture)
    assert asked == [(224, 224)]
    assert (box.left, box.right) == (0.0625, 0.9375)
    assert (box.top, box.bottom) == pytest.approx((9999.5625, 10000.4375))
    assert preprocessing.pixels_to_picture(pixels).getextrema()[0][0] in range(126, 130)


@pytest.mark.parametrize("fit", ["squash", "cover", "contain", "crop"])
def test_cropping_first_equals_cropping_last(fit):
    """This one is long enough to be cropped first."""
    picture = photograph(901, 60)
    preprocessing = Preprocessing(size=(40, 44), resize=(61, 53), fit=fit, resample="bicubic")
    h, w = preprocessing._resized(60, 901)
    left, top = preprocessing._offset(w - 44), preprocessing._offset(h - 40)
    whole = picture.resize((w, h), Image.Resampling.BICUBIC)
    expected = Image.new("RGB", (44, 40), (128, 128, 128) if fit == "contain" else "black")
    expected.paste(whole, (-left, -top))
    seen = preprocessing.pixels_to_picture(preprocessing(picture)[0])
    assert np.abs(np.asarray(seen, int) - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize(
    ("native", "size", "expected"),
    [
        (Preprocessing(resize=256), 448, Preprocessing(size=(448, 448), resize=512)),
        (Preprocessing(resize=256), (224, 448), Preprocessing(size=(224, 448), resize=(256, 512), fit="cover")),
        (Preprocessing(), (96, 32), Preprocessing(size=(96, 32))),
        (Preprocessing(resize=(256, 256)), 112, Preprocessing(size=(112, 112), resize=(128, 128))),
        (Preprocessing(resize=256, size=(224, 448)), (224, 448), Preprocessing(resize=256, size=(224, 448))),
    ],
)
def test_at_size_crops_the_same_share(native, size, expected):
    assert native.at_size(size) == expected


def test_pictures_with_alpha_are_seen_over_white():
    pixels, _ = Preprocessing(size=(8, 8))(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert_close(pixels, torch.ones(1, 3, 8, 8))


def test_grey_models_see_one_channel():
    pixels, _ = Preprocessing(size=(8, 8), mean=(0.5,), std=(0.25,))(Image.new("RGB", (20, 20), "red"))
    assert_close(pixels, torch.full((1, 1, 8, 8), (76 / 255 - 0.5) / 0.25))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preprocessing(resample="cubic"), "resample must be one of nearest, box, bilinear.*, got 'cubic'"),
        (lambda: Preprocessing(fit="stretch"), "fit must be one of squash, cover, contain, crop, got 'stretch'"),
        (lambda: Preprocessing(crop_offset="up"), "crop_offset must be one of floor, round, got 'up'"),
        (lambda: Preprocessing(size=(0, 224)), r"at least 1 pixel; got size \(0, 224\), resize None"),
        (lambda: Preprocessing(resize=0), "at least 1 pixel; .*resize 0"),
        (lambda: Preprocessing(resize=(1, 2, 3)), r"sizes are \(height, width\).*resize \(1, 2, 3\)"),
        (lambda: Preprocessing(mean=(0.5, 0.5)), "expected 1 or 3 channels of mean and of std"),
        (lambda: Preprocessing(std=(0.5, 0.0, 0.5)), "neither std nor rescale 0; got mean .*0.0"),
        (
            lambda: Preprocessing.from_hugging_face({"image_processor_type": "BeitImageProcessor"}),
            "expected one of ViTImageProcessor, DeiTImageProcessor, BitImageProcessor, .* got BeitImageProcessor",
        ),
        (
            lambda: Preprocessing.from_hugging_face({"size": {"longest_edge": 224}}),
            "expected size with height and width, or with shortest_edge alone; got {'longest_edge': 224}",
        ),
        (
            lambda: Preprocessing.from_timm({"crop_mode": "x"}),
            "crop_mode must be one of center, squash, border, got 'x'",
        ),
        (
            lambda: Preprocessing().pixels_to_picture(torch.zeros(2, 3, 8, 8)),
            r"expected pixels \[1, 3, h, w\], got \[2, 3, 8, 8\]",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_lists_from_json_become_tuples():
    assert Preprocessing(size=[8, 8], resize=[9, 9], mean=[0.5] * 3, std=[0.5] * 3) == Preprocessing((8, 8), (9, 9))
    assert hash(Preprocessing(size=[8, 8])) == hash(Preprocessing(size=(8, 8)))
    assert Preprocessing.from_hugging_face({"image_processor_type": "CLIPImageProcessor"}).mean == CLIP_MEAN


def test_values_are_what_the_pixels_are_made_of():
    """uint8, before rescaling and normalisation; room that a picture leaves is the mean colour, as in evaluation."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 60, 3), dtype=np.uint8))
    for fit in ("squash", "cover", "contain"):
        chosen = Preprocessing(size=(24, 24), mean=IMAGENET_MEAN, std=(0.2, 0.3, 0.4), fit=fit)
        values, box = chosen.values(picture)
        pixels, same = chosen(picture)
        assert values.dtype == np.uint8 and values.shape == (24, 24, 3) and box == same
        again = (torch.from_numpy(values).permute(2, 0, 1)[None] / 255 - torch.tensor(chosen.mean).view(3, 1, 1)) / (
            torch.tensor(chosen.std).view(3, 1, 1)
        )
        assert_close(again, pixels)
