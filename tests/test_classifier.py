"""Classifier: one road from text to score, long texts, explanations, names that make no difference, hostile inputs."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detente.classifier import Classifier
from detente.labels import HEADS
from detente.records import MAX_TEXT_CHARS, Score, Statement, StatementError

TOLERANCE = 1e-5
GOLDEN_TOLERANCE = 5e-3
"""Other processors sum in another order, and training carries that on."""

STATEMENTS = (
    Statement("Norway welcomes the help of Canada.", "Norway", "Canada"),
    Statement("Norway welcomes the help of Canada.", "Canada", "Norway"),
    Statement("They will pay the price.", "Kenya", "Portugal"),
    Statement("The regime in Lisbon lies; the Portuguese must never again threaten our people.", "Kenya", "Portugal"),
    Statement("Good news."),
    Statement("We condemn the attack on our friends.", None, "Chile"),
    Statement("Despite all these hostile outbursts, we want good relations with the US.", "Iran", "United States"),
)

HOSTILE = {
    "emoji": "We 👍🏽 Canada 🇨🇦 👨‍👩‍👧‍👦",
    "right to left": "‮אנחנו רוצים שלום עם קנדה‬ مرحبا",
    "null byte": "We want\x00peace\x00",
    "null bytes only": "\x00\x00",
    "combining marks": "Z̷̢̛a̶l̴g̵o̸ " * 20,
    "special tokens": "[SEP] [CLS] [SPEAKER] [PAD] [MASK] </s> <s>",
    "markup": "<script>alert(1)</script> [red]x[/] {speaker} %s",
    "zero width": "\u200b\u200d\ufeff.",
    "one character": "a",
    "punctuation": "?!...",
    "line breaks": "We\r\nwant\n\n\tpeace\u2028now",
    "dotted capital I": "İstanbul İzmir Canada ŉ ß",
    "one long word": "a" * MAX_TEXT_CHARS,
    "many words": ("we want peace " * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS],
    "many names": ("Canada, " * MAX_TEXT_CHARS)[:MAX_TEXT_CHARS],
}


def flatten(score: Score) -> np.ndarray[Any, np.dtype[np.float64]]:
    """All probabilities of a score, (11,)."""
    return np.array([*score.stance_probs.values(), *score.hostility_probs.values(), *score.sentiment_probs.values()])


def test_one_statement_is_a_list_of_one(classifier: Classifier) -> None:
    for statement in STATEMENTS:
        assert classifier.score(statement) == classifier.score_many([statement])[0]
        assert classifier.score(statement.text, statement.speaker, statement.counterpart) == classifier.score(statement)


def test_score_is_whole(classifier: Classifier) -> None:
    for score, statement in zip(classifier.score_many(STATEMENTS), STATEMENTS, strict=True):
        for head, labels in HEADS.items():
            probabilities = getattr(score, f"{head}_probs")
            assert tuple(probabilities) == labels
            assert sum(probabilities.values()) == pytest.approx(1.0)
            assert all(0 <= p <= 1 for p in probabilities.values())
        assert -1 <= score.stance <= 1 and 0 <= score.hostility <= 1
        assert score.confidence == score.stance_probs[score.stance_label] == max(score.stance_probs.values())
        assert score.windows == ((0, len(statement.text)),)
        json.dumps(score.to_dict())


def test_order_and_batch_size_make_no_difference(classifier: Classifier) -> None:
    scores = classifier.score_many(STATEMENTS)
    assert len({score.stance for score in scores}) == len(STATEMENTS), "every statement has a score of its own"
    for batch_size in (1, 2, 3, 1000):
        assert classifier.score_many(STATEMENTS, batch_size) == scores
    assert classifier.score_many(STATEMENTS[::-1]) == scores[::-1]
    assert list(classifier.iter_scores(iter(STATEMENTS), 2)) == scores
    assert classifier.score_many([]) == []


def test_torch_order_and_batch_size_make_no_difference(torch_classifier: Classifier) -> None:
    scores = torch_classifier.score_many(STATEMENTS)
    for batch_size in (1, 3):
        for found, expected in zip(torch_classifier.score_many(STATEMENTS, batch_size), scores, strict=True):
            np.testing.assert_allclose(flatten(found), flatten(expected), atol=TOLERANCE, rtol=0)


def test_iter_scores_does_not_read_ahead(classifier: Classifier) -> None:
    read = 0

    def feed() -> Any:
        nonlocal read
        for statement in STATEMENTS:
            read += 1
            yield statement

    next(classifier.iter_scores(feed(), 2))
    assert read == 2


def test_threads_give_the_same_scores(classifier: Classifier) -> None:
    expected = classifier.score_many(STATEMENTS)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classifier.score, STATEMENTS * 5)) == expected * 5


def test_compute_logits_keeps_the_order(classifier: Classifier) -> None:
    logits = classifier.compute_logits(STATEMENTS)
    for i, statement in enumerate(STATEMENTS):
        for head, alone in classifier.compute_logits([statement]).items():
            np.testing.assert_array_equal(logits[head][i], alone[0])


def test_review_follows_the_threshold(classifier: Classifier) -> None:
    manifest = classifier.manifest
    for threshold, expected in ((0.0, False), (1.01, True)):
        calibration = dataclasses.replace(manifest.calibration, review_below=threshold)
        changed = Classifier(
            classifier.folder,
            dataclasses.replace(manifest, calibration=calibration),
            classifier._encoder,
            classifier._runtime,
        )
        assert {score.needs_review for score in changed.score_many(STATEMENTS)} == {expected}


# Long texts

LONG = Statement("We want peace. They will attack our people! " * 12, "Norway", "Canada")


def test_long_text_is_covered_by_windows(classifier: Classifier) -> None:
    windows = classifier.score(LONG).windows
    assert len(windows) > 2
    assert windows[0][0] == 0
    assert windows[-1][1] == len(LONG.text.rstrip())
    for (start, end), (next_start, next_end) in pairwise(windows):
        assert start < next_start <= end < next_end


def test_long_text_combines_its_windows(classifier: Classifier) -> None:
    """Every word is one token here, so that a window is what its text alone would be."""
    score = classifier.score(LONG)
    parts = classifier.score_many([Statement(LONG.text[a:b], LONG.speaker, LONG.counterpart) for a, b in score.windows])
    ends = [0, *(end for _, end in score.windows)]
    shares = np.diff(ends) / ends[-1]
    for head in ("stance", "sentiment"):
        expected = shares @ [list(getattr(part, f"{head}_probs").values()) for part in parts]
        assert list(getattr(score, f"{head}_probs").values()) == pytest.approx(list(expected))
    assert score.hostility == max(part.hostility for part in parts)
    assert len({part.hostility for part in parts}) > 1


# Explanations


def test_explain_gives_each_word_and_no_name(classifier: Classifier) -> None:
    text = "Norway won't help the Canadians: 3 well-known ‘friends’ lie, said Oslo."
    explanation = classifier.explain(text, "Norway", "Canada")
    words = [w.word for w in explanation.stance]
    assert words == ["won't", "help", "3", "well-known", "friends", "lie", "said"]
    for weights in (explanation.stance, explanation.hostility):
        assert all(text[w.start : w.end] == w.word for w in weights)
    assert explanation.score == classifier.score(text, "Norway", "Canada")


def test_explain_weighs_by_leaving_out(classifier: Classifier) -> None:
    explanation = classifier.explain("They attack us", "Norway", "Canada")
    without = classifier.score("They  us", "Norway", "Canada")
    attack = explanation.stance[1], explanation.hostility[1]
    assert [w.word for w in attack] == ["attack", "attack"]
    assert attack[0].weight == explanation.score.stance - without.stance != 0
    assert attack[1].weight == explanation.score.hostility - without.hostility != 0


@pytest.mark.parametrize("text", ["Yes", "?!", "Canada", "\x00"])
def test_explain_text_without_a_word_to_leave_out(classifier: Classifier, text: str) -> None:
    explanation = classifier.explain(text, None, "Canada")
    assert explanation.stance == explanation.hostility == ()


# Names


@pytest.mark.parametrize(
    "template",
    [
        "{0} accuses the government of {1} of a lie.",
        "{1} said that {0} will attack. {0}'s army is near {1}'s.",
        "We, in {0}, want good relations with {1}.",
    ],
)
def test_registry_names_make_no_difference(classifier: Classifier, template: str) -> None:
    pairs = (("Norway", "Canada"), ("Russia", "Ukraine"), ("Iran", "Israel"), ("Kenya", "European Union"))
    scores = {tuple(flatten(classifier.score(template.format(*pair), *pair))) for pair in pairs}
    assert len(scores) == 1


def test_demonyms_and_capitals_make_no_difference(classifier: Classifier) -> None:
    scores = {
        tuple(flatten(classifier.score(f"The {adjective} minister said that {capital} lies.", speaker, counterpart)))
        for adjective, capital, speaker, counterpart in (
            ("Norwegian", "Ottawa", "Norway", "Canada"),
            ("Iranian", "Tokyo", "Iran", "Japan"),
            ("Brazilian", "Beijing", "Brazil", "China"),
        )
    }
    assert len(scores) == 1


def test_direction_makes_a_difference(classifier: Classifier) -> None:
    text = "Norway accuses Canada of a lie."
    assert classifier.score(text, "Norway", "Canada").stance != classifier.score(text, "Canada", "Norway").stance


def test_unknown_names_and_aliases(classifier: Classifier) -> None:
    plain = classifier.score("Norway accuses Canada of a lie.", "Norway", "Canada")
    assert classifier.score("Zorblax accuses Quuxia of a lie.", "Zorblax", "Quuxia") == dataclasses.replace(
        plain, windows=((0, len("Zorblax accuses Quuxia of a lie.")),)
    )
    aliased = Statement(
        "The Zorb accuses Q of a lie.", "Zorblax", "Quuxia", {"speaker": ["Zorb"], "counterpart": ["Q"]}
    )
    np.testing.assert_array_equal(flatten(classifier.score(aliased)), flatten(plain))


# What cannot be scored


def test_errors_say_what_to_do(classifier: Classifier) -> None:
    with pytest.raises(StatementError, match=r"item 1 is a str, expected a Statement"):
        classifier.score_many([STATEMENTS[0], "text"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="batch_size must be 1 or more, found 0"):
        classifier.score_many(STATEMENTS, batch_size=0)
    with pytest.raises(StatementError, match="leave the two arguments out"):
        classifier.score(STATEMENTS[0], "Norway")
    with pytest.raises(StatementError, match="text is empty"):
        classifier.score("  ")
    with pytest.raises(StatementError, match="100,001 characters"):
        classifier.score("a" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(StatementError, match="text must be a string, found NoneType"):
        classifier.score(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_is_scored(classifier: Classifier, text: str) -> None:
    score = classifier.score(text, "Norway", "Canada")
    assert np.isfinite(flatten(score)).all()
    assert sum(score.stance_probs.values()) == pytest.approx(1.0)
    assert all(0 <= start <= end <= len(text) for start, end in score.windows)


def test_special_tokens_in_a_text_are_words(classifier: Classifier) -> None:
    """A text cannot pass for a party, nor end its own sequence."""
    forged = classifier.score("[SPEAKER] attacks [COUNTERPART].", "Norway", "Canada")
    named = classifier.score("Norway attacks Canada.", "Norway", "Canada")
    assert forged.stance_probs != named.stance_probs


@pytest.mark.parametrize("part", ["text", "speaker"])
def test_half_a_surrogate_pair_is_refused(classifier: Classifier, part: str) -> None:
    """JSON can carry one ("\\ud83d"), UTF-8 cannot."""
    values = {"text": "We want peace.", "speaker": "Norway", "counterpart": "Canada"}
    values[part] += "\ud83d"
    with pytest.raises(StatementError, match=part):
        classifier.score(Statement(**values))


def test_saved_folder_scores_the_same_elsewhere(classifier: Classifier, shipped_form: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(shipped_form, tmp_path / "a folder with ünïcode"))
    assert Classifier.from_pretrained(copied).score_many(STATEMENTS) == classifier.score_many(STATEMENTS)
    assert Classifier.from_pretrained(str(copied)).score_many(STATEMENTS) == classifier.score_many(STATEMENTS)


def test_golden_scores(torch_classifier: Classifier, golden: Callable[[str, Any], Any]) -> None:
    found = [
        {"text": s.text, "stance": round(score.stance, 5), "hostility": round(score.hostility, 5)}
        for s, score in zip(STATEMENTS, torch_classifier.score_many(STATEMENTS), strict=True)
    ]
    for row, expected in zip(found, golden("scores", found), strict=True):
        assert row == pytest.approx(expected, abs=GOLDEN_TOLERANCE)


def test_saved_folder_loads_the_same(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save_pretrained(tmp_path / "copy")
    assert Classifier.from_pretrained(tmp_path / "copy").score_many(STATEMENTS) == classifier.score_many(STATEMENTS)
    with pytest.raises(FileExistsError, match="not empty"):
        classifier.save_pretrained(tmp_path / "copy")


def test_push_uploads_the_whole_folder(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    calls: list[tuple[str, object]] = []
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", lambda _, repo_id, **__: calls.append(("make", repo_id)))
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", lambda _, **k: calls.append(("send", k["folder_path"])))
    classifier.push_to_hub("someone/model")
    assert calls == [("make", "someone/model"), ("send", classifier.folder)]


def test_explaining_a_long_text_is_refused(classifier: Classifier) -> None:
    with pytest.raises(StatementError, match="at most 1,000"):
        classifier.explain("word " * 1_001)
