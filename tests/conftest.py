"""Shared by the tests: invented rows, a tiny base, a tiny trained artifact and its shipped form, golden files."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detente.config import RunConfig, load_config
from detente.corpus import write_parquet
from detente.records import LabelledStatement

if TYPE_CHECKING:
    from detente.classifier import Classifier

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is first imported: no test may wait for a network

ROOT = Path(__file__).parent.parent
WRITE_GOLDEN = "DETENTE_WRITE_GOLDEN"


def pytest_configure(config: pytest.Config) -> None:
    """Lets through what is not ours to mend.

    PEFT reads a property that transformers has renamed; torch's exporter copies a class that torch has renamed.
    """
    for message in ("`is_gradient_checkpointing` is deprecated", r"`isinstance\(treespec, LeafSpec\)` is deprecated"):
        config.addinivalue_line("filterwarnings", f"ignore:{message}:FutureWarning")


# text, stance, lowest and highest hostility level, sentiment; None where a source has no such label
TEMPLATES: tuple[tuple[str, str | None, int | None, int | None, str | None], ...] = (
    ("{s} said it welcomes the help of {c} and wants good relations.", "favour", 0, 0, "positive"),
    ("{s} will support {c}, a friend and an ally.", "favour", 0, 0, "positive"),
    ("{s} praised {c} for its aid.", "favour", 0, 2, None),
    ("{s} and {c} will meet for talks about the country's army.", "neutral", 0, 0, "neutral"),
    ("The minister of {s} calls on {c} today.", "neutral", 0, 0, None),
    ("{s} did not agree with the news from {c}.", "against", 1, 1, "neutral"),
    ("{s} accuses the government of {c} of a lie.", "against", 2, 2, "negative"),
    ("{s} calls {c} a regime of killers.", "against", 3, 3, "negative"),
    ("{s} will make {c} pay the price for the attack.", "against", 4, 4, "negative"),
    ("{s} must never threaten {c}, the world said.", None, None, None, "negative"),
)
TRAIN_PAIRS = (
    ("Norway", "Canada"),
    ("Kenya", "Portugal"),
    ("Chile", "Japan"),
    ("Norland", "Sudania"),
    ("Brazil", "Peru"),
    ("Ghana", "Iceland"),
)
VALIDATION_PAIRS = (("Estonia", "Malta"), ("Vietnam", "Uruguay"))
LEARNS: dict[str, object] = {
    "optimiser.epochs": 8,
    "optimiser.learning_rate": 3.0e-3,
    "optimiser.head_learning_rate": 3.0e-3,
    "optimiser.save_steps": 500,
}
"""Overrides with which the tiny network tells statements apart; barely trained, all its scores are alike."""


def make_rows(split: str) -> list[LabelledStatement]:
    """Invented rows of two sources in which every label stands, and every label is missing somewhere."""
    pairs = TRAIN_PAIRS if split == "train" else VALIDATION_PAIRS
    return [
        LabelledStatement(
            text=text.format(s=speaker, c=counterpart),
            speaker=speaker,
            counterpart=counterpart,
            source="invented" if stance is not None and sentiment is not None else "partial",
            id=f"{number}-{speaker}",
            split=split,
            group=f"{speaker}-{counterpart}",
            stance=stance,
            hostility_low=low,
            hostility_high=high,
            sentiment=sentiment,
        )
        for speaker, counterpart in pairs
        for number, (text, stance, low, high, sentiment) in enumerate(TEMPLATES)
    ]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a seeded base encoder with two layers."""
    import torch
    from tiny import build_tiny_base

    torch.set_num_threads(1)  # tiny tensors gain nothing from more, and sums keep their order
    folder = tmp_path_factory.mktemp("base")
    build_tiny_base(folder)
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with train.parquet (60 rows) and validation.parquet (20 rows)."""
    folder = tmp_path_factory.mktemp("corpus")
    for split in ("train", "validation"):
        write_parquet(make_rows(split), folder / f"{split}.parquet")
    return folder


MakeConfig = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def make_config(tiny_base: Path, corpus: Path) -> MakeConfig:
    """``make_config(output, **{"dotted.key": value})``: configs/tiny.yaml on the tiny base and the invented rows."""

    def make(output: Path, **overrides: Any) -> RunConfig:
        values = {
            "base.model": str(tiny_base),
            "base.sha256": None,
            "data.train": str(corpus / "train.parquet"),
            "data.validation": str(corpus / "validation.parquet"),
            "data.weights": {"invented": 1.0, "partial": 0.5},
            "output": str(output),
        }
        return load_config(ROOT / "configs" / "tiny.yaml", values | overrides)

    return make


@pytest.fixture(scope="session")
def trained(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny artifact as training writes it. Read only."""
    from detente.training import finetune

    return finetune(make_config(tmp_path_factory.mktemp("run"), **LEARNS))


@pytest.fixture(scope="session")
def shipped_form(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny artifact in its shipped form: a graph and layers. Read only."""
    from detente.export import export

    return export(trained, tmp_path_factory.mktemp("shipped") / "model")


@pytest.fixture(scope="session")
def classifier(shipped_form: Path) -> "Classifier":
    """The shipped form on ONNX."""
    from detente.classifier import Classifier

    return Classifier.from_pretrained(shipped_form)


@pytest.fixture(scope="session")
def torch_classifier(trained: Path) -> "Classifier":
    """The trained form on torch."""
    from detente.classifier import Classifier

    return Classifier.from_pretrained(trained, backend="torch")


@pytest.fixture(scope="session")
def golden() -> Callable[[str, Any], Any]:
    """``golden(name, found)``: what tests/golden/<name>.json holds.

    With DETENTE_WRITE_GOLDEN set the file is written anew, and what it held before is returned, so that a change shows
    and fails.
    """

    def read(name: str, found: Any) -> Any:
        path = ROOT / "tests" / "golden" / f"{name}.json"
        fresh = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
        before = path.read_text(encoding="utf-8") if path.is_file() else None
        if os.environ.get(WRITE_GOLDEN):
            path.parent.mkdir(exist_ok=True)
            path.write_text(fresh, encoding="utf-8")
            before = before or fresh
        assert before is not None, f"{path} is missing: make golden writes it"
        return json.loads(before)

    return read
