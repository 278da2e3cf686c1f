"""The audit: what it counts, on predictions whose errors are known, and on a user's own table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detente.audit import audit, list_errors, measure_direction, measure_names, measure_slices, read_labelled
from detente.evaluation import Probabilities
from detente.labels import HOSTILITY_LEVELS, STANCES
from detente.modelcard import render_audit
from detente.records import LabelledStatement, Statement, StatementError

ROW = LabelledStatement(
    "Norway accused Canada of lying.",
    "Norway",
    "Canada",
    "authored",
    "1",
    "validation",
    "1",
    "against",
    2,
    2,
    native="post:irony",
)
ROWS = [
    replace(
        ROW,
        id=str(i),
        text=f"Norway accused Canada of lie {i}{' again' * (i // 10)}.",
        stance=STANCES[i % 3],
        hostility_low=i % 5,
        hostility_high=i % 5,
    )
    for i in range(60)
]


def predict_against(statements: Sequence[Statement]) -> Probabilities:
    """Against with growing confidence, and the level of the row's number."""
    n = len(statements)
    against = 0.4 + 0.5 * np.arange(n) / n
    stance = np.stack([(1 - against) / 2, (1 - against) / 2, against], axis=1)
    return {"stance": stance, "hostility": np.eye(5)[np.arange(n) % 5], "sentiment": np.full((n, 3), 1 / 3)}


def test_slices_count_right_stances() -> None:
    found = measure_slices(ROWS, predict_against(ROWS))
    for kind, name in (("source", "authored"), ("register", "post"), ("phenomenon", "irony")):
        assert found[kind][name]["rows"] == 60 and found[kind][name]["share"] == pytest.approx(1 / 3)
        low, high = found[kind][name]["interval"]
        assert low == pytest.approx(0.227, abs=1e-3) and high == pytest.approx(0.460, abs=1e-3), "Wilson's interval"
        assert found[kind][name]["overconfidence"] == pytest.approx(
            predict_against(ROWS)["stance"].max(axis=1).mean() - 1 / 3
        )
    assert {name: part["rows"] for name, part in found["length"].items()} == {"1 to 15 words": 60}
    assert measure_slices(ROWS[:19], predict_against(ROWS[:19]))["source"] == {}, "too few to say anything"


def test_direction_compares_the_two_ways_of_a_text() -> None:
    ahead = replace(ROW, stance="against")
    back = replace(ROW, id="2", speaker="Canada", counterpart="Norway", stance="neutral")
    alone = replace(ROW, id="3", text="Norway thanked Canada.")
    rows = [ahead, back, alone]
    probabilities = predict_against(rows)
    assert measure_direction(rows, probabilities)["all"]["share"] == 0.0
    probabilities["stance"] = probabilities["stance"][::-1]
    assert measure_direction(rows, probabilities)["authored"] == {
        "rows": 1,
        "share": 1.0,
        "interval": pytest.approx([0.207, 1.0], abs=1e-3),
    }
    assert measure_direction([alone], predict_against([alone])) == {}


def test_names_give_a_matrix_of_gaps() -> None:
    def predict(statements: Sequence[Statement]) -> Probabilities:
        against = np.array(
            [0.9 if s.speaker in ("Gazprom", "Boeing", "Huawei", "Tata Steel") else 0.5 for s in statements]
        )
        stance = np.stack([1 - against, 0 * against, against], axis=1)
        return {"stance": stance, "hostility": np.tile(np.eye(5)[0], (len(statements), 1)), "sentiment": stance}

    found = measure_names(
        [ROW, replace(ROW, text="They met."), replace(ROW, id="3", text="A Norwegian thanked Canada.")], predict
    )
    company = found["kinds"].index("company")
    assert found["statements"] == 2 and found["stance_range"] == {"mean": pytest.approx(0.8), "max": pytest.approx(0.8)}
    assert found["stance"][company] == pytest.approx([-0.7] * 8) and found["stance"][0] == pytest.approx([0.1] * 8)
    assert np.abs(found["hostility"]).max() == 0
    assert measure_names([replace(ROW, text="They met.")], predict) == {"statements": 0}
    assert measure_names([replace(ROW, text="Norway joined Canada against Iran.")], predict) == {"statements": 0}, (
        "Iran would be the counterpart and the third at once"
    )


def test_errors_are_the_surest_first() -> None:
    found = list_errors(ROWS, predict_against(ROWS))
    assert [error["id"] for error in found[:3]] == ["58", "57", "55"] and len(found) == 40
    assert {error["found"] for error in found} == {"against"} and "against" not in {error["label"] for error in found}


def test_report_has_no_texts_and_a_page(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(
        '{"id": "1", "phenomenon": "irony", "dimension": "stance", "higher": {"text": "Thanks.", "speaker": null, '
        '"counterpart": "Peru"}, "lower": {"text": "Lies.", "speaker": null, "counterpart": "Peru"}}\n'
    )
    report = audit(ROWS, predict_against, tmp_path / "pairs.jsonl")
    assert "accused" not in str(report)
    assert report["levels"]["authored"] == {"rows": 60, "kappa": pytest.approx(1.0), "macro_f1": pytest.approx(1.0)}
    assert report["review"]["all"]["all"] == pytest.approx(2 / 3)
    assert report["behaviour"]["irony"]["rows"] == 1
    page = render_audit({"model_version": "m-1", **report})
    assert page.startswith("# Audit: detente m-1") and "| authored | 60 | 33.3 % | 23 to 46 |" in page
    assert "| authored | 60 | 1.00 | 1.00 |" in page


def test_a_table_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(
        "text,speaker,counterpart,stance,hostility\n"
        "Norway threatens Canada.,Norway,Canada,Against,threat\n"
        "News.,,,neutral,0\n"
        "News.,,,hostile,0\n"
        ",,,neutral,\n"
        "News.,,,neutral,9\n",
        encoding="utf-8",
    )
    rows, problems = read_labelled(tmp_path / "own.csv")
    assert [(r.source, r.stance, r.hostility_low, r.hostility_high) for r in rows] == [
        ("own", "against", 4, 4),
        ("own", "neutral", 0, 0),
    ]
    assert [problem.partition(":")[0] for problem in problems] == ["row 3", "row 4", "row 5"]
    assert "hostile" in problems[0] and "empty" in problems[1] and all(name in problems[2] for name in HOSTILITY_LEVELS)
    with pytest.raises(StatementError, match="is not there"):
        read_labelled(tmp_path / "none.csv")
