"""Export: the shipped form carries what training changed, and refuses what it cannot carry."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

from detente.artifact import CONFIG, LAYERS, ONNX, WEIGHTS, ArtifactError, check_files, read_manifest
from detente.export import export, write_layers
from detente.model import DetenteModel, build_model
from detente.runtime import SCALE_SUFFIX, load_network

WEIGHT_TOLERANCE = 1 / 250
"""Of a row's largest weight: half a step of 127 levels."""


def test_shipped_form_holds_what_it_should(shipped_form: Path) -> None:
    names = {p.relative_to(shipped_form).as_posix() for p in shipped_form.rglob("*") if p.is_file()}
    assert names == {CONFIG, LAYERS, ONNX, "tokenizer.json"}
    check_files(shipped_form, read_manifest(shipped_form))


def test_manifest_is_kept(trained: Path, shipped_form: Path) -> None:
    before, after = read_manifest(trained), read_manifest(shipped_form)
    assert (after.model_version, after.calibration, after.run) == (before.model_version, before.calibration, before.run)
    assert after.files != before.files


def test_layers_on_the_base_are_the_network(trained: Path, tiny_base: Path, shipped_form: Path) -> None:
    expected = load_network(trained, read_manifest(trained)).state_dict()
    found = load_network(shipped_form, read_manifest(shipped_form)).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        size = tensor.abs().amax(-1, keepdim=True) if tensor.ndim > 1 else tensor.abs().max()
        assert ((found[name] - tensor).abs() <= WEIGHT_TOLERANCE * size + 1e-6).all(), name
    start = build_model(str(tiny_base)).state_dict()
    layer = next(name for name in start if "query.weight" in name)
    assert not torch.allclose(start[layer], expected[layer], atol=1e-4), "training changed nothing"


def test_layers_leave_the_embeddings_to_the_base(shipped_form: Path) -> None:
    stored = load_file(shipped_form / LAYERS)
    assert not [name for name in stored if "word_embeddings" in name]
    assert {values.dtype.name for values in stored.values()} <= {"int8", "float32"}
    assert all(name.removesuffix(SCALE_SUFFIX) in stored for name in stored)


def test_no_file_names_a_path_of_the_machine(shipped_form: Path) -> None:
    package = str(Path(torch.__file__).parent.parent).encode()
    for path in shipped_form.iterdir():
        assert package not in path.read_bytes(), path.name


@pytest.mark.parametrize("table", ["word_embeddings", "position_embeddings"])
def test_changed_embeddings_are_refused(trained: Path, tiny_base: Path, tmp_path: Path, table: str) -> None:
    network = DetenteModel.from_pretrained(trained)
    with torch.no_grad():
        getattr(network.encoder.embeddings, table).weight[7] += 0.01
    with pytest.raises(ArtifactError, match=rf"{table}\.weight differs.*freeze_embeddings"):
        write_layers(network, build_model(str(tiny_base)), tmp_path / LAYERS)


def test_export_onto_itself_is_refused_and_harms_nothing(trained: Path, tmp_path: Path) -> None:
    """The output is emptied first: an output that holds the input would lose the model."""
    folder = Path(shutil.copytree(trained, tmp_path / "run" / "model"))
    for output in (folder, folder.parent):
        with pytest.raises(ArtifactError, match="would be emptied"):
            export(folder, output)
        check_files(folder, read_manifest(folder))
    assert (folder / WEIGHTS).is_file()
