"""A trained folder to the shipped form: an int8 ONNX graph, and for torch int8 layers on the base encoder."""

import logging
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.numpy import save_file
from torch import Tensor, nn

from detente.artifact import CONFIG, LAYERS, ONNX, TOKENIZER, WEIGHTS, ArtifactError, read_manifest, write_manifest
from detente.labels import HEADS
from detente.model import DetenteModel, build_model
from detente.quantisation import is_quantised, quantise_graph, quantise_rows
from detente.runtime import SCALE_SUFFIX, find_base, load_network

logger = logging.getLogger(__name__)


def export(folder: Path, output: Path) -> Path:
    """Writes the shipped form of a trained folder: the graph, the layers, the tokenizer and the manifest.

    The graph is made from the network as torch loads it from the layers, so both forms have the same weights.

    Args:
        folder: An artifact with ``model.safetensors``.
        output: Folder to write; emptied first.

    Returns:
        ``output``.

    Raises:
        ArtifactError: ``folder`` is no complete artifact or lies in ``output``, its base cannot be found, or training
            changed the embeddings.
    """
    if folder.resolve().is_relative_to(output.resolve()):
        raise ArtifactError(f"the output {output} holds the model {folder} and would be emptied: choose another")
    manifest = read_manifest(folder)
    base = find_base(manifest.base_model, manifest.base_revision, manifest.base_sha256)
    trained = load_network(folder, manifest)
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    for name in (TOKENIZER, CONFIG):
        shutil.copy(folder / name, output / name)
    write_layers(trained, build_model(str(base)), output / LAYERS)
    write_graph(load_network(output, manifest), output / ONNX)
    write_manifest(output, manifest)
    return output


def write_layers(trained: DetenteModel, start: DetenteModel, path: Path) -> None:
    """Stores all weights but the base encoder's embeddings; large matrices in int8 with one scale a row.

    Args:
        trained: The trained network.
        start: The network on its base, untrained.
        path: A safetensors file to write.

    Raises:
        ArtifactError: Training changed the embeddings, which the base brings along.
    """
    embeddings = [n for n, m in start.encoder.named_modules(prefix="encoder") if isinstance(m, nn.Embedding)]
    before = start.state_dict()
    stored: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
    for name, tensor in trained.state_dict().items():
        if name.removesuffix(".weight") in embeddings:
            if not torch.equal(tensor, before[name]):
                raise ArtifactError(f"{name} differs from the base's: train with freeze_embeddings, or ship {WEIGHTS}")
            continue
        values = tensor.float().numpy()
        if is_quantised(values.shape):
            stored[name], stored[name + SCALE_SUFFIX] = quantise_rows(values)
        else:
            stored[name] = values
    save_file(stored, path)
    logger.info("wrote %s: %d tensors, %.1f MiB", path, len(stored), path.stat().st_size / 2**20)


class _TupleOutput(nn.Module):
    """The network with its outputs as a tuple, in the order of the heads: what the ONNX exporter takes."""

    def __init__(self, network: DetenteModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        out = self.network(input_ids, attention_mask)
        return tuple(out[head] for head in HEADS)


def write_graph(network: DetenteModel, path: Path) -> None:
    """Writes an ONNX graph with int8 weights, and int8 activations scaled token by token."""
    plain = path.with_suffix(".fp32")
    role = network.config.encoder.vocab_size
    ids = torch.tensor([[1, role, role + 1, 2, 3, 4]] * 2)
    longest = network.config.encoder.max_position_embeddings
    shapes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq", max=longest)}
    torch.onnx.export(
        _TupleOutput(network).eval(),
        (ids, torch.ones_like(ids)),
        str(plain),
        input_names=["input_ids", "attention_mask"],
        output_names=list(HEADS),
        dynamic_shapes={"input_ids": shapes, "attention_mask": shapes},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    onnx.save(strip_notes(quantise_graph(onnx.load(plain))), path)
    plain.unlink()


def strip_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes the exporter's notes: stack traces and paths of the machine that exported. Returns the same model."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model
