"""Two versions on the same statements: what moved, and thresholds that keep their meaning."""

import json
from pathlib import Path

import numpy as np
import pytest

from detente.comparison import compare_files, move_threshold
from detente.modelcard import render_comparison
from detente.records import StatementError


def write(path: Path, version: str, stances: list[float | None]) -> Path:
    rows = [
        {
            "text": f"News {i}.",
            "stance": stance,
            "stance_label": None if stance is None else ("against" if stance < 0 else "favour"),
            "hostility": 0.5,
            "hostility_level": "criticism",
            "sentiment_label": "neutral",
            "needs_review": False,
            "model_version": version,
            "error": "too long" if stance is None else None,
        }
        for i, stance in enumerate(stances)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_moved(tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", "m-1", [-0.8, -0.4, 0.2, 0.6, None])
    new = write(tmp_path / "new.jsonl", "m-2", [-0.9, 0.1, 0.2, 0.6, 0.3])
    found = compare_files(old, new)
    assert (found["rows"], found["left_out"], found["versions"]) == (4, 1, ["m-1", "m-2"])
    assert found["changed"] == {
        "stance_label": 0.25,
        "hostility_level": 0.0,
        "sentiment_label": 0.0,
        "needs_review": 0.0,
    }
    assert found["stance"]["mean_change"] == pytest.approx(0.15) and found["hostility"]["mean_change"] == 0
    page = render_comparison(found)
    assert page.startswith("# m-1 to m-2") and "| stance_label | 25.0 % |" in page


def test_threshold_keeps_the_share_beyond_it() -> None:
    before = np.random.default_rng(1).normal(0, 0.3, 5_000)
    after = 0.5 * before + 0.1
    assert move_threshold(before, after, 0.4) == pytest.approx(0.3, abs=0.01)


def test_other_statements_are_refused(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old.jsonl", "m-1", [0.1, 0.2]), write(tmp_path / "new.jsonl", "m-2", [0.1, 0.2, 0.3])
    with pytest.raises(StatementError, match="differ from row 3 on"):
        compare_files(old, new)
    (tmp_path / "none.jsonl").write_text('{"text": "News 0."}\n{"text": "News 1."}\n')
    with pytest.raises(StatementError, match="has no column stance"):
        compare_files(old, tmp_path / "none.jsonl")
    with pytest.raises(StatementError, match="no statement with a score in both"):
        compare_files(write(tmp_path / "a.jsonl", "m-1", [None]), write(tmp_path / "b.jsonl", "m-2", [0.1]))
