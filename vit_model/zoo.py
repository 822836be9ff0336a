"""The names a user can pick: the bundled model, a Hub id, or any file or folder that holds a checkpoint."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vit_model.errors import UnknownSourceError

BUNDLED = "bundled"
SHIPPED = {BUNDLED: "bundled", "bundled-objects": "bundled_objects"}
"""Models in this package: name -> folder beside this file."""
HUB_PREFIX = "hf-hub:"  # timm's way to say "this is a Hub id, not a path"

Progress = Callable[[int, int, str], None]  # (bytes done, bytes in all, name of the file that is coming in)


@dataclass(frozen=True)
class KnownModel:
    """One line of the page's model picker. `key` is what `fetch` and `load_model` take."""

    key: str
    family: str
    name: str
    note: str


KNOWN = (
    KnownModel(BUNDLED, "Bundled", "Small ViT, ten classes", "comes with the program; 96 px, patch 8, Imagenette"),
    KnownModel(
        "google/vit-base-patch16-224", "ViT", "ViT-B/16, 224 px", "ImageNet-21k, fine-tuned on ImageNet (1,000 classes)"
    ),
    KnownModel(
        "google/vit-base-patch16-384", "ViT", "ViT-B/16, 384 px", "the same at 384 px: a finer grid of 24x24 patches"
    ),
    KnownModel("google/vit-base-patch32-384", "ViT", "ViT-B/32, 384 px", "large patches: a 12x12 grid; 1,000 classes"),
    KnownModel(
        "google/vit-large-patch16-224", "ViT", "ViT-L/16, 224 px", "24 layers of 16 heads; 1,000 classes; 1.2 GB"
    ),
    KnownModel(
        "google/vit-large-patch16-384", "ViT", "ViT-L/16, 384 px", "24 layers, 24x24 patches; 1,000 classes; 1.2 GB"
    ),
    KnownModel(
        "google/vit-base-patch16-224-in21k", "ViT", "ViT-B/16, ImageNet-21k", "before fine-tuning, without a classifier"
    ),
    KnownModel(
        "google/vit-base-patch32-224-in21k", "ViT", "ViT-B/32, ImageNet-21k", "before fine-tuning, without a classifier"
    ),
    KnownModel(
        "google/vit-large-patch16-224-in21k",
        "ViT",
        "ViT-L/16, ImageNet-21k",
        "before fine-tuning, without a classifier; 1.2 GB",
    ),
    KnownModel("facebook/deit-tiny-patch16-224", "DeiT", "DeiT-Ti/16", "trained on ImageNet alone; 3 heads; 23 MB"),
    KnownModel("facebook/deit-small-patch16-224", "DeiT", "DeiT-S/16", "trained on ImageNet alone; 6 heads"),
    KnownModel("facebook/deit-base-patch16-224", "DeiT", "DeiT-B/16", "trained on ImageNet alone; 12 heads"),
    KnownModel(
        "facebook/deit-base-distilled-patch16-224",
        "DeiT",
        "DeiT-B/16 distilled",
        "a second token that learned from a convolutional teacher",
    ),
    KnownModel("facebook/dino-vits8", "DINO", "DINO S/8", "self-supervised, no classifier; a fine 28x28 grid"),
    KnownModel("facebook/dino-vitb16", "DINO", "DINO B/16", "self-supervised, no classifier"),
    KnownModel("facebook/dinov2-small", "DINOv2", "DINOv2 S/14", "self-supervised, no classifier"),
    KnownModel("facebook/dinov2-base", "DINOv2", "DINOv2 B/14", "self-supervised, no classifier"),
    KnownModel(
        "facebook/dinov2-small-imagenet1k-1-layer",
        "DINOv2",
        "DINOv2 S/14 with classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-base-imagenet1k-1-layer",
        "DINOv2",
        "DINOv2 B/14 with classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-small",
        "DINOv2 with registers",
        "DINOv2 S/14 with registers",
        "four register tokens: cleaner attention maps; no classifier",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-base",
        "DINOv2 with registers",
        "DINOv2 B/14 with registers",
        "four register tokens: cleaner attention maps; no classifier",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-small-imagenet1k-1-layer",
        "DINOv2 with registers",
        "DINOv2 S/14 with registers and classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/dinov2-with-registers-base-imagenet1k-1-layer",
        "DINOv2 with registers",
        "DINOv2 B/14 with registers and classifier",
        "a linear classifier of 1,000 classes on the same features",
    ),
    KnownModel(
        "facebook/vit-mae-base", "ViT-MAE", "ViT-MAE B/16", "learned by filling in hidden patches; encoder only"
    ),
)


def fetch(
    source: str | Path,
    progress: Progress | None = None,
    local_paths: bool = True,
    token: str | bool | None = None,
) -> Path:
    """The folder (or file) that holds the checkpoint called `source`, downloaded first where that is needed.

    What a source can be, and the first that fits wins:
      1. "bundled", or another of SHIPPED: a model in this package, whatever the current folder holds;
      2. "hf-hub:owner/name": always the Hub;
      3. a `Path`, or the name of an existing file or folder: itself, even where a Hub model has the same name
         (say "hf-hub:google/vit" for the Hub's). Only with `local_paths`; without it nothing is looked for on the disk;
      4. "owner/name" or "owner/name@revision" (a branch, tag or commit): the Hub, or its cache.

    `progress(bytes done, bytes in all, file)` is called while a download runs, not necessarily in this thread.
    `token`: whose rights count at the Hub, see `hub.download`. UnknownSourceError for anything else; HubError and its
    kin from the Hub.
    """
    if isinstance(source, Path):
        if not local_paths:
            raise UnknownSourceError(_expectation(source, local_paths))
        return _existing(source, source)
    name = source.strip()
    if name in SHIPPED:
        return Path(__file__).parent / SHIPPED[name]
    if not name.startswith(HUB_PREFIX) and local_paths:
        path = os.path.expanduser(name)
        if name and os.path.exists(path):
            return Path(path)
    hub_id = _hub_id(name.removeprefix(HUB_PREFIX))
    if hub_id is None:
        raise UnknownSourceError(_expectation(source, local_paths))
    from vit_model import hub  # here, as it costs a fraction of a second that the bundled model has no use for

    return hub.download(*hub_id, progress=progress, **({} if token is None else {"token": token}))


def check_access(source: str, token: str | bool | None) -> None:
    """HubError if `source` is a repository of the Hub that this token may not have; see `hub.check_access`."""
    if token is None or source in (BUNDLED, *(known.key for known in KNOWN)):
        return
    hub_id = _hub_id(source.removeprefix(HUB_PREFIX))
    if hub_id is None or (not source.startswith(HUB_PREFIX) and os.path.exists(os.path.expanduser(source))):
        return
    from vit_model import hub

    hub.check_access(*hub_id, token)


def _existing(path: Path, source: str | Path) -> Path:
    path = Path(os.path.expanduser(path))
    if not os.path.exists(path):
        raise UnknownSourceError(_expectation(source, True))
    return path


# A git ref, less what git or a file system would choke on: no "..", no empty part, no leading dot or dash, no colon.
MOST_LETTERS = 255  # of a revision; file systems keep no longer names
_REVISION = re.compile(r"(?!.*\.\.)\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)


def _hub_id(name: str) -> tuple[str, str] | None:
    """ "owner/name[@revision]" -> (id, revision), or None where it is no Hub id. Looks at the text only."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    repository, at, revision = name.partition("@")
    if repository.count("/") != 1 or (at and not _REVISION.fullmatch(revision)) or len(revision) > MOST_LETTERS:
        return None
    try:
        validate_repo_id(repository)
    except HFValidationError:
        return None
    return repository, revision or "main"


def _expectation(source: str | Path, local_paths: bool) -> str:
    kinds = [f'"{BUNDLED}"', 'a Hub id such as "google/vit-base-patch16-224" ("owner/name", or "owner/name@revision")']
    if local_paths:
        kinds.append("an existing checkpoint folder or .safetensors, .npz, .pth or .bin file")
    note = "" if local_paths else ". Paths on the server are not accepted here"
    return f"expected {', or '.join(kinds)}, got {str(source)[:200]!r}{note}"
