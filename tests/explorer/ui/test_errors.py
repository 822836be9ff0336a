"""What a visitor reads when something goes wrong: in Chinese on the Chinese page, where vit_model gave it a code."""

import io
import json
import re
import string
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from explorer.session.scenes import ModelChoice, get_model, parse_size, resized
from explorer.ui import errors
from explorer.ui.errors import plain_errors, reason_of
from tests.explorer.ui.code_sites import find_sites, find_uncoded, find_value_errors, read_sources
from vit_model import VisionTransformer, ViTConfig, load_model, picture, save_model
from vit_model.checkpoints import detect
from vit_model.errors import CodedError
from vit_model.messages import Message
from vit_model.picture import read_picture

SAID = json.loads(Path(errors.__file__).with_name("errors.zh.json").read_text("utf-8"))


READ = read_sources()
SITES = list(find_sites(READ))


def test_every_code_has_words_and_all_words_have_a_code():
    assert {site.code for site in SITES} == set(SAID["reasons"])


PASSED_ON = "a message of another process, with its code"
IN_WORDS = "the page's own words, in the visitor's language already"
WITHOUT = {  # (file, how the call begins): why it needs no code of its own
    ("vit_model/picture/worker.py", "PictureError(read_message(told, 'refused'))"): PASSED_ON,
    ("training/data/loader.py", "DataError(batch)"): PASSED_ON,
    ("explorer/tabs/train/new/preflight/dry_run.py", "CodedError(read_message(told, 'refused'))"): PASSED_ON,
    ("explorer/tabs/train/runs/slices.py", "CodedError(told['refused'])"): PASSED_ON,
    ("training/storage/disk.py", "DiskFullError(folder, needed)"): "it makes its message itself",
    ("explorer/tabs/train/new/sources.py", "FieldError('data', say("): IN_WORDS,
    ("explorer/tabs/train/new/sources.py", "FieldError('model', say("): IN_WORDS,
    ("explorer/tabs/train/new/sources.py", "FieldError(field, say("): IN_WORDS,
}
PLAIN = {  # files of the trainer that may raise a plain ValueError
    "training/data/published/matlab.py": "reads files of known checksums alone",
    "training/runs/metrics.py": "is caught by the reader of events.jsonl",
    "training/runs/processes.py": "is caught by the reader of process.json",
    "training/runs/results.py": "the caller names the split, out of two",
    "training/runs/bounds.py": "the host's own environment, when the program starts",
}


def test_every_error_that_people_read_has_a_code():
    found = list(find_uncoded(READ))
    excused = {
        (file, call): key for file, call in found for key in WITHOUT if file == key[0] and call.startswith(key[1])
    }
    assert [one for one in found if one not in excused] == []
    assert set(excused.values()) == set(WITHOUT), "an exception that is none any more"


def test_the_trainer_raises_no_error_without_a_code():
    assert {file for file, _ in find_value_errors(READ) if file.startswith("training/")} == set(PLAIN)


def test_a_new_error_without_a_code_is_found(tmp_path):
    path = tmp_path / "training" / "new.py"
    path.parent.mkdir()
    path.write_text(
        "class NewError(DataError): ...\n"
        "class DataError(CodedError): ...\n"
        "class CodedError(Coded, ValueError): ...\n"
        "def why() -> Message: ...\n"
        "def one(text):\n"
        "    raise NewError(text)\n"
        "def two():\n"
        "    return DataError(f'{1} is wrong')\n"
        "def good(text):\n"
        "    reason = why()\n"
        "    raise NewError(reason) if text else DataError(message('code', 'wrong'))\n"
    )
    assert [call for _, call in find_uncoded(read_sources(tmp_path))] == [
        "NewError(text)",
        "DataError(f'{1} is wrong')",
    ]


@pytest.mark.parametrize("site", SITES, ids=lambda site: f"{site.place}-{site.code}")
def test_the_gaps_of_both_languages_are_the_same(site):
    gaps = {name for _, name, _, _ in string.Formatter().parse(SAID["reasons"][site.code]) if name}
    assert gaps == site.gaps and ("*" in site.details or gaps <= site.details)
    assert {other.template for other in SITES if other.code == site.code} == {site.template}


def test_every_kind_of_file_and_model_has_a_name():
    kinds = [kind for _, kind in picture.KINDS] + ["a HEIC photograph", "an MP4 video or the like", "an XML document"]
    kinds += [*detect._FOREIGN_TYPES.values(), *detect._FOREIGN_KEYS.values()]
    assert set(kinds) <= set(SAID["names"])


def png(*size, mode="RGB"):
    data = io.BytesIO()
    Image.new(mode, size).save(data, "PNG")
    return data.getvalue()


def small(**fields):
    config = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 1, "heads": 2, "mlp_width": 32, "classes": 2}
    torch.manual_seed(0)
    return VisionTransformer(ViTConfig(**config | fields)).eval()


def saved(tmp_path, change):
    """A folder with a small model whose tensors `change` has altered."""
    save_model(small(), tmp_path / "model")
    path = tmp_path / "model" / "model.safetensors"
    save_file(change(load_file(path)), path)
    return tmp_path / "model"


def without_the_last_norm(tensors):
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(".layernorm.weight")}


def with_a_stranger(tensors):
    return tensors | {"stranger.weight": torch.ones(2)}


def not_a_number(tensors):
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    return tensors


def lora(folder):
    save_file({"base_model.model.x.lora_A.weight": torch.ones(2)}, folder / "adapter.safetensors")
    return folder / "adapter.safetensors"


def swin(folder):
    (folder / "swin").mkdir()
    save_file({"x": torch.ones(2)}, folder / "swin" / "model.safetensors")
    (folder / "swin" / "config.json").write_text('{"model_type": "swin"}')
    return folder / "swin"


def without_its_config(folder):
    save_model(small(), folder)
    (folder / "config.json").unlink()
    return folder


def pickled(folder):
    with zipfile.ZipFile(folder / "evil.pth", "w") as archive:
        archive.writestr("evil/data.pkl", b"cos\nsystem\n(S'true'\ntR.")
        archive.writestr("evil/version", b"3")
    return folder / "evil.pth"


def changed(folder, file, **values):
    """A folder with a small model of which a JSON file says something else."""
    save_model(small(), folder / "model")
    path = folder / "model" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder / "model"


def written(path, data):
    path.write_bytes(data)
    return path


CASES = {
    "not_a_picture": (lambda t: read_picture(io.BytesIO(b"%PDF-1.7")), "PDF 文档"),
    "picture_damaged": (lambda t: read_picture(io.BytesIO(png(64, 64)[:60])), "PNG"),
    "picture_pixels": (lambda t: read_picture(io.BytesIO(png(20_000, 10_001, mode="1"))), "20,000 x 10,001"),
    "picture_bytes": (lambda t: read_picture(io.BytesIO(b"x" * 20), max_bytes=10), "10 字节"),
    "picture_empty": (lambda t: read_picture(io.BytesIO(b"")), "0 字节"),
    "foreign_type": (lambda t: load_model(str(swin(t))), "移位窗口注意力"),
    "foreign_tensors": (lambda t: load_model(str(lora(t))), "适配器"),
    "pickle_refused": (lambda t: load_model(str(pickled(t))), "evil.pth"),
    "preprocessing_odd": (
        lambda t: load_model(str(changed(t, "preprocessor_config.json", image_std=[0, 0, 0]))),
        "改正",
    ),
    "label_long": (lambda t: load_model(str(changed(t, "config.json", id2label={"0": "x" * 2000}))), "2,000 个字符"),
    "json_deep": (lambda t: load_model(str(changed(t, "config.json", more=json.loads("[" * 99 + "]" * 99)))), "64 层"),
    "weights_empty": (lambda t: load_model(str(written(t / "a.safetensors", b""))), "a.safetensors"),
    "weights_damaged": (lambda t: load_model(str(written(t / "a.safetensors", b"not weights"))), "safetensors"),
    "tensors_missing": (lambda t: load_model(str(saved(t, without_the_last_norm))), "layernorm.weight"),
    "tensors_unknown": (lambda t: load_model(str(saved(t, with_a_stranger))), "stranger.weight"),
    "weights_not_finite": (lambda t: load_model(str(saved(t, not_a_number))), "NaN"),
    "size_not_divided": (lambda t: small().at_size(20), "16x16 和 24x24"),
    "too_many_patches": (lambda t: resized(small(), (8000, 8000)), "1000000 个图块"),
    "size_unread": (lambda t: parse_size("big", (16, 16)), "384"),
    "size_below_patch": (lambda t: small().at_size(7), "小于一个图块（8x8）"),
    "size_too_large": (
        lambda t: parse_size("224x" + "9" * 20, (16, 16)),
        "最多允许 4096 个图块，即 1024x1024",
    ),
    "heads_unknown": (lambda t: load_model(str(without_its_config(t))), "写有 num_attention_heads 的 config.json"),
    "files_gone": (lambda t: get_model(ModelChoice(str(t / "gone"), "mine")), "mine"),
    "no_such_path": (lambda t: get_model(ModelChoice(str(t / "gone"), str(t / "gone"))), "没有名为"),
}


@pytest.mark.parametrize("code", CASES)
def test_reasons_in_chinese_and_english(code, tmp_path):
    make, words = CASES[code]
    with pytest.raises(CodedError) as raised:
        make(tmp_path)
    assert raised.value.code == code
    said = reason_of(raised.value, "zh")
    assert words in said
    assert re.search("[\u4e00-\u9fff]", said)
    assert not re.search(r"[{}]", said)
    assert reason_of(raised.value, "en") == str(raised.value)


def test_a_typed_path_that_never_was_is_not_called_gone(tmp_path):
    for typed in (str(tmp_path / "nothere"), "~/no/such/folder"):
        with pytest.raises(CodedError, match=f"no file or folder {typed} on this host"):
            get_model(ModelChoice(typed, typed))


def test_a_file_of_no_kind_that_we_know_is_described_in_chinese_too():
    with pytest.raises(ValueError, match="a file of unknown kind") as raised:
        read_picture(io.BytesIO(b"\xff\xd8no picture"))
    assert "未知类型的文件" in reason_of(raised.value, "zh")


def test_an_error_without_a_code_stays_english():
    assert reason_of(ValueError("as it is"), "zh") == "as it is"
    assert reason_of(OSError("disk"), "zh") == "disk"


def test_html_in_details_is_text():
    @plain_errors
    def refuse():
        raise CodedError(Message("x", "files_gone", {"name": "<b>bold</b>"}))

    with pytest.raises(gr.Error, match="Could not do that: x"):
        refuse()
    gone = CodedError(Message("x", "files_gone", {"name": "<b>"}))
    assert "&lt;b&gt;" in errors.plain_error(reason_of(gone, "zh"), "").message


@pytest.mark.parametrize(("language", "title"), [("en-GB", "Error"), ("zh-CN", "出错了")])
@pytest.mark.parametrize("fault", [ValueError("x"), MemoryError()])
def test_an_error_has_its_title_in_the_visitors_language(language, title, fault):
    @plain_errors
    def refuse(request):
        raise fault

    request = gr.Request()
    request.request = SimpleNamespace(headers={"accept-language": language}, cookies={})
    with pytest.raises(gr.Error) as raised:
        refuse(request)
    assert raised.value.title == title


def test_a_generator_that_yields_nothing_changes_nothing():
    """Gradio empties all outputs of one that ends without a value."""

    @plain_errors
    def steps(count):
        yield from range(count)

    assert list(steps(2)) == [0, 1]
    assert list(steps(0)) == [gr.skip()]
