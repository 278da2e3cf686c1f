"""Backends: ONNX against torch, the same numbers in any company, and errors that say what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from detente.artifact import ONNX, QUANTISED, TOKENIZER, WEIGHTS, ArtifactError, hash_file, read_manifest
from detente.classifier import Classifier
from detente.encoding import StatementEncoder, load_tokenizer
from detente.records import Statement
from detente.runtime import (
    Runtime,
    TorchRuntime,
    find_base,
    group_by_length,
    load_network,
    open_runtime,
    stack_logits,
)

TORCH_TOLERANCE = 1e-5
INT8_TOLERANCE = 0.05
"""On probabilities of the tiny network, whose 32 channels are harder to quantise than the released ones."""

TEXTS = (
    "Norway welcomes the help of Canada.",
    "They will pay the price.",
    "Canada said: no. The Norwegians are never to be our friends, and Ottawa must not threaten Oslo with war again!",
    "Talks.",
    "Despite all these hostile outbursts we want good relations with the government of Canada.",
)


@pytest.fixture(scope="module")
def sequences(shipped_form: Path) -> list[list[int]]:
    """Token ids of statements of different lengths."""
    manifest = read_manifest(shipped_form)
    encoder = StatementEncoder(
        load_tokenizer(str(shipped_form / "tokenizer.json")),
        max_tokens=manifest.max_tokens,
        overlap_tokens=manifest.overlap_tokens,
    )
    found = encoder.encode([Statement(text, "Norway", "Canada") for text in TEXTS])
    return [window.ids for windows in found for window in windows]


@pytest.fixture(scope="module")
def onnx(shipped_form: Path) -> Runtime:
    return open_runtime(shipped_form, backend="onnx", device=None)


@pytest.fixture(scope="module")
def torch_runtime(shipped_form: Path) -> Runtime:
    return open_runtime(shipped_form, backend="torch", device="cpu")


def test_shapes_and_order(onnx: Runtime, torch_runtime: Runtime, sequences: list[list[int]]) -> None:
    for runtime in (onnx, torch_runtime):
        logits = stack_logits(runtime.run(sequences))
        assert {head: (p.shape[1], p.dtype) for head, p in logits.items()} == {
            "stance": (3, np.float64),
            "hostility": (5, np.float64),
            "sentiment": (3, np.float64),
        }
        assert all(len(p) == len(sequences) for p in logits.values())
        assert np.ptp(logits["stance"], axis=0).max() > 1e-4, "every text has the same score: the tests see nothing"


def test_onnx_agrees_with_torch(shipped_form: Path) -> None:
    """The graph and the layers are one model: only the rounding of activations stands between them."""
    statements = [Statement(text, "Norway", "Canada") for text in TEXTS]
    graph, network = (Classifier.from_pretrained(shipped_form, backend=b) for b in ("onnx", "torch"))
    for found, expected in zip(graph.score_many(statements), network.score_many(statements), strict=True):
        assert found.stance_probs == pytest.approx(expected.stance_probs, abs=INT8_TOLERANCE)
        assert found.hostility_probs == pytest.approx(expected.hostility_probs, abs=INT8_TOLERANCE)
        assert found.sentiment_probs == pytest.approx(expected.sentiment_probs, abs=INT8_TOLERANCE)


def test_onnx_gives_exactly_the_same_numbers_in_any_company(onnx: Runtime, sequences: list[list[int]]) -> None:
    together = stack_logits(onnx.run(sequences))
    backwards = stack_logits(onnx.run(sequences[::-1]))
    crowd = stack_logits(onnx.run([*sequences, *sequences[:1] * 20]))
    for i, sequence in enumerate(sequences):
        alone = stack_logits(onnx.run([sequence]))
        for head, logits in together.items():
            assert np.array_equal(alone[head][0], logits[i])
            assert np.array_equal(backwards[head][-1 - i], logits[i])
            assert np.array_equal(crowd[head][i], logits[i])


def test_torch_gives_the_same_numbers_in_any_company(torch_runtime: Runtime, sequences: list[list[int]]) -> None:
    together = stack_logits(torch_runtime.run(sequences))
    for i, sequence in enumerate(sequences):
        for head, logits in stack_logits(torch_runtime.run([sequence])).items():
            np.testing.assert_allclose(together[head][i], logits[0], atol=TORCH_TOLERANCE, rtol=0)


def test_backend_is_chosen_by_what_the_folder_has(trained: Path, shipped_form: Path) -> None:
    assert Classifier.from_pretrained(shipped_form).backend == "onnx"
    assert Classifier.from_pretrained(shipped_form, device="cpu").backend == "onnx"
    assert Classifier.from_pretrained(trained).backend == "torch"
    assert Classifier.from_pretrained(trained).device == "cpu"


def test_backend_and_device_errors(trained: Path, shipped_form: Path) -> None:
    with pytest.raises(ValueError, match="backend must be 'onnx' or 'torch', found 'tensorflow'"):
        Classifier.from_pretrained(shipped_form, backend="tensorflow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"onnx backend runs on the CPU, found device 'cuda'.*backend='torch'"):
        Classifier.from_pretrained(shipped_form, backend="onnx", device="cuda")
    with pytest.raises(ArtifactError, match=r"has no model\.int8\.onnx: run `python -m train\.export"):
        Classifier.from_pretrained(trained, backend="onnx")


def test_graph_alone_cannot_run_on_torch(shipped_form: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shipped_form, tmp_path / "model", ignore=shutil.ignore_patterns(QUANTISED)))
    with pytest.raises(ArtifactError, match=r"neither model\.safetensors nor weights\.int8\.safetensors"):
        load_network(folder)
    assert (folder / ONNX).is_file()


def test_another_base_is_refused(tiny_base: Path) -> None:
    with pytest.raises(ArtifactError, match=r"expected 0{64}: this is another base encoder"):
        find_base(str(tiny_base), None, "0" * 64)
    right = hash_file(tiny_base / WEIGHTS)
    assert find_base(str(tiny_base), None, right) == tiny_base


def test_base_without_its_files_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_base, tmp_path / "base", ignore=shutil.ignore_patterns(TOKENIZER)))
    with pytest.raises(ArtifactError, match=r"has no tokenizer\.json: save it by transformers' save_pretrained"):
        find_base(str(folder), None, None)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ArtifactError, match=r"has no model\.safetensors and no tokenizer\.json"):
        find_base(str(folder), None, None)


@pytest.fixture
def carry(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """``carry(name)`` makes an importable package that carries the tiny base; its folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str) -> Path:
        shutil.copytree(tiny_base, tmp_path / name / "model")
        (tmp_path / name / "__init__.py").touch()
        return tmp_path / name / "model"

    return make


def test_find_base_takes_folder_then_package_then_hub(tiny_base: Path, carry: Callable[[str], Path]) -> None:
    carried = carry("carried_base")
    sha256 = hash_file(tiny_base / WEIGHTS)
    assert find_base(str(tiny_base), None, sha256, "carried_base") == tiny_base
    assert find_base("nobody/no-such-base", None, sha256, "carried_base") == carried
    for sha256_given, package in ((None, "carried_base"), (sha256, None), (sha256, "no_such_package")):
        with pytest.raises(ArtifactError, match=r"no folder and the hub did not give it out.*detente\[base\]"):
            find_base("nobody/no-such-base", None, sha256_given, package)


def test_package_with_another_base_does_not_stop_the_search(carry: Callable[[str], Path]) -> None:
    """A package that happens to be installed is no reason to refuse a base that the hub has."""
    carry("other_base")
    with pytest.raises(ArtifactError, match="the hub did not give it out"):
        find_base("nobody/no-such-base", None, "0" * 64, "other_base")


class ScarceNetwork(torch.nn.Module):
    """Has memory for so many tokens at once; the logits are the mean and the length of each sequence."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.sizes: list[int] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        self.sizes.append(input_ids.numel())
        if input_ids.numel() > self.tokens:
            raise torch.OutOfMemoryError("out of memory")
        length = attention_mask.sum(1)
        return SimpleNamespace(out=torch.stack([(input_ids * attention_mask).sum(1) / length, length], dim=1))


def test_batch_that_does_not_fit_is_run_in_smaller_ones(caplog: pytest.LogCaptureFixture) -> None:
    network = ScarceNetwork(100)
    runtime = TorchRuntime(network, "cpu", ["out"])  # type: ignore[arg-type]  # what it needs of a network
    sequences = [[i + 1] * (3 + i % 40) for i in range(60)]
    found = runtime.run(sequences)
    assert [(output["out"][0], output["out"][1]) for output in found] == [(s[0], len(s)) for s in sequences]
    assert "out of memory on cpu: batches of" in caplog.text
    failures = sum(size > 100 for size in network.sizes)
    assert 0 < failures < 10
    network.sizes.clear()
    runtime.run(sequences)
    assert max(network.sizes) <= 100, "later batches are as small"


def test_sequence_that_does_not_fit_alone_is_an_error() -> None:
    runtime = TorchRuntime(ScarceNetwork(10), "cpu", ["out"])  # type: ignore[arg-type]  # likewise
    with pytest.raises(torch.OutOfMemoryError):
        runtime.run([[1] * 50])


def test_groups_have_one_length_and_hold_every_sequence_once() -> None:
    sequences = [[0] * (i * 7 % 23 + 1) for i in range(200)]
    batches = group_by_length(sequences, 40)
    assert sorted(i for batch in batches for i in batch) == list(range(200))
    assert all(len({len(sequences[i]) for i in batch}) == 1 for batch in batches)
    assert all(len(batch) == 1 or len(batch) * len(sequences[batch[0]]) <= 40 for batch in batches)
    coarse = group_by_length(sequences, 40, step=8)
    assert all(len({-(-len(sequences[i]) // 8) for i in batch}) == 1 for batch in coarse)
