"""The attribution network: labels, loss, a tiny run that learns, and its shipped form on both backends."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT

from detente import quantisation
from detente.article.attribution import ArticleTokens, tokenise_article
from detente.article.network import AttributionOutput
from detente.article.spans import AttributedArticle, Attribution, Span, write_articles
from detente.artifact import ATTRIBUTION_ONNX, ATTRIBUTION_WEIGHTS, ArtifactError, check_files, read_manifest
from detente.attribution_training import label_windows, measure_attribution_loss, train_attribution
from detente.classifier import Classifier
from detente.config import AttributionRunConfig, load_config
from detente.encoding import load_tokenizer
from detente.export import export, export_attribution
from detente.losses import MISSING

NAMES = ("Norway", "Canada", "Kenya", "Chile")
SAYINGS = ("they must never threaten us with war", "we want good relations", "no friends lie", "the price is war")


def make_article(number: int) -> AttributedArticle:
    """Three sentences of the kind "X said Y ."; every name and saying in turn."""
    text, attributions = "", []
    for k in range(3):
        name, saying = NAMES[(number + k) % 4], SAYINGS[(number * 3 + k) % 4]
        start = len(text)
        text += f"{name} said {saying}. "
        said = start + len(name) + 1
        content = Span(said + 5, said + 5 + len(saying))
        attributions.append(Attribution((content,), (Span(start, start + len(name)),), (Span(said, said + 4),)))
    return AttributedArticle(str(number), text, tuple(attributions), "train")


@pytest.fixture(scope="module")
def config(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> AttributionRunConfig:
    folder = tmp_path_factory.mktemp("attribution")
    for split in ("train", "validation"):
        write_articles([make_article(n) for n in range(24)], folder / f"{split}.parquet")
    values = {
        "output": str(folder / "run"),
        "train": str(folder / "train.parquet"),
        "validation": str(folder / "validation.parquet"),
        "base.model": str(tiny_base),
        "base.sha256": None,
        "encoding.max_tokens": 32,
        "encoding.overlap_tokens": 8,
        "epochs": 25,
        "learning_rate": 5.0e-3,
        "head_learning_rate": 5.0e-3,
        "bf16": False,
    }
    return load_config(ROOT / "configs" / "attribution.yaml", values, kind=AttributionRunConfig)


@pytest.fixture(scope="module")
def network(config: AttributionRunConfig) -> Path:
    return train_attribution(config)


@pytest.fixture(scope="module")
def reader(trained: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny artifact in its shipped form that reads articles."""
    return export_attribution(network, export(trained, tmp_path_factory.mktemp("reader") / "model"))


def test_windows_cover_the_article_and_carry_its_labels(tiny_base: Path) -> None:
    article = make_article(0)
    tokenizer = load_tokenizer(str(tiny_base / "tokenizer.json"))
    tokens = tokenise_article(article.text, tokenizer, max_tokens=12, overlap_tokens=4)
    assert tokens.windows[0][0] == 0 and tokens.windows[-1][1] == len(tokens.ids)
    assert all(b[0] == a[1] - 4 for a, b in zip(tokens.windows, tokens.windows[1:], strict=False))
    for window, sequence in zip(label_windows(article, tokens), tokens.sequences(), strict=True):
        assert window["input_ids"] == sequence
        for rows in (window["tags"], window["spans"], window["points"]):
            assert all(len(row) == len(sequence) for row in rows)
        assert all(row[0] == row[-1] == MISSING for row in window["tags"])
        for spans, points in zip(window["spans"], window["points"], strict=True):
            assert {p for p in points if p > 0} <= set(spans), "a pointer to a span outside the window"


def test_a_content_without_source_points_to_none() -> None:
    article = AttributedArticle("a", "no war", (Attribution((Span(0, 6),)),), "train")
    tokens = ArticleTokens("no war", [5, 6], [(0, 2), (3, 6)], [(0, 2)], 1, 2)
    (window,) = label_windows(article, tokens)
    assert window["points"] == [[-1, 0, 0, -1]] * 2
    assert window["spans"] == [[0, -1, -1, -1]] * 2


def test_loss_falls_as_the_right_span_is_pointed_at() -> None:
    tags = torch.zeros(1, 3, 4, dtype=torch.long)
    spans = torch.tensor([[[0, 1, 1, -1]] * 2])
    points = torch.tensor([[[-1, -1, -1, 1]] * 2])

    def loss(target: int) -> float:
        links = torch.zeros(1, 2, 4, 4)
        links[..., target] = 9.0
        out = AttributionOutput(tags=torch.zeros(1, 4, 3, 3), links=links)
        return float(measure_attribution_loss(out, tags, spans, points, 1.0))

    assert loss(1) == pytest.approx(loss(2)) and loss(1) < loss(0) - 4
    assert loss(1) == pytest.approx(3 * np.log(3) + 0.0005, abs=0.002)


def test_tiny_run_learns_and_both_backends_agree(reader: Path) -> None:
    check_files(reader, read_manifest(reader))
    right = expected = 0
    graph, torch_reader = (Classifier.from_pretrained(reader, backend=b) for b in ("onnx", "torch"))
    for number in range(8):
        article = make_article(number)
        found = graph.attribute(article.text)
        right += len(set(found) & set(article.attributions))
        expected += len(article.attributions)
        assert torch_reader.attribute(article.text) == found
    assert right > 0.8 * expected


def test_reading_scores_what_was_found(reader: Path) -> None:
    article = make_article(0)
    reading = Classifier.from_pretrained(reader).read(article.text, date="2026-01-02")
    assert [s.speaker.party for s in reading.statements if s.speaker] == ["Norway", "Canada", "Kenya"]
    assert reading.model_version == read_manifest(reader).model_version
    json.dumps(reading.to_dict())


def test_tables_are_shared(trained: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantisation, "_MIN_VALUES", 100)
    folder = export_attribution(network, export(trained, tmp_path / "model"))
    from safetensors.numpy import load_file

    stored = load_file(folder / ATTRIBUTION_WEIGHTS)
    assert not [name for name in stored if "word_embeddings" in name]
    graph = onnx.load(folder / ATTRIBUTION_ONNX, load_external_data=False).graph
    places = {e.value for i in graph.initializer for e in i.external_data if e.key == "location"}
    assert places == {"weights.int8.safetensors", ATTRIBUTION_WEIGHTS}


def test_a_model_without_the_network_says_so(shipped_form: Path, trained: Path, network: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"cannot read articles, as it has no attribution\.int8\.safetensors"):
        Classifier.from_pretrained(shipped_form).read("Norway said no.")
    with pytest.raises(ArtifactError, match="export the scoring network first"):
        export_attribution(network, Path(shutil.copytree(trained, tmp_path / "trained")))


def test_another_config_does_not_resume(config: AttributionRunConfig, network: Path) -> None:
    import dataclasses

    assert network.is_dir()
    with pytest.raises(ValueError, match="checkpoints of a run with another config"):
        train_attribution(dataclasses.replace(config, seed=2))
