"""The model card: every figure of the report stands in it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from detente.artifact import read_manifest
from detente.modelcard import HEADLINES, render_card


def make_report() -> dict[str, Any]:
    """A report with another figure in every place."""
    figures = {
        "rows": 40,
        "macro_f1": 0.6123,
        "macro_f1_interval": [0.5511, 0.6722],
        "calibration_error": 0.0421,
    }
    return {
        "model": "tiny",
        "backend": "onnx",
        "splits": ["validation"],
        "evaluation": {
            "headline": {key: 0.51 + i / 100 for i, key in enumerate(HEADLINES)},
            "sources": {"invented": {"rows": 60, "stance": figures}},
        },
        "swap": {"rows": 33.0, "mean": 0.0125, "max": 0.25},
        "calibration": {"rows": 77.0, "uncalibrated": 0.091, "shipped": 0.01, "cross_fitted": 0.023},
        "baselines": {"majority": {"headline": {"dse_micro_f1": 0.333}}},
        "behaviour": {"pairs": 240, "ordered": 0.845, "phenomena": {"irony": 0.5, "denial": 0.95}},
    }


def test_card_states_every_figure(trained: Path) -> None:
    manifest = replace(read_manifest(trained), sources={"invented": "CC0-1.0"})
    card = render_card(manifest, make_report())
    for i, (text, factor) in enumerate(HEADLINES.values()):
        figure = (0.51 + i / 100) * factor
        row = next(line for line in card.splitlines() if text in line)
        assert f"| {figure:.1f} |" in row or f"| {figure:.3f} |" in row
    for stated in (
        manifest.model_version,
        manifest.base_model,
        "| invented | 1.0 | CC0-1.0 |",
        "| partial | 0.5 | none stated |",
        "| 33.3 |",
        "| invented | stance | 40 | 0.612 | 0.551 to 0.672 | 0.042 |",
        "0.013 on average and by 0.25 at most",
        "33 directed DSE rows",
        "84.5% of 240",
        "irony 50%, denial 95%",
        "0.091 before",
        "0.023 after",
        f"below confidence {manifest.calibration.review_below:.2f}",
    ):
        assert stated in card, stated
    for digest in manifest.data_sha256.values():
        assert digest[:16] in card


def test_card_says_how_the_weights_came_about(trained: Path) -> None:
    manifest = read_manifest(trained)
    assert "mean of" not in render_card(manifest, make_report())
    run = {
        **manifest.run,
        "average_of": {"a-1": {}, "b-2": {}},
        "distilled": {"teachers": ["a-1", "b-2"], "start": "average-3", "statements": 16_000},
    }
    card = render_card(replace(manifest, run=run), make_report())
    assert "the mean of 2 fine-tuned networks: a-1, b-2." in card
    assert "learnt what a-1, b-2 say on average of 16,000 statements" in card


def test_card_leaves_out_what_was_not_measured(trained: Path) -> None:
    report = make_report() | {"baselines": {}}
    del report["behaviour"]
    report["evaluation"]["headline"] = {"dse_micro_f1": 0.61}
    card = render_card(read_manifest(trained), report)
    assert "Behaviour pairs" not in card and "MPQA" not in card
    assert f"| {HEADLINES['dse_micro_f1'][0]} | 61.0 |" in card


def test_tables_have_as_many_cells_as_their_header(trained: Path) -> None:
    for baselines in ({}, {"majority": {"headline": {}}}, {"majority": {"headline": {}}, "vader": {"headline": {}}}):
        card = render_card(read_manifest(trained), make_report() | {"baselines": baselines})
        for block in card.split("\n\n"):
            if block.startswith("|"):
                assert len({line.count("|") for line in block.splitlines()}) == 1, block
