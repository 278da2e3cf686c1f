"""The saved folder: its file names, its format version, how it is saved, checked and found.

A folder holds ``config.json`` (network, labels, calibration, provenance and the hash of every other file),
``tokenizer.json`` and weights: as trained (``model.safetensors``), or in int8 (``weights.int8.safetensors``) with an
ONNX graph that points into them (``model.int8.onnx``). The network that reads articles lies beside them
(``attribution.int8.safetensors``, ``attribution.int8.onnx``); tables that both networks share are stored once.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from detente.calibration import Calibration, HeadCalibration
from detente.encoding import ROLE_TOKENS
from detente.labels import HEADS

FORMAT_VERSION: Final = 4
"""Version of the folder's layout; another one is refused."""

CONFIG: Final = "config.json"
TOKENIZER: Final = "tokenizer.json"
WEIGHTS: Final = "model.safetensors"
QUANTISED: Final = "weights.int8.safetensors"
ONNX: Final = "model.int8.onnx"
ATTRIBUTION_WEIGHTS: Final = "attribution.int8.safetensors"
ATTRIBUTION_ONNX: Final = "attribution.int8.onnx"
RUN: Final = "attribution.json"
"""In a folder made by ``train.attribution``: what becomes ``Manifest.attribution``."""
SECTION: Final = "detente"
"""The key of ``config.json`` under which everything but the network's shape stands."""


class ArtifactError(ValueError):
    """A model folder that cannot be used; the message says what was expected, what was found and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder says of itself.

    Attributes:
        model_version: Name and hash of the training run.
        base_model: Hub id or folder of the base encoder.
        base_revision: The base's hub revision.
        base_sha256: SHA-256 of the base's ``model.safetensors``, or None.
        max_tokens: Longest sequence.
        overlap_tokens: Tokens shared by neighbouring windows.
        calibration: How logits become probabilities.
        data_sha256: Hash of each data file of the training run, by name.
        sources: Licence of each training source, by name.
        run: The resolved training config.
        files: SHA-256 of every other file of the folder, by relative path.
        labels: Label names by head, in the order of the logits.
        role_tokens: Role tokens in the order of their ids.
        attribution: Of the attribution network ``version``, ``max_tokens``, ``overlap_tokens``, the ``spans`` and
            ``links`` that it finds, the weights of ``evidence``, ``data_sha256`` and ``run``; empty if there is none.
        format_version: Version of the layout.
        licence: Licence of the weights.
    """

    model_version: str
    base_model: str
    base_revision: str | None
    base_sha256: str | None
    max_tokens: int
    overlap_tokens: int
    calibration: Calibration
    data_sha256: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(HEADS))
    role_tokens: tuple[str, ...] = ROLE_TOKENS
    attribution: Mapping[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    licence: str = "Apache-2.0"


def find_shipped() -> Path:
    """The folder of the weights inside the package."""
    return Path(str(files("detente"))) / "weights"


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Reads and checks a folder's manifest.

    Raises:
        ArtifactError: The folder, the file or a key is missing, the format is unknown, or labels or role tokens are not
            those of this package.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ArtifactError(f"{folder} has no {CONFIG}: expected a folder made by train.finetune or save_pretrained")
    try:
        section = json.loads(path.read_text(encoding="utf-8"))[SECTION]
        found = section["format_version"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is not a detente config: {error!r}; was the folder saved by train.finetune?"
        ) from error
    if found != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder} has artifact format {found}, this package reads format {FORMAT_VERSION}: "
            "install the detente version that wrote it, or export it again"
        )
    known = {f.name for f in dataclasses.fields(Manifest)}
    if unknown := set(section) - known:
        raise ArtifactError(f"{path} has unknown keys {sorted(unknown)}: it was written by a newer detente")
    try:
        calibration = section["calibration"]
        heads = {
            head: HeadCalibration(values["temperature"], tuple(values["bias"]))
            for head, values in calibration["heads"].items()
        }
        section["calibration"] = Calibration(heads, calibration["review_below"], calibration["selective_risk"])
        section["labels"] = {head: tuple(names) for head, names in section["labels"].items()}
        section["role_tokens"] = tuple(section["role_tokens"])
        manifest = Manifest(**section)
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path} is incomplete: {error!r}; export the model again") from error
    if dict(manifest.labels) != HEADS:
        raise ArtifactError(f"{folder} predicts {dict(manifest.labels)}, this package expects {HEADS}")
    if manifest.role_tokens != ROLE_TOKENS:
        raise ArtifactError(f"{folder} marks roles by {manifest.role_tokens}, this package by {ROLE_TOKENS}")
    if missing := set(HEADS) - set(manifest.calibration.heads):
        raise ArtifactError(f"{path} has no calibration for {sorted(missing)}: run train.calibrate")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, with the hashes of the folder's files, into ``config.json`` beside the network's shape."""
    path = folder / CONFIG
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    hashes = {
        p.relative_to(folder).as_posix(): hash_file(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix in {".safetensors", ".onnx", ".json"} and p != path
    }
    if "encoder" in config:  # transformers notes the folder that the base was read from
        config["encoder"]["_name_or_path"] = manifest.base_model
    config[SECTION] = dataclasses.asdict(dataclasses.replace(manifest, files=hashes))
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compares every file with the hash in the manifest.

    Raises:
        ArtifactError: A file is missing or was changed.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path} is missing: copy the whole folder, or export the model again")
        if (found := hash_file(path)) != expected:
            raise ArtifactError(f"{path} was changed: expected SHA-256 {expected}, found {found}; export it again")


def resolve_folder(name: str | Path | None, revision: str | None = None) -> Path:
    """The local folder of a model: the shipped one for None, a folder as it is, else a hub id, which is downloaded.

    Raises:
        ArtifactError: Neither a folder nor a hub model of this name can be had.
    """
    if name is None:
        return find_shipped()
    if Path(name).is_dir():
        return Path(name)
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{name} is no folder, and a hub model needs huggingface_hub: pip install 'detente[torch]'"
        ) from error
    try:
        return Path(snapshot_download(str(name), revision=revision))
    except Exception as error:
        raise ArtifactError(f"{name} is neither a folder nor a model that the hub gave out: {error}") from error
