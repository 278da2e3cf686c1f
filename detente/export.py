"""A trained folder to the shipped form: weights in int8, and an ONNX graph that points into them."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from detente.article.network import AttributionModel
from detente.artifact import (
    ATTRIBUTION_ONNX,
    ATTRIBUTION_WEIGHTS,
    CONFIG,
    ONNX,
    QUANTISED,
    RUN,
    TOKENIZER,
    ArtifactError,
    read_manifest,
    write_manifest,
)
from detente.labels import HEADS
from detente.model import DetenteModel
from detente.quantisation import (
    LARGEST,
    LARGEST_IN_PRODUCT,
    SCALE_SUFFIX,
    is_quantised,
    point_to_files,
    quantise_graph,
    quantise_rows,
)
from detente.runtime import ATTRIBUTION_OUTPUTS, load_attribution, load_network

logger = logging.getLogger(__name__)

_ROUNDING: Final = 1e-7
"""Mean difference below which two tables are the same; values are about 0.05."""
_OPSET: Final = 23
"""The first ONNX operator set that has attention as one operator."""


def export(folder: Path, output: Path) -> Path:
    """Writes the shipped form of a trained folder: the weights, the graph, the tokenizer and the manifest.

    The graph is made from the network as torch loads it from the weights, so both backends have the same weights. A
    network that reads articles, which the output has already, stays in it.

    Args:
        folder: An artifact with ``model.safetensors``.
        output: Folder to write; emptied first.

    Returns:
        ``output``.

    Raises:
        ArtifactError: ``folder`` is no complete artifact or lies in ``output``.
    """
    if folder.resolve().is_relative_to(output.resolve()):
        raise ArtifactError(f"the output {output} holds the model {folder} and would be emptied: choose another")
    manifest = read_manifest(folder)
    trained = load_network(folder)
    reader = (load_attribution(output), read_manifest(output).attribution) if _reads_articles(output) else None
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    for name in (TOKENIZER, CONFIG):
        shutil.copy(folder / name, output / name)
    write_quantised(trained, output / QUANTISED)
    write_graph(load_network(output), output / ONNX, list(HEADS), [QUANTISED])
    write_manifest(output, manifest)
    if reader is not None:
        network, described = reader
        _share_tables(network, load_network(output))
        _add_attribution(network, output)
        write_manifest(output, replace(manifest, attribution=described))
    return output


def export_attribution(folder: Path, output: Path) -> Path:
    """Adds a trained attribution network to a shipped model, in the same form; weights of the evidence stay.

    Args:
        folder: A folder made by ``train.attribution``.
        output: A folder made by ``export``; its manifest is rewritten.

    Returns:
        ``output``.

    Raises:
        ArtifactError: ``output`` is no shipped form, or its encoder has another shape.
    """
    manifest = read_manifest(output)
    if not (output / QUANTISED).is_file():
        raise ArtifactError(f"{output} has no {QUANTISED}: export the scoring network first")
    trained = AttributionModel.from_pretrained(folder, attn_implementation="sdpa")
    _add_attribution(trained, output)
    run = json.loads((folder / RUN).read_text(encoding="utf-8"))
    kept = {key: manifest.attribution[key] for key in ("evidence",) if key in manifest.attribution}
    write_manifest(output, replace(manifest, attribution={**run, **kept}))
    return output


def _reads_articles(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (CONFIG, QUANTISED, ATTRIBUTION_WEIGHTS))


def _share_tables(network: AttributionModel, scoring: DetenteModel) -> None:
    """Gives a network the scoring network's embeddings where they are the same but for rounding."""
    theirs = scoring.state_dict()
    for name, values in network.state_dict().items():
        if name.endswith("_embeddings.weight") and (values - theirs[name]).abs().mean() < _ROUNDING:
            values.copy_(theirs[name])


def _add_attribution(network: AttributionModel, output: Path) -> None:
    write_quantised(network, output / ATTRIBUTION_WEIGHTS, load_file(output / QUANTISED))
    weights = [QUANTISED, ATTRIBUTION_WEIGHTS]
    write_graph(load_attribution(output), output / ATTRIBUTION_ONNX, ATTRIBUTION_OUTPUTS, weights)


def write_quantised(
    network: nn.Module, path: Path, shared: Mapping[str, np.ndarray[Any, np.dtype[np.generic]]] | None = None
) -> None:
    """Stores all weights, large matrices in int8.

    A table (rows, columns) has one scale a row. The matrix of a product is stored as the graph reads it, (in, out),
    with one scale for each output.

    Args:
        network: Any network.
        path: A safetensors file to write.
        shared: Tensors that another file holds; those that are the same here are left out.
    """
    shared = shared or {}
    tables = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Embedding)}
    stored: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
    for name, tensor in network.state_dict().items():
        values = tensor.float().numpy()
        if is_quantised(values.shape):
            integers, scale = quantise_rows(values, LARGEST if name in tables else LARGEST_IN_PRODUCT)
            stored[name] = integers if name in tables else np.ascontiguousarray(integers.T)
            stored[name + SCALE_SUFFIX] = scale if name in tables else np.ascontiguousarray(scale.T)
        else:
            stored[name] = values
    kept = {
        name: values
        for name, values in stored.items()
        if not (name in shared and shared[name].dtype == values.dtype and np.array_equal(shared[name], values))
    }
    save_file(kept, path)
    logger.info("wrote %s: %d tensors, %.1f MiB", path, len(kept), path.stat().st_size / 2**20)


class _TupleOutput(nn.Module):
    """A network on sequences without padding, its outputs as a tuple in the order of the names."""

    def __init__(self, network: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        out = self.network(input_ids)
        return tuple(out[name] for name in self.outputs)


def write_graph(network: PreTrainedModel, path: Path, outputs: Sequence[str], weights: Sequence[str]) -> None:
    """Writes an ONNX graph on the weights beside it, with int8 activations scaled token by token.

    The graph takes ``input_ids`` (batch, seq), sequences of one length without padding.

    Args:
        network: The network, with the weights as they are stored.
        path: The ONNX file to write.
        outputs: Names of the outputs.
        weights: Names of the safetensors files in the same folder that hold the integers.
    """
    plain = path.with_suffix(".fp32")
    role = network.config.encoder.vocab_size if isinstance(network, DetenteModel) else 0
    ids = torch.tensor([[1, role, role + 1, 2, 3, 4]] * 2)
    longest = network.config.encoder.max_position_embeddings
    shapes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq", max=longest)}
    torch.onnx.export(
        _TupleOutput(network, outputs).eval(),
        (ids,),
        str(plain),
        input_names=["input_ids"],
        output_names=list(outputs),
        dynamic_shapes={"input_ids": shapes},
        opset_version=_OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    graph = point_to_files(quantise_graph(onnx.load(plain)), [path.parent / name for name in weights])
    onnx.save(strip_notes(graph), path)
    plain.unlink()


def strip_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Removes the exporter's notes: stack traces and paths of the machine that exported. Returns the same model."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model
