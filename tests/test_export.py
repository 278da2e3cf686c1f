"""Export: the adapter carries what training changed, and refuses what it cannot carry."""

import shutil
from pathlib import Path

import pytest
import torch

from detente.artifact import ADAPTER, CONFIG, ONNX, WEIGHTS, ArtifactError, check_files, read_manifest
from detente.export import export, write_adapter
from detente.model import DetenteModel, build_model
from detente.runtime import load_network

HALF_TOLERANCE = 5e-3
"""On logits: the adapter is stored with 11 significant bits."""
FULL_RANK = 32
"""The tiny base's hidden size."""


def run(network: torch.nn.Module) -> torch.Tensor:
    """Stance logits of a few sequences, (3, 3)."""
    ids = torch.tensor([[2, 150, 151, 60, 61, 3], [2, 152, 153, 70, 71, 3], [2, 150, 153, 80, 81, 3]])
    roles = ids >= 150
    ids = torch.where(roles, ids - 150 + network.config.encoder.vocab_size, ids)
    with torch.inference_mode():
        stance: torch.Tensor = network.eval()(ids, torch.ones_like(ids)).stance
    return stance


def test_shipped_form_holds_what_it_should(shipped_form: Path) -> None:
    names = {p.relative_to(shipped_form).as_posix() for p in shipped_form.rglob("*") if p.is_file()}
    assert {CONFIG, ONNX, "tokenizer.json", f"{ADAPTER}/adapter_config.json"} <= names
    assert f"{ADAPTER}/adapter_model.safetensors" in names
    assert WEIGHTS not in names
    assert not {name for name in names if name.endswith((".fp32", ".data"))}
    check_files(shipped_form, read_manifest(shipped_form))


def test_adapter_names_no_path_of_the_machine(shipped_form: Path) -> None:
    """The base is found by the manifest; the adapter's own note of it would be a path of whoever exported."""
    text = (shipped_form / ADAPTER / "adapter_config.json").read_text(encoding="utf-8")
    assert str(Path.home()) not in text and "/tmp" not in text  # noqa: S108  # looked for, not written to


def test_manifest_is_kept(trained: Path, shipped_form: Path) -> None:
    before, after = read_manifest(trained), read_manifest(shipped_form)
    assert (after.model_version, after.calibration, after.run) == (before.model_version, before.calibration, before.run)
    assert after.files != before.files


def test_full_rank_adapter_is_the_network(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    network = load_network(trained, read_manifest(trained))
    exported = export(trained, tmp_path / "full", adapter_rank=FULL_RANK)
    found, expected = run(load_network(exported, read_manifest(exported))), run(network)
    torch.testing.assert_close(found, expected, atol=HALF_TOLERANCE, rtol=0)
    assert (run(build_model(str(tiny_base))) - expected).abs().max() > 10 * HALF_TOLERANCE


def test_rank_above_the_layers_size_is_full_rank(trained: Path, tiny_base: Path, tmp_path: Path) -> None:
    network = load_network(trained, read_manifest(trained))
    write_adapter(network, tiny_base, tmp_path / ADAPTER, 2 * FULL_RANK)
    assert (tmp_path / ADAPTER / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("table", ["word_embeddings", "position_embeddings"])
def test_changed_embeddings_are_refused(trained: Path, tiny_base: Path, tmp_path: Path, table: str) -> None:
    network = DetenteModel.from_pretrained(trained)
    with torch.no_grad():
        getattr(network.encoder.embeddings, table).weight[7] += 0.01
    with pytest.raises(ArtifactError, match=rf"{table}\.weight differs.*freeze_embeddings"):
        write_adapter(network, tiny_base, tmp_path / ADAPTER, 4)


def test_export_onto_itself_is_refused_and_harms_nothing(trained: Path, tmp_path: Path) -> None:
    """The output is emptied first: an output that holds the input would lose the model."""
    folder = Path(shutil.copytree(trained, tmp_path / "run" / "model"))
    for output in (folder, folder.parent):
        with pytest.raises((ArtifactError, ValueError)):
            export(folder, output, adapter_rank=4)
        check_files(folder, read_manifest(folder))
