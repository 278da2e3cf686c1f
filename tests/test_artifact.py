"""The saved folder: what it holds, and every way in which it may be wrong is refused with advice."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detente.artifact import (
    CONFIG,
    ONNX,
    SECTION,
    ArtifactError,
    check_files,
    hash_file,
    read_manifest,
    resolve_folder,
    write_manifest,
)
from detente.calibration import Calibration, HeadCalibration
from detente.classifier import Classifier

PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}


@pytest.fixture
def folder(shipped_form: Path, tmp_path: Path) -> Path:
    """A copy of the tiny shipped form, to be spoilt."""
    return Path(shutil.copytree(shipped_form, tmp_path / "model"))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    change(config[SECTION])
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")


def test_every_file_is_hashed_and_none_is_a_pickle(trained: Path, shipped_form: Path) -> None:
    for found in (trained, shipped_form):
        names = {p.relative_to(found).as_posix() for p in found.rglob("*") if p.is_file()}
        assert not {name for name in names if Path(name).suffix in PICKLES}
        hashed = set(read_manifest(found).files)
        assert {name for name in names - hashed if not name.endswith(".md")} == {CONFIG}
        assert hashed <= names


def test_manifest_there_and_back(folder: Path) -> None:
    manifest = read_manifest(folder)
    heads = {
        "stance": HeadCalibration(1.5, (0.1, 0.0, -0.1)),
        "hostility": HeadCalibration(0.5, (0.2,)),
        "sentiment": HeadCalibration(),
    }
    changed = dataclasses.replace(
        manifest, calibration=Calibration(heads, 0.7, 0.1), sources={"invented": "CC0-1.0"}, licence="other"
    )
    write_manifest(folder, changed)
    assert read_manifest(folder) == changed
    check_files(folder, read_manifest(folder))


def test_config_keeps_the_shape_of_the_network(folder: Path) -> None:
    before = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    write_manifest(folder, read_manifest(folder))
    assert json.loads((folder / CONFIG).read_text(encoding="utf-8")) == before
    assert before["model_type"] == "detente"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update(format_version=99), "artifact format 99, this package reads format 4"),
        (lambda s: s.update(format_version="4"), "artifact format 4, this package reads format 4"),
        (lambda s: s.pop("format_version"), "is not a detente config"),
        (lambda s: s.update(colour="red"), r"unknown keys \['colour'\]"),
        (lambda s: s.pop("max_tokens"), "is incomplete.*max_tokens"),
        (lambda s: s.pop("calibration"), "is incomplete.*calibration"),
        (lambda s: s.pop("labels"), "is incomplete.*labels"),
        (lambda s: s["labels"].update(stance=["against", "neutral", "favour"]), "this package expects"),
        (lambda s: s["labels"].pop("sentiment"), "this package expects"),
        (lambda s: s.update(role_tokens=["[A]", "[B]"]), "marks roles by"),
        (lambda s: s["calibration"]["heads"].pop("stance"), r"no calibration for \['stance'\]"),
    ],
)
def test_wrong_manifest_is_refused(folder: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit(folder, change)
    with pytest.raises(ArtifactError, match=message):
        Classifier.from_pretrained(folder)


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", '{"detente": null}', '{"detente": []}'])
def test_other_config_is_refused(folder: Path, content: str) -> None:
    (folder / CONFIG).write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match="is not a detente config"):
        read_manifest(folder)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"has no config\.json: expected a folder made by"):
        Classifier.from_pretrained(tmp_path)


def test_changed_file_is_refused(folder: Path) -> None:
    with (folder / ONNX).open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\x00\x01")
    with pytest.raises(ArtifactError, match=r"model\.int8\.onnx was changed: expected SHA-256"):
        Classifier.from_pretrained(folder)


def test_every_missing_file_is_refused(folder: Path) -> None:
    for name in read_manifest(folder).files:
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        with pytest.raises(ArtifactError, match="is missing: copy the whole folder"):
            Classifier.from_pretrained(folder)
        (folder / name).write_bytes(kept)
    assert Classifier.from_pretrained(folder).backend == "onnx"


def test_calibration_does_not_change_the_hashes(folder: Path) -> None:
    before = read_manifest(folder)
    write_manifest(folder, dataclasses.replace(before, calibration=Calibration.identity()))
    assert read_manifest(folder).files == before.files
    assert before.files[ONNX] == hash_file(folder / ONNX)


def test_unknown_model_is_refused() -> None:
    with pytest.raises(ArtifactError, match="neither a folder nor a model that the hub gave out"):
        resolve_folder("nobody/no-such-model")
