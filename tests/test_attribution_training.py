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
from detente.article.attribution import LINKS, ArticleTokens, tokenise_article
from detente.article.gold import GoldArticle, read_gold, rename
from detente.article.network import AttributionOutput
from detente.article.spans import SPAN_KINDS, AttributedArticle, Attribution, Span, write_articles
from detente.artifact import ATTRIBUTION_ONNX, ATTRIBUTION_WEIGHTS, ArtifactError, check_files, read_manifest
from detente.attribution_training import (
    collate,
    label_gold,
    label_windows,
    measure_attribution_loss,
    measure_party_loss,
    train_attribution,
)
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


def make_gold(number: int) -> dict[str, object]:
    """The same article with what we label ourselves: each speaks of the one who spoke before."""
    article = make_article(number)
    names = [NAMES[(number + k) % 4] for k in range(3)]
    found = zip(article.attributions, names, [names[-1], *names], strict=False)
    return {
        "id": f"gold-{number}",
        "genre": "wire report",
        "date": "2026-01-01",
        "text": article.text,
        "parties": dict.fromkeys(names, "state"),
        "forms": {name: [name] for name in names},
        "people": {},
        "statements": [
            {
                "content": [article.text[a.content[0].start : a.content[0].end]],
                "voice": "indirect",
                "speaker": name,
                "speaker_party": name,
                "cue": "said",
                "counterparts": [{"party": other, "stance": "against", "hostility": 1}],
            }
            for a, name, other in found
        ],
    }


@pytest.fixture(scope="module")
def config(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> AttributionRunConfig:
    folder = tmp_path_factory.mktemp("attribution")
    for split in ("train", "validation"):
        write_articles([make_article(n) for n in range(24)], folder / f"{split}.parquet")
    (folder / "gold.jsonl").write_text("".join(json.dumps(make_gold(n)) + "\n" for n in range(24)))
    values = {
        "gold": str(folder / "gold.jsonl"),
        "gold_repeats": 1,
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
        assert all(set(row) == {MISSING} for row in window["tags"][3:]), "PolNeAR says nothing of acts and names"
        for spans, points in zip(window["spans"], window["points"], strict=True):
            assert {p for p in points if p > 0} <= set(spans), "a pointer to a span outside the window"


def test_a_content_without_source_points_to_none() -> None:
    article = AttributedArticle("a", "no war", (Attribution((Span(0, 6),)),), "train")
    tokens = ArticleTokens("no war", [5, 6], [(0, 2), (3, 6)], [(0, 2)], 1, 2)
    (window,) = label_windows(article, tokens)
    assert window["points"] == [[-1, 0, 0, -1]] * 2
    assert window["spans"] == [[0, -1, -1, -1]] * 2


def batch_of(**changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """One window of four tokens; token 3 points to the span of tokens 1 and 2."""
    nothing = torch.full((1, len(LINKS) - 3, 4), -1)
    return {
        "tags": torch.zeros(1, len(SPAN_KINDS), 4, dtype=torch.long),
        "spans": torch.tensor([[[0, 1, 1, -1]] * 2]),
        "points": torch.tensor([[[-1, -1, -1, 1]] * 2]),
        "names": nothing,
        "unit_rows": torch.zeros(0, 2, dtype=torch.long),
        "unit_tokens": torch.zeros(0, 4),
        "unit_sources": torch.zeros(0, 4),
        "is_private": torch.zeros(0),
        "speakers": torch.zeros(0, 1),
        "counterparts": torch.zeros(0, 1),
        **changes,
    }


def test_loss_falls_as_the_right_span_is_pointed_at() -> None:
    def loss(target: int) -> float:
        links = torch.zeros(1, len(LINKS), 4, 4)
        links[..., target] = 9.0
        out = AttributionOutput(tags=torch.zeros(1, 4, len(SPAN_KINDS), 3), links=links)
        return float(measure_attribution_loss(out, batch_of(), 1.0))

    assert loss(1) == pytest.approx(loss(2)) and loss(1) < loss(0) - 4
    assert loss(1) == pytest.approx(len(SPAN_KINDS) * np.log(3) + 0.0005, abs=0.002)


def point_to(**logits: list[float]) -> torch.Tensor:
    """Logits (1, links, 4, 4) by link, the same from each token."""
    links = torch.zeros(1, len(LINKS), 4, 4)
    for link, row in logits.items():
        links[0, LINKS.index(link)] = torch.tensor(row)
    return links


def test_party_loss_knows_speaker_affiliation_and_counterparts() -> None:
    # Token 1 names party 0, token 2 a person who speaks for it; token 3 is a statement of party 0 toward party 1.
    batch = batch_of(
        names=torch.tensor([[[-1, 0, 0, 1], [-1, 0, -1, 1]]]),
        unit_rows=torch.tensor([[0, 0], [0, 1]]),
        unit_tokens=torch.tensor([[0, 0, 0, 1.0], [0, 0, 1.0, 0]]),
        unit_sources=torch.zeros(2, 4),
        is_private=torch.zeros(2),
        speakers=torch.tensor([[1.0, 0], [1.0, 0]]),
        counterparts=torch.tensor([[0, 1.0], [0, 0]]),
    )
    right = point_to(speaker=[-9, 9, 9, -9], affiliation=[-9, 9, -9, -9], counterpart=[0, -12, -12, 12])
    assert float(measure_party_loss(right, batch)) < 0.01
    for wrong in (
        {"speaker": [9, -9, -9, -9]},
        {"speaker": [-9, -9, -9, 9]},
        {"affiliation": [-9, -9, 9, -9]},  # the person's own name is no party
        {"counterpart": [0, -9, -9, -9]},
    ):
        row = {"speaker": [-9, 9, 9, -9], "affiliation": [-9, 9, -9, -9], "counterpart": [0, -9, -9, 9], **wrong}
        assert float(measure_party_loss(point_to(**row), batch)) > 4, wrong


def test_a_private_person_speaks_for_nobody() -> None:
    batch = batch_of(
        names=torch.tensor([[[-1, 0, 0, -1], [-1, -1, -1, -1]]]),
        unit_rows=torch.tensor([[0, 1]]),
        unit_tokens=torch.tensor([[0, 0.5, 0.5, 0]]),
        unit_sources=torch.zeros(1, 4),
        is_private=torch.zeros(1),
        speakers=torch.zeros(1, 1),
        counterparts=torch.zeros(1, 1),
    )
    assert float(measure_party_loss(point_to(affiliation=[9, -9, -9, -9]), batch)) < 0.01
    assert float(measure_party_loss(point_to(affiliation=[-9, 9, -9, -9]), batch)) > 4


GOLD = {
    "id": "a",
    "genre": "wire report",
    "date": "2026-01-01",
    "text": 'OSLO - "Chile lied," Ana Vik, of Norway, said. She left.',
    "parties": {"Norway": "state", "Chile": "state"},
    "forms": {"Norway": ["Norway", "Oslo"], "Chile": ["Chile"]},
    "people": {"Ana Vik": "Norway"},
    "statements": [
        {
            "content": ["Chile lied,"],
            "voice": "direct",
            "speaker": "Ana Vik, of Norway",
            "speaker_party": "Norway",
            "cue": "said",
            "counterparts": [{"party": "Chile", "stance": "against", "hostility": 2}],
        }
    ],
}


@pytest.fixture
def gold(tmp_path: Path) -> GoldArticle:
    (tmp_path / "gold.jsonl").write_text(json.dumps(GOLD))
    (article,) = read_gold(tmp_path / "gold.jsonl")
    return article


def test_names_stand_where_the_forms_say(gold: GoldArticle) -> None:
    assert [(gold.text[s.start : s.end], party, person) for s, party, person in gold.find_names()] == [
        ("OSLO", "Norway", False),
        ("Chile", "Chile", False),
        ("Ana Vik", "Norway", True),
        ("Norway", "Norway", False),
    ]


def test_other_names_move_every_span_along(gold: GoldArticle) -> None:
    other = rename(gold, 1, ["Bertha Quist-Larsen", "Cem Ode"])
    assert not {"Norway", "Chile", "OSLO", "Ana Vik"} & set(other.text.replace(",", "").split())
    (before,), (after,) = gold.statements, other.statements
    assert other.text[after.content[0].start : after.content[0].end].endswith(" lied,")
    assert after.speaker is not None and other.text[after.speaker.start : after.speaker.end] == (
        f"{next(iter(other.people))}, of {after.speaker_party}"
    )
    assert list(after.counterparts.values()) == list(before.counterparts.values())
    assert len(other.find_names()) == 4 and rename(gold, 1, ["Bertha Quist-Larsen", "Cem Ode"]) == other


def test_gold_articles_become_windows(gold: GoldArticle, tiny_base: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_base / "tokenizer.json"))
    tokens = tokenise_article(gold.text, tokenizer, max_tokens=64, overlap_tokens=8)
    (window,) = label_gold(gold, tokens)
    rows = dict(zip(SPAN_KINDS, window["tags"], strict=True))
    assert not any(tag > 0 for tag in rows["act"] + rows["view"]) and sum(tag == 1 for tag in rows["party"]) == 3
    assert sum(tag == 1 for tag in rows["person"]) == 1
    assert [(u.link, u.speakers, u.counterparts, bool(u.source)) for u in window["units"]] == [
        ("affiliation", [0], [], False),
        ("statement", [0], [1], True),
    ]
    batch = collate([window, window])
    assert batch["unit_rows"].tolist() == [[0, 1], [0, 0], [1, 1], [1, 0]]
    assert batch["unit_tokens"].sum(1).tolist() == pytest.approx([1.0] * 4)


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


def test_another_scoring_network_keeps_the_one_that_reads(
    trained: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "_MIN_VALUES", 100)
    folder = export_attribution(network, export(trained, tmp_path / "model"))
    before = read_manifest(folder)
    stored = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    text = make_article(0).text
    found = Classifier.from_pretrained(folder).attribute(text)
    export(trained, folder)
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == stored
    assert read_manifest(folder).attribution == before.attribution
    check_files(folder, read_manifest(folder))
    assert Classifier.from_pretrained(folder).attribute(text) == found != []


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
