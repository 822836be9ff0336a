"""Checkpoint files -> named tensors, as stored, without executing anything that a file holds.

Reads `.safetensors` (whole or in shards), Google's `.npz`, and pickled `.pth`/`.pt`/`.bin` that hold plain tensors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import threading
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vit_model.errors import CheckpointError, few, quoted
from vit_model.files.zips import listing, unbounded_method
from vit_model.messages import Message, message, message_of

MAX_PARAMETERS = 3_000_000_000  # 12 GB in fp32; the largest published ViT that fits this model has 1.9 billion
MAX_NAMES = 100_000
MAX_JSON_BYTES = 8 * 2**20  # as Python objects up to 25 times as much
MAX_JSON_DEPTH = 64
MAX_HEADER_BYTES = 16 * 2**20  # of a .safetensors, a .npz's list of members, a .pth's pickle: all before any number
_MOST_HEADER = f"{MAX_HEADER_BYTES:,}"  # in words
MAX_RATIO = 20  # weights hardly compress: a denser archive than this is not one
PICKLES = (".pth", ".pt", ".bin", ".ckpt")
SUFFIXES = (".safetensors", ".npz", *PICKLES)

# In the order in which a folder's file is chosen; where none of these is there, the folder's only weights file.
_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Training checkpoints wrap the weights; the first that is there wins: DINO's teacher is the model, not its student.
_WRAPPERS = ("teacher", "model_ema", "state_dict_ema", "model", "state_dict")


@dataclass(frozen=True)
class Checkpoint:
    """What lies on the disk: tensors by their own names, the files they came from, and the JSON files beside them."""

    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    config: Mapping | None = None
    preprocessor: Mapping | None = None
    notes: tuple[str, ...] = field(default=())

    def checksum(self) -> str:
        """SHA-256 of the weights file; of all shards one after the other where there are several."""
        digest = hashlib.sha256()
        for path in self.files:
            with open(path, "rb") as file:
                while block := file.read(2**22):
                    digest.update(block)
        return digest.hexdigest()


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at a folder or file. CheckpointError, in plain words, where there is none that can be read.

    A file brings along the `config.json` beside it only where it has one of the standard names, because a folder of
    downloads holds other models' files too.
    """
    path = Path(path)
    try:
        if path.is_dir():
            folder, weights = path, _choose(path)
        else:
            folder, weights = (path.parent if path.name in _NAMES else None), path
        config = read_json(folder / "config.json") if folder else None
        preprocessor = read_json(folder / "preprocessor_config.json") if folder else None
        files = _shards(weights) if weights.name.endswith(".index.json") else (weights,)
        tensors: dict[str, Tensor] = {}
        notes: list[str] = []
        for file in files:
            for key, tensor in _read(file, notes):
                if key in tensors:
                    text = "{file} holds {name}, and so does another shard"
                    raise CheckpointError(message("shard_twice", text, file=file.name, name=quoted(key)))
                tensors[key] = tensor
    except OSError as error:
        text, reason = "cannot read {path}: {reason}", error.strerror or error
        raise CheckpointError(message("weights_unread", text, path=path, reason=reason)) from error
    _check_sizes(tensors, weights.name)
    return Checkpoint(tensors, files, config, preprocessor, tuple(notes))


def read_json(path: Path) -> dict | None:
    """The JSON object in a file, None where the file is absent."""
    if not path.is_file():
        return None
    if path.stat().st_size > MAX_JSON_BYTES:
        text, size = "{file} has {size} bytes; a configuration has a few thousand", f"{path.stat().st_size:,}"
        raise CheckpointError(message("config_large", text, file=path.name, size=size))
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        text = "{file} is not valid JSON: {reason}"
        raise CheckpointError(message("config_no_json", text, file=path.name, reason=error)) from error
    if not isinstance(values, dict):
        text = "{file} should hold a JSON object, got a {type}"
        raise CheckpointError(message("config_no_object", text, file=path.name, type=type(values).__name__))
    _check_depth(values, path.name)
    return values


def _check_depth(values: dict, name: str) -> None:
    """Refuse what is nested so deep that code which follows it, or only shows it, would run out of stack."""
    inner: list = [values]
    for _ in range(MAX_JSON_DEPTH):
        inner = [
            item
            for outer in inner
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, dict | list)
        ]
        if not inner:
            return
    text = "{file} nests its values more than {most} deep; a configuration has a few levels"
    raise CheckpointError(message("json_deep", text, file=name, most=MAX_JSON_DEPTH))


def _choose(folder: Path) -> Path:
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    if any(name.startswith("adapter_") for name in names):
        raise CheckpointError(
            message(
                "adapter_folder",
                "this folder holds a LoRA or other adapter, which is a change to a model and no model of its own; "
                "merge it into its base model first (with peft: model.merge_and_unload()) and save the whole model",
            )
        )
    for suffix in SUFFIXES:
        found = [name for name in names if name.endswith(suffix)]
        if len(found) == 1:
            return folder / found[0]
        if found:
            text = "{folder} holds {count} {ending} files ({names}); name the one to load"
            details = {"folder": folder, "count": len(found), "ending": suffix, "names": few(found)}
            raise CheckpointError(message("weights_several", text, **details))
    inside = sorted([*folder.glob("*/model.safetensors"), *folder.glob("*/*/model.safetensors")])  # of a run, say
    hint: str = ""
    if inside:
        hint = message("weights_inside", ". {folder} holds some: name that folder", folder=inside[-1].parent)
    raise CheckpointError(
        message(
            "no_weights",
            "{folder} holds no weights; expected model.safetensors, pytorch_model.bin or one file that ends in "
            "{endings}; got {names}{hint}",
            folder=folder,
            endings=", ".join(SUFFIXES),
            names=few(names) or message("empty_folder", "an empty folder"),
            hint=hint,
        )
    )


def _shards(index: Path) -> tuple[Path, ...]:
    """The shard files that an index names. They must be plain names in the index's own folder."""
    names = (read_json(index) or {}).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        text = "{file} should name a file for every tensor under 'weight_map'"
        raise CheckpointError(message("index_odd", text, file=index.name))
    suffix = ".safetensors" if index.name.startswith("model.safetensors") else ".bin"
    shards = sorted(set(names.values()))
    for name in shards:
        if Path(name).name != name or "\\" in name or not name.endswith(suffix):
            text = "{file} names the shard {name}; expected a {ending} file in the same folder"
            raise CheckpointError(message("shard_odd", text, file=index.name, name=quoted(name), ending=suffix))
        if not (index.parent / name).is_file():
            text = "{file} names the shard {name}, which is not there; {count} are needed"
            raise CheckpointError(message("shard_missing", text, file=index.name, name=name, count=len(shards)))
    return tuple(index.parent / name for name in shards)


def _read(path: Path, notes: list[str]) -> Iterator[tuple[str, Tensor]]:
    if path.stat().st_size == 0:
        raise CheckpointError(message("weights_empty", "{file} is empty (0 bytes); fetch it again", file=path.name))
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix in PICKLES:
        return _read_pickle(path, notes)
    text, endings = "{file} is not a weights file; expected one that ends in {endings}", ", ".join(SUFFIXES)
    raise CheckpointError(message("weights_ending", text, file=path.name, endings=endings))


def _read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    with open(path, "rb") as opened:
        header = int.from_bytes(opened.read(8), "little")
    if MAX_HEADER_BYTES < header < path.stat().st_size:
        text, size, most = "{file} has a header of {size} bytes; at most {most} are read", f"{header:,}", _MOST_HEADER
        raise CheckpointError(message("header_large", text, file=path.name, size=size, most=most))
    try:
        with safe_open(path, framework="pt") as file:
            keys = file.keys()
            _check_count(len(keys), path.name)
            for key in keys:
                yield key, file.get_tensor(key)
    except SafetensorError as error:
        raise CheckpointError(_damage_message(path, "safetensors file", error)) from error


def _read_npz(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        _check_listing(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_archive(path, members)
            for member in members:
                _check_array(archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                array = arrays[key]
                yield key, torch.from_numpy(array if array.dtype.isnative else array.astype(array.dtype.newbyteorder()))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise CheckpointError(_damage_message(path, ".npz archive", error)) from error


def _damage_message(path: Path, kind: str, error: Exception) -> Message:
    text = "{file} is not a whole {kind} ({reason}); fetch it again"
    return message("weights_damaged", text, file=path.name, kind=kind, reason=error)


def _check_listing(path: Path) -> None:
    """Refuse an archive whose list of members alone would take much memory, before it is read."""
    with open(path, "rb") as file:
        size, count = listing(file, MAX_HEADER_BYTES)
    if size > MAX_HEADER_BYTES:
        text = "{file} has a list of members of {size} bytes; at most {most} are read"
        raise CheckpointError(message("listing_large", text, file=path.name, size=f"{size:,}", most=_MOST_HEADER))
    _check_count(count, path.name)


def _check_archive(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that unpacks to absurdly much, by its directory, before anything is unpacked."""
    unpacked, packed = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > 4 * MAX_PARAMETERS or (unpacked > 2**26 and unpacked > MAX_RATIO * packed):
        text = "{file} has {packed} bytes and would unpack to {unpacked}: not a model's weights"
        raise CheckpointError(
            message("weights_bomb", text, file=path.name, packed=f"{packed:,}", unpacked=f"{unpacked:,}")
        )
    for member in members:
        if method := unbounded_method(member):
            raise CheckpointError(
                message(
                    "weights_method",
                    "{name} in {file} is packed with {method}, whose memory cannot be bounded; save it again with "
                    "numpy.savez or torch.save",
                    name=repr(member.filename),
                    file=path.name,
                    method=method,
                )
            )
        if member.filename.endswith("data.pkl") and member.file_size > MAX_HEADER_BYTES:
            raise CheckpointError(
                message(
                    "pickle_large",
                    "{file} holds a pickle of {size} bytes besides its tensors; at most {most} are read: save "
                    "model.state_dict() alone",
                    file=path.name,
                    size=f"{member.file_size:,}",
                    most=_MOST_HEADER,
                )
            )


def _check_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse an array of objects, and one whose header promises other than its size in the archive."""
    if not member.filename.endswith(".npy"):
        text = "an .npz holds .npy arrays only, this one holds {name}"
        raise CheckpointError(message("npz_stranger", text, name=quoted(member.filename)))
    name = member.filename.removesuffix(".npy")
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):  # the others have headers of up to 4 GB, for records with names
                text = "its format is version {version}, expected (1, 0); save it with numpy.savez"
                raise CheckpointError(message("array_version", text, version=version))
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            text = "the array {name} cannot be read: {reason}"
            raise CheckpointError(message("array_unread", text, name=quoted(name), reason=message_of(error))) from error
        body = member.file_size - file.tell()
    if dtype.hasobject:
        text = "the array {name} holds Python objects, which are never loaded; expected numbers"
        raise CheckpointError(message("objects_refused", text, name=quoted(name)))
    if dtype.kind not in "fiub":
        text = "the array {name} has the type {type}; expected floating-point numbers"
        raise CheckpointError(message("array_type", text, name=quoted(name), type=dtype))
    count = 1
    for side in shape:
        count *= side
    if count * dtype.itemsize != body:
        text, said = "the array {name} says its shape is {shape} ({type}), but has {size} bytes", quoted(list(shape))
        raise CheckpointError(message("array_size", text, name=quoted(name), shape=said, type=dtype, size=f"{body:,}"))


_UNPICKLING = threading.Lock()  # the list of allowed classes is global to torch


def _read_pickle(path: Path, notes: list[str]) -> Iterator[tuple[str, Tensor]]:
    zipped = zipfile.is_zipfile(path)
    try:
        if zipped:
            _check_listing(path)
            with zipfile.ZipFile(path) as archive:
                _check_archive(path, archive.infolist())
        # argparse.Namespace (DINO's and MAE's checkpoints carry their arguments) only holds values.
        with _UNPICKLING, torch.serialization.safe_globals([argparse.Namespace]):
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        text = (
            "{file} is not plain weights: it is damaged, or a pickle that would run code or build objects other than "
            "tensors, which is never done here; save model.state_dict(), best as .safetensors"
        )
        raise CheckpointError(message("pickle_refused", text, file=path.name)) from error
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        text = "{file} is damaged or not made by torch.save ({reason}); fetch it again"
        raise CheckpointError(message("pickle_damaged", text, file=path.name, reason=reason)) from error
    return iter(_unwrap(loaded, path.name, notes).items())


def _unwrap(loaded: Any, name: str, notes: list[str]) -> dict[str, Tensor]:
    """The dict of tensors inside a training checkpoint's wrapping."""
    for _ in range(3):  # {"teacher": {...}} around {"state_dict": {...}} and the like; deeper ones do not exist
        if not isinstance(loaded, Mapping):
            text, kind = "{file} holds a {type}; expected tensors by name (a state_dict)", type(loaded).__name__
            raise CheckpointError(message("no_state_dict", text, file=name, type=kind))
        inner = next((key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            break
        others = [str(key) for key in loaded if key != inner]
        notes.append(f"read {inner!r} of the training checkpoint" + (f", left {few(others)}" if others else ""))
        loaded = loaded[inner]
    strangers = [str(key) for key, value in loaded.items() if not isinstance(value, Tensor) or not isinstance(key, str)]
    if strangers:
        text = "{file} should hold tensors by name; {names} are something else"
        raise CheckpointError(message("no_tensors_by_name", text, file=name, names=few(strangers)))
    return dict(loaded)


def _check_sizes(tensors: Mapping[str, Tensor], name: str) -> None:
    if not tensors:
        raise CheckpointError(message("no_tensors", "{file} holds no tensors", file=name))
    _check_count(len(tensors), name)
    total = sum(tensor.numel() for tensor in tensors.values())
    if total > MAX_PARAMETERS:
        text, most = "{file} holds {total} numbers; at most {most} are loaded", f"{MAX_PARAMETERS:,}"
        raise CheckpointError(message("weights_many", text, file=name, total=f"{total:,}", most=most))
    for key, tensor in tensors.items():
        # A pickle may say that few bytes are a huge tensor (stride 0); copying it would take all memory.
        stored = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not stored or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            text, shape = "{file}: the tensor {name} of shape {shape} is not stored in full", quoted(list(tensor.shape))
            raise CheckpointError(message("tensor_partial", text, file=name, name=quoted(key), shape=shape))


def _check_count(count: int, name: str) -> None:
    if count > MAX_NAMES:
        text = "{file} holds {count} tensors; a Vision Transformer has a few hundred"
        raise CheckpointError(message("tensors_many", text, file=name, count=f"{count:,}"))
