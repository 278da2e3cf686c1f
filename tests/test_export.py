"""Export: the shipped form carries what training changed, and refuses what it cannot carry."""

import shutil
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.numpy import load_file

from detente import quantisation
from detente.artifact import CONFIG, ONNX, QUANTISED, WEIGHTS, ArtifactError, check_files, read_manifest
from detente.export import export
from detente.model import build_model
from detente.quantisation import LARGEST, LARGEST_IN_PRODUCT, SCALE_SUFFIX
from detente.runtime import load_network

TABLE_TOLERANCE, PRODUCT_TOLERANCE = 0.501 / LARGEST, 0.501 / LARGEST_IN_PRODUCT
"""Of a row's largest weight: half a step."""


def test_shipped_form_holds_what_it_should(shipped_form: Path) -> None:
    names = {p.relative_to(shipped_form).as_posix() for p in shipped_form.rglob("*") if p.is_file()}
    assert names == {CONFIG, ONNX, QUANTISED, "tokenizer.json"}
    check_files(shipped_form, read_manifest(shipped_form))


def test_manifest_is_kept(trained: Path, shipped_form: Path) -> None:
    before, after = read_manifest(trained), read_manifest(shipped_form)
    assert (after.model_version, after.calibration, after.run) == (before.model_version, before.calibration, before.run)
    assert after.files != before.files


def test_stored_weights_are_the_network(trained: Path, tiny_base: Path, shipped_form: Path) -> None:
    expected = load_network(trained).state_dict()
    found = load_network(shipped_form).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        size = tensor.abs().amax(-1, keepdim=True) if tensor.ndim > 1 else tensor.abs().max()
        tolerance = TABLE_TOLERANCE if "embeddings" in name else PRODUCT_TOLERANCE
        assert ((found[name] - tensor).abs() <= tolerance * size + 1e-6).all(), name
    start = build_model(str(tiny_base)).state_dict()
    layer = next(name for name in start if "query.weight" in name)
    assert not torch.allclose(start[layer], expected[layer], atol=1e-4), "training changed nothing"


def test_weights_are_stored_once(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph points into the file that torch reads: it holds structure and small numbers only."""
    monkeypatch.setattr(quantisation, "_MIN_VALUES", 100)  # the tiny network's matrices count as large
    shipped_form = export(trained, tmp_path / "shipped")
    stored = load_file(shipped_form / QUANTISED)
    assert {values.dtype.name for values in stored.values()} == {"int8", "float32"}
    assert all(name.removesuffix(SCALE_SUFFIX) in stored for name in stored)
    graph = onnx.load(shipped_form / ONNX, load_external_data=False).graph
    integers = [i for i in graph.initializer if i.data_type == onnx.TensorProto.INT8]
    assert integers and all(i.data_location == onnx.TensorProto.EXTERNAL for i in integers)
    assert {e.value for i in integers for e in i.external_data if e.key == "location"} == {QUANTISED}


def test_no_file_names_a_path_of_the_machine(shipped_form: Path) -> None:
    package = str(Path(torch.__file__).parent.parent).encode()
    for path in shipped_form.iterdir():
        assert package not in path.read_bytes(), path.name


def test_export_onto_itself_is_refused_and_harms_nothing(trained: Path, tmp_path: Path) -> None:
    """The output is emptied first: an output that holds the input would lose the model."""
    folder = Path(shutil.copytree(trained, tmp_path / "run" / "model"))
    for output in (folder, folder.parent):
        with pytest.raises(ArtifactError, match="would be emptied"):
            export(folder, output)
        check_files(folder, read_manifest(folder))
    assert (folder / WEIGHTS).is_file()
