"""Figures on hand-made rows whose answers can be worked out by hand."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_rows

from detente.artifact import find_shipped
from detente.classifier import Classifier
from detente.evaluation import (
    Predictor,
    Probabilities,
    evaluate,
    find_label_errors,
    group_alike,
    measure_behaviour,
    measure_calibration,
    measure_swap,
    predict_majority,
    predict_vader,
    predict_with,
    print_report,
    report_model,
)
from detente.labels import HEADS, SENTIMENTS, STANCES
from detente.records import LabelledStatement, Statement

ROW = LabelledStatement("Norland met Sudania.", "Norland", "Sudania", "dse", "1-pq", "validation", "g", native="0")


def predict_by(stances: Mapping[tuple[str, str | None], str], levels: Mapping[str, int] | None = None) -> Predictor:
    """A model that is almost sure: its stance by (text, speaker), its hostility level by text."""

    def predict(statements: Sequence[Statement]) -> Probabilities:
        found = {head: np.full((len(statements), len(labels)), 0.01) for head, labels in HEADS.items()}
        for i, s in enumerate(statements):
            found["stance"][i, STANCES.index(stances.get((s.text, s.speaker), "neutral"))] = 1.0
            found["hostility"][i, (levels or {}).get(s.text, 0)] = 1.0
            found["sentiment"][i, 1] = 1.0
        return {head: p / p.sum(axis=1, keepdims=True) for head, p in found.items()}

    return predict


def make_dse(number: int, native: str) -> list[LabelledStatement]:
    text = f"Norland and Sudania, case {number}."
    ahead = replace(ROW, text=text, id=f"{number}-pq", native=native)
    return [ahead, replace(ahead, id=f"{number}-qp", speaker="Sudania", counterpart="Norland")]


def headline(rows: Sequence[LabelledStatement], predict: Predictor) -> dict[str, float]:
    found: dict[str, float] = evaluate(rows, predict)["headline"]
    return found


DSE_STANCES = {"0": (), "1": (0, "favour"), "2": (1, "favour"), "3": (0, "against"), "4": (1, "against")}


def make_dse_case(truth: Sequence[str], said: Sequence[str]) -> tuple[list[LabelledStatement], Predictor]:
    """DSE rows of the true classes, and a model that says the other ones."""
    rows, stances = [], {}
    for number, (native, claim) in enumerate(zip(truth, said, strict=True)):
        pair = make_dse(number, native)
        rows += pair
        if found := DSE_STANCES[claim]:
            direction, stance = found
            stances[pair[direction].text, pair[direction].speaker] = str(stance)
    return rows, predict_by(stances)


def test_dse_classes_from_two_directed_calls() -> None:
    rows, predict = make_dse_case("01234", "01234")
    figures = headline(rows, predict)
    assert figures["dse_pairs"] == 5
    assert figures["dse_micro_f1"] == figures["dse_macro_f1"] == figures["dse_direction"] == 1.0


def test_dse_wrong_direction_is_wrong() -> None:
    rows, predict = make_dse_case("01234", "02143")
    figures = headline(rows, predict)
    assert figures["dse_micro_f1"] == pytest.approx(1 / 5)
    assert figures["dse_macro_f1"] == pytest.approx(1 / 5)
    assert figures["dse_direction"] == 0.0


def test_dse_figures_by_hand() -> None:
    """Three of five right; F1 by class: 0 has 2/3, 1 has 0, 3 has 1, 4 has 0 and 2 nothing."""
    rows, predict = make_dse_case("00134", "00030")
    figures = headline(rows, predict)
    assert figures["dse_micro_f1"] == pytest.approx(3 / 5)
    assert figures["dse_macro_f1"] == pytest.approx((2 * 2 / 6 + 0 + 1 + 0) / 4)
    assert figures["dse_direction"] == pytest.approx(1 / 2), "the neutral answer to class 4 has no direction"


def test_dse_pairs_whose_hostility_was_coded_are_told_apart() -> None:
    """Right on the first hostile pair, wrong on the second; a calm direction with an exact level counts for nothing."""
    rows, predict = make_dse_case("344", "333")
    exact = {"hostility_low": 2, "hostility_high": 2}
    assert "dse_direction_coded" not in headline(rows, predict)
    for coded, expected in (((0,), 1.0), ((3,), 0.0), ((0, 3), 0.5), ((0, 2, 4), 1.0)):
        given = [replace(row, **exact) if i in coded else row for i, row in enumerate(rows)]
        assert headline(given, predict)["dse_direction_coded"] == expected, coded
        assert headline(given, predict)["dse_direction"] == pytest.approx(1 / 3)


def test_dse_ignores_the_order_of_rows_and_half_pairs() -> None:
    rows, predict = make_dse_case("01234", "01243")
    expected = headline(rows, predict)
    assert headline([*rows[::-1], replace(rows[0], id="99-pq")], predict) == expected


def test_newsmtsc_tells_its_two_parts_apart() -> None:
    rows = [
        replace(
            ROW, source="newsmtsc", id=str(i), text=f"{part} {stance} {i}", speaker=None, stance=stance, native=part
        )
        for i, (part, stance) in enumerate([("mt-1", "favour"), ("mt-2", "against"), ("rw-3", "against")])
    ]
    said = {(rows[0].text, None): "favour", (rows[1].text, None): "against", (rows[2].text, None): "favour"}
    figures = headline(rows, predict_by(said))
    assert (figures["newsmtsc_mt_macro_f1"], figures["newsmtsc_rw_macro_f1"]) == (1.0, 0.0)


def test_plv_conflict_and_coercion() -> None:
    rows = [
        replace(ROW, source="plv", id=str(i), text=f"case {i}", native=native)
        for i, native in enumerate(["3:THREATEN", "4:ASSAULT", "3:ACCUSE", "1:AGREE", "2:AID"])
    ]
    said = {("case 0", "Norland"): "against", ("case 1", "Norland"): "against", ("case 3", "Norland"): "against"}
    figures = headline(rows, predict_by(said, {"case 0": 4, "case 1": 1, "case 2": 2}))
    # conflict: 2 of 3 found with 1 false alarm, F1 2/3; co-operation: 1 of 2 found with 1 false, F1 1/2
    assert figures["plv_conflict_macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    # coercion: cases 0 and 1 against 2, 3, 4; five of six pairs are in order
    assert figures["plv_coercion_auc"] == pytest.approx(5 / 6)


def test_unscon_and_mpqa() -> None:
    rows = [
        replace(ROW, source="unscon", id=str(i), text=f"speech {i}", speaker=None, hostility_low=low, hostility_high=4)
        for i, low in enumerate([1, 1, 0])
    ]
    rows += [
        replace(ROW, source="mpqa", id=str(i), text=f"opinion {i}", speaker=speaker, stance=stance)
        for i, (speaker, stance) in enumerate([("Norland", "favour"), ("Norland", "against"), (None, "against")])
    ]
    figures = headline(rows, predict_by({("opinion 0", "Norland"): "favour"}, {"speech 0": 3}))
    assert figures["unscon_conflict_auc"] == pytest.approx(3 / 4)
    assert "unscon_sentence_conflict_auc" not in figures, "no id says that it is a sentence"
    # the stance of the second is undecided, which is not "positive", and so counts as negative; the third has no holder
    assert figures["mpqa_polarity_accuracy"] == 1.0


def test_unscon_tells_sentences_from_clauses() -> None:
    said = [("ui-1", 1), ("ui-2", 0), ("rst-1", 1), ("rst-2", 0)]
    rows = [
        replace(ROW, source="unscon", id=name, text=f"speech {name}", hostility_low=low, hostility_high=low and 4)
        for name, low in said
    ]
    figures = headline(rows, predict_by({}, {"speech ui-1": 3, "speech rst-2": 3}))
    assert figures["unscon_sentence_conflict_auc"] == 1.0
    assert figures["unscon_clause_conflict_auc"] == 0.0
    assert figures["unscon_conflict_auc"] == pytest.approx(1 / 2)


def test_levels_polarity_and_directed_rows() -> None:
    rows = [
        replace(ROW, source="authored", id=str(i), text=f"level {i}", hostility_low=i, hostility_high=i)
        for i in range(5)
    ]
    rows += [
        replace(ROW, source="rusentrel_en", id=str(i), text=f"wire {i}", stance=stance)
        for i, stance in enumerate(["favour", "against", "against", "neutral"])
    ]
    rows += [replace(ROW, source="unscon", id=str(i), text=f"speech {i}", stance="against") for i in range(4)]
    stances = {
        ("wire 0", ROW.speaker): "favour",
        ("wire 1", ROW.speaker): "against",
        ("speech 0", ROW.speaker): "against",
    }
    neutral = {(row.text, row.speaker): "neutral" for row in rows} | stances
    figures = headline(rows, predict_by(neutral, {f"level {i}": i for i in range(5)}))
    assert figures["authored_levels_kappa"] == pytest.approx(1.0)
    assert figures["rusentrel_polar_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["unscon_against"] == pytest.approx(1 / 4)


def test_intervals_hold_the_figures_and_draw_pairs_together() -> None:
    rows = [
        replace(ROW, source="dse", id=f"{i}-{way}", text=f"pair {i}", speaker=way, native="3" if i % 2 else "0")
        for i in range(40)
        for way in ("pq", "qp")
    ]
    said = {(f"pair {i}", "pq"): "against" if i % 4 == 1 else "neutral" for i in range(40)}
    said |= {(f"pair {i}", "qp"): "neutral" for i in range(40)}
    report = evaluate(rows, predict_by(said), intervals=True)
    low, high = report["headline_intervals"]["dse_micro_f1"]
    assert 0.55 < low < report["headline"]["dse_micro_f1"] == 0.75 < high < 0.92
    assert report["headline_intervals"]["dse_pairs"] == [40.0, 40.0], "a pair is drawn whole"


def test_fillings_of_one_statement_are_drawn_together() -> None:
    ids = [
        ("authored", "acts-1#0"),
        ("authored", "acts-1#1"),
        ("authored", "acts-2#0"),
        ("mpqa", "7#0"),
        ("mpqa", "7#1"),
    ]
    rows = [replace(ROW, source=source, id=name) for source, name in ids]
    assert group_alike(rows) == [[0, 1], [2], [3], [4]]
    levels = {f"text {i}": i % 5 for i in range(30)}
    rows = [
        replace(ROW, source="authored", id=f"acts-{i}#{k}", text=f"text {i}", hostility_low=i % 4, hostility_high=i % 4)
        for i in range(30)
        for k in range(2)
    ]
    once, twice = (evaluate([r for r in rows if int(r.id[-1]) < n], predict_by({}, levels)) for n in (1, 2))
    intervals = [report["sources"]["authored"]["hostility"]["macro_f1_interval"] for report in (once, twice)]
    assert intervals[0] == intervals[1], "copies make no interval narrower"


def test_report_by_source_and_head() -> None:
    rows = [replace(r, source="invented") for r in make_rows("train") if r.stance is not None]
    truth = {(r.text, r.speaker): r.stance or "" for r in rows}
    report = evaluate(rows, predict_by(truth))
    stance = report["sources"]["invented"]["stance"]
    assert report["headline"] == {}
    assert (stance["rows"], stance["accuracy"], stance["macro_f1"]) == (54, 1.0, 1.0)
    assert stance["macro_f1_interval"] == [1.0, 1.0]
    assert np.array(stance["confusion"]).trace() == 54
    assert stance["risk_by_coverage"]["1.0"] == 0.0
    assert report["sources"]["invented"]["hostility"]["rows"] == 48, "an interval is no exact label"
    json.dumps(report)


def test_fewer_than_ten_rows_have_no_figures() -> None:
    report = evaluate(make_rows("train")[:9], predict_by({}))
    assert report["sources"]["invented"] == {"rows": 7}


# Baselines


def test_majority_says_the_shares() -> None:
    rows = make_rows("train")
    probabilities = predict_majority(rows)([row.to_statement() for row in rows[:3]])
    assert probabilities["stance"].tolist() == [[18 / 54, 12 / 54, 24 / 54]] * 3
    assert probabilities["hostility"].shape == (3, 5) and probabilities["sentiment"].shape == (3, 3)
    assert all(p.sum(axis=1) == pytest.approx(1.0) for p in probabilities.values())


def test_vader_follows_the_tone() -> None:
    pytest.importorskip("vaderSentiment")
    texts = ("A wonderful, great friend!", "They met.", "A horrible, evil liar.")
    probabilities = predict_vader()([Statement(text) for text in texts])
    assert [STANCES[i] for i in probabilities["stance"].argmax(axis=1)] == ["favour", "neutral", "against"]
    assert [SENTIMENTS[i] for i in probabilities["sentiment"].argmax(axis=1)] == ["positive", "neutral", "negative"]
    levels = probabilities["hostility"] @ np.arange(5)
    assert levels[0] == levels[1] == 0 < levels[2] <= 4
    assert all(p.sum(axis=1) == pytest.approx(1.0) for p in probabilities.values())


# Checks


def test_swap_is_zero_for_a_model_that_sees_roles(classifier: Classifier) -> None:
    rows = make_rows("train")
    found = measure_swap(rows, predict_with(classifier))
    assert found == {"rows": len(rows), "mean": 0.0, "max": 0.0}


def test_swap_rewrites_every_form_in_its_form() -> None:
    """A model that sees names is found out; demonyms become demonyms, capitals capitals."""
    seen: list[str] = []

    def predict(statements: Sequence[Statement]) -> Probabilities:
        seen.extend(s.text for s in statements)
        against = np.array([0.8 if "Russia" in s.text else 0.2 for s in statements])
        return {"stance": np.stack([1 - against, np.zeros(len(against)), against], axis=1)}

    row = replace(
        ROW,
        text="The Norwegian minister: Ottawa and the Canadians lie to Norway.",
        speaker="Norway",
        counterpart="Canada",
    )
    found = measure_swap([row, replace(row, text="Norway's minister lies.")], predict)
    assert found == {"rows": 1.0, "mean": pytest.approx(1.2), "max": pytest.approx(1.2)}
    assert seen[1] == "The Russian minister: Washington and the Americans lie to Russia."


def test_swap_without_rows_is_not_a_number(classifier: Classifier) -> None:
    assert math.isnan(measure_swap([replace(ROW, text="They met.")], predict_with(classifier))["mean"])


def write_pairs(path: Path) -> Path:
    pairs = [
        ("1", "irony", "stance", "good", "bad"),
        ("2", "irony", "stance", "bad", "good"),
        ("3", "denial", "hostility", "bad", "good"),
        ("4", "denial", "hostility", "good", "good"),
    ]
    path.write_text(
        "".join(
            json.dumps(
                {
                    "id": number,
                    "phenomenon": phenomenon,
                    "dimension": dimension,
                    "higher": {"text": higher, "speaker": None, "counterpart": "Norland"},
                    "lower": {"text": lower, "speaker": None, "counterpart": "Norland"},
                }
            )
            + "\n"
            for number, phenomenon, dimension, higher, lower in pairs
        ),
        encoding="utf-8",
    )
    return path


def test_behaviour_counts_ordered_pairs(tmp_path: Path) -> None:
    predict = predict_by({("good", None): "favour", ("bad", None): "against"}, {"good": 0, "bad": 3})
    assert measure_behaviour(write_pairs(tmp_path / "pairs.jsonl"), predict) == {
        "pairs": 4,
        "ordered": 0.5,
        "phenomena": {"denial": 0.5, "irony": 0.5},
        "phenomena_pairs": {"denial": 2, "irony": 2},
        "dimensions": {"hostility": 0.5, "stance": 0.5},
        "failed": ["2", "4"],
    }


def test_calibration_is_measured_three_ways(classifier: Classifier) -> None:
    found = measure_calibration([*make_rows("train"), *make_rows("validation")], classifier)
    assert found["rows"] == 72
    assert all(0 <= found[name] <= 1 for name in ("uncalibrated", "shipped", "cross_fitted"))
    assert found["uncalibrated"] != found["shipped"]


def make_report(classifier: Classifier, behaviour: Path, baselines: Sequence[str]) -> dict[str, Any]:
    rows = [*make_rows("validation"), *make_dse_case("01234", "01234")[0]]
    return report_model(classifier, rows, behaviour, baselines)


def test_whole_report(classifier: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(classifier, write_pairs(tmp_path / "pairs.jsonl"), ["majority"])
    assert report["behaviour"]["pairs"] == 4 and report["swap"]["rows"] == 10
    assert report["baselines"]["majority"]["headline"].keys() == report["evaluation"]["headline"].keys()
    json.dumps(report)
    print_report(report)
    printed = capsys.readouterr().out
    assert classifier.manifest.model_version in printed and "dse_micro_f1" in printed and "behaviour:" in printed


def test_report_without_behaviour_pairs_warns(
    classifier: Classifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = make_report(classifier, tmp_path / "none.jsonl", [])
    assert "behaviour" not in report and "no behaviour figures" in caplog.text


def test_a_wrong_label_is_found() -> None:
    pytest.importorskip("cleanlab", reason="the search needs the extra train")
    if not (find_shipped() / "config.json").is_file():
        pytest.skip("detente/weights has no model")
    said = {
        "favour": "We thank Peru for its help with the {} floods.",
        "neutral": "The minister will meet Peru's delegation on {} to discuss fisheries.",
        "against": "Peru has lied to us about the {} attack and we condemn it.",
    }
    words = ("Monday", "Tuesday", "April", "May", "June", "Friday", "August", "winter")
    rows = [
        LabelledStatement(text.format(word), "Chile", "Peru", "made", f"{stance}-{word}", "train", word, stance)
        for stance, text in said.items()
        for word in words
    ]
    wrong = [replace(row, stance="against") for row in rows[:4]]
    cooler = "We are glad of Peru's {} proposal."  # a class is not all equally plain
    rows[4:8] = [replace(row, text=cooler.format(row.group)) for row in rows[4:8]]
    found = find_label_errors(Classifier.from_pretrained(), [*wrong, *rows[4:], replace(rows[0], stance=None)])
    assert found and all(row in wrong and share < 0.2 for row, share in found)
    assert find_label_errors(Classifier.from_pretrained(), []) == []
