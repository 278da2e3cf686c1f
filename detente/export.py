"""A trained folder to the shipped form: an int8 ONNX graph, and an adapter on the base encoder."""

import logging
import shutil
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from detente.artifact import ADAPTER, CONFIG, ONNX, TOKENIZER, WEIGHTS, ArtifactError, read_manifest, write_manifest
from detente.labels import HEADS
from detente.model import HEAD_MODULES, DetenteModel, build_model
from detente.runtime import find_base, load_network

logger = logging.getLogger(__name__)


def export(folder: Path, output: Path, *, adapter_rank: int) -> Path:
    """Writes the shipped form of a trained folder.

    The change that training made to each linear layer of the encoder is cut to ``adapter_rank`` by singular values and
    stored as a PEFT adapter; the graph is made from the network with that cut change, so that both forms are one model.

    Args:
        folder: An artifact with ``model.safetensors``.
        output: Folder to write; emptied first.
        adapter_rank: Rank of the adapter.

    Returns:
        ``output``.

    Raises:
        ArtifactError: ``folder`` is no complete artifact or lies in ``output``, or its base cannot be found.
    """
    if folder.resolve().is_relative_to(output.resolve()):
        raise ArtifactError(
            f"the output {output} holds the model {folder}, and would be emptied: choose another folder"
        )
    manifest = read_manifest(folder)
    base = find_base(manifest.base_model, manifest.base_revision, manifest.base_sha256)
    trained = load_network(folder, manifest)
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    for name in (TOKENIZER, CONFIG):
        shutil.copy(folder / name, output / name)
    write_adapter(trained, base, output / ADAPTER, adapter_rank)
    write_graph(load_network(output, manifest), output / ONNX)
    write_manifest(output, manifest)
    return output


def write_adapter(trained: DetenteModel, base: Path, output: Path, rank: int) -> None:
    """Stores a trained network as a PEFT adapter on its base, in half precision.

    Linear layers of the encoder get a low-rank change; biases, layer norms, role tokens and heads are stored whole.

    Raises:
        ArtifactError: Training changed something else, such as the word embeddings: the adapter could not carry it.
    """
    network = build_model(str(base))
    linear = [n for n, m in network.named_modules() if isinstance(m, nn.Linear) and n.startswith("encoder.")]
    norms = [n for n, m in network.named_modules() if isinstance(m, nn.LayerNorm)]
    whole = (*HEAD_MODULES, *norms)
    source = trained.state_dict()
    for name, tensor in network.state_dict().items():
        carried = name.startswith(whole) or name.endswith(".bias") or name.removesuffix(".weight") in linear
        if not carried and not torch.equal(tensor, source[name]):
            raise ArtifactError(
                f"{name} differs from the base encoder's: train with freeze_embeddings, or ship {WEIGHTS}"
            )
    adapted = get_peft_model(
        network, LoraConfig(r=rank, lora_alpha=rank, target_modules=linear, modules_to_save=list(whole), bias="all")
    )
    kept = total = 0.0
    with torch.no_grad():
        for name, parameter in adapted.base_model.model.named_parameters():
            origin = name.replace("base_layer.", "").replace("modules_to_save.default.", "")
            if origin in source and origin.removesuffix(".weight") not in linear:
                parameter.copy_(source[origin])
        for name in linear:
            layer = adapted.base_model.model.get_submodule(name)
            u, s, v = torch.linalg.svd(source[f"{name}.weight"] - layer.base_layer.weight, full_matrices=False)
            used = min(rank, len(s))
            root = s[:used].sqrt()
            layer.lora_B["default"].weight.zero_()[:, :used] = u[:, :used] * root
            layer.lora_A["default"].weight.zero_()[:used] = root[:, None] * v[:used]
            kept += float(s[:rank].square().sum())
            total += float(s.square().sum())
    logger.info(
        "rank %d keeps %.1f %% of the squared change of the linear layers", rank, 100 * kept / max(total, 1e-12)
    )
    adapted.half().save_pretrained(output)


class _TupleOutput(nn.Module):
    """The network with its outputs as a tuple, in the order of the heads: what the ONNX exporter takes."""

    def __init__(self, network: DetenteModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        out = self.network(input_ids, attention_mask)
        return tuple(out[head] for head in HEADS)


def write_graph(network: DetenteModel, path: Path) -> None:
    """Writes an ONNX graph with int8 weights (one scale a channel) and dynamically quantised activations."""
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
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)
    plain.unlink()
