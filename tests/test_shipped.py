"""The weights in the package: whole, small, torch-free, and ordered as the behaviour pairs ask."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from safetensors.numpy import load_file

from data.sources import authored
from detente.article.ledger import read_ledger
from detente.artifact import (
    ATTRIBUTION_WEIGHTS,
    CONFIG,
    ONNX,
    QUANTISED,
    TOKENIZER,
    check_files,
    find_shipped,
    read_manifest,
)
from detente.audit import audit
from detente.classifier import Classifier
from detente.evaluation import measure_behaviour, predict_with
from detente.quantisation import LARGEST_IN_PRODUCT, SCALE_SUFFIX
from detente.records import Statement

WEIGHTS = find_shipped()
MAX_BYTES = 44 * 2**20
BEHAVIOUR_ORDERED = 0.88
"""Share of the behaviour pairs, in [0, 1], that must be ordered as expected."""
PLAIN_WRONG = 16
"""How many of the 63 plain sentences may be wrong: two more than were, as machines round differently."""
LEVELS_APART = 1.3
"""From where a score of hostility is no longer that of a level."""
GATE = 0.02
"""By how much a share on authored rows may be lower than audited, as machines round differently; or two rows."""
NAMES_MOVE = 0.03
"""On average, over all pairs of kinds of names: the most by which the stance of a statement may move, in [0, 2]."""
INT8_TOLERANCE = 0.10
"""On stance in [-1, 1] and hostility in [0, 1]: what quantisation may move one score."""
INT8_MEAN_TOLERANCE = 0.03
"""The same, on average over the statements."""

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / CONFIG).is_file(), reason="no weights in detente/weights: make train writes them"
)

DIRECTED = (
    "Norway and Canada signed a treaty of friendship, and Oslo thanked Ottawa warmly.",
    "Norway called Canada a liar and a thief.",
    "If Canada does that again, Norway will hit back hard.",
    "Norway's minister will meet her Canadian colleague on Monday.",
    "Norway regrets that Canada has not signed.",
    "Norway condemns Canada's violation of the agreement.",
    "We do not see the Canadians as enemies, said Oslo.",
    "Norway expelled two Canadian diplomats.",
    "Norway praised the rescue by Canadian sailors.",
    "Can this really be called help from Canada, asked Norway's premier.",
)
STATEMENTS = [Statement(text, *pair) for text in DIRECTED for pair in (("Norway", "Canada"), ("Canada", "Norway"))]


@pytest.fixture(scope="module")
def released() -> Classifier:
    return Classifier.from_pretrained()


def test_folder_is_whole_and_its_hashes_hold() -> None:
    manifest = read_manifest(WEIGHTS)
    check_files(WEIGHTS, manifest)
    assert {ONNX, QUANTISED, TOKENIZER} <= set(manifest.files)
    assert manifest.base_sha256 and manifest.data_sha256 and manifest.model_version
    assert not Path(manifest.base_model).is_absolute()


def test_size() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < MAX_BYTES


def test_weights_of_products_have_seven_bits() -> None:
    """Whatever rule exported them: larger ones would saturate on CPUs without VNNI (decision 5)."""
    for file in (QUANTISED, ATTRIBUTION_WEIGHTS):
        stored = load_file(WEIGHTS / file)
        products = [n for n in stored if n + SCALE_SUFFIX in stored and stored[n + SCALE_SUFFIX].shape[0] == 1]
        assert len(products) >= 6 * 6
        assert max(int(np.abs(stored[n].astype(int)).max()) for n in products) == LARGEST_IN_PRODUCT


def test_files_name_no_path_of_a_machine() -> None:
    assert ': "/' not in (WEIGHTS / CONFIG).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "The meeting rose at noon.",
        "They met in Geneva on Tuesday.",
        "We thank the Secretary-General for his briefing.",
        "We welcome the report.",
        "Inflation rose to three percent.",
    ],
)
def test_calm_words_toward_nobody_are_not_against(released: Classifier, text: str) -> None:
    for speaker in ("Jordan", None):
        assert released.score(Statement(text, speaker)).stance_label != "against"


def test_default_model_needs_no_torch() -> None:
    code = (
        "import sys; from detente import Classifier; c = Classifier.from_pretrained(); c.score('They met.');"
        "print(sorted({'torch', 'transformers', 'peft', 'datasets', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


def test_behaviour_pairs_are_ordered(released: Classifier) -> None:
    found = measure_behaviour(ROOT / "tests" / "behaviour" / "pairs.jsonl", predict_with(released))
    assert found["ordered"] >= BEHAVIOUR_ORDERED, found["phenomena"]


def test_audited_figures_hold(released: Classifier) -> None:
    """The gate: on authored validation rows and behaviour pairs the weights are as good as docs/audit.md says."""
    audited = json.loads((ROOT / "docs" / "reports" / "audit.json").read_text(encoding="utf-8"))
    assert audited["model_version"] == released.manifest.model_version, "audit the new weights: see make train"
    rows = [row for row in authored.read(ROOT / "data" / "authored") if row.split == "validation"]
    found = audit(rows, predict_with(released), ROOT / "tests" / "behaviour" / "pairs.jsonl")
    assert found["behaviour"]["all"]["share"] >= audited["behaviour"]["all"]["share"] - GATE
    for kind in ("source", "phenomenon"):
        for name, part in found["slices"][kind].items():
            allowed = max(GATE, 2 / part["rows"]) + 1e-9  # the sum of two floats
            assert part["share"] >= audited["slices"][kind][name]["share"] - allowed, (kind, name)
    assert found["levels"]["authored"]["kappa"] >= audited["levels"]["authored"]["kappa"] - GATE
    assert found["names"]["stance_range"]["mean"] <= NAMES_MOVE


def test_graph_agrees_with_torch(released: Classifier) -> None:
    assert released.backend == "onnx"
    network = Classifier.from_pretrained(backend="torch")
    pairs = list(zip(released.score_many(STATEMENTS), network.score_many(STATEMENTS), strict=True))
    moved = [abs(a.stance - b.stance) for a, b in pairs] + [abs(a.hostility - b.hostility) for a, b in pairs]
    assert len(pairs) == 20
    assert max(moved) <= INT8_TOLERANCE
    assert sum(moved) / len(moved) <= INT8_MEAN_TOLERANCE


def test_concession_is_favour(released: Classifier) -> None:
    """The example that the README opens with: the charge is conceded, the main point is good will."""
    text = "Despite all their hostile outbursts, we still want good relations with the US."
    score = released.score(text, "Iran", "United States")
    assert score.stance > 0 and score.stance_label == "favour"


def test_direction_counts(released: Classifier) -> None:
    text = "Portugal warned Kenya that it would pay a heavy price."
    ahead, back = released.score(text, "Portugal", "Kenya"), released.score(text, "Kenya", "Portugal")
    assert ahead.hostility > back.hostility + 0.2
    assert ahead.stance < back.stance


def test_plain_cases(released: Classifier) -> None:
    insult = released.score("The so-called government there is a gang of thieves and killers.", "Chile", "Peru")
    thanks = released.score("We thank our Canadian friends and welcome the proposal.", "Norway", "Canada")
    plain = released.score("The two ministers will meet on Thursday to discuss fisheries.", "Iceland", "Netherlands")
    assert insult.stance_label == "against" and insult.hostility > 0.5
    assert thanks.stance_label == "favour" and thanks.hostility < 0.1 and thanks.sentiment_label == "positive"
    assert plain.stance_label == "neutral" and plain.hostility < 0.1


def test_plain_sentences(released: Classifier) -> None:
    lines = (ROOT / "tests/behaviour/plain.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    scores = released.score_many([Statement(row["text"], row["speaker"], row["counterpart"]) for row in rows])
    wrong = [
        row["text"]
        for row, score in zip(rows, scores, strict=True)
        if score.stance_label not in row["stance"]
        or (row["hostility"] is not None and abs(4 * score.hostility - row["hostility"]) >= LEVELS_APART)
    ]
    assert len(wrong) <= PLAIN_WRONG, wrong


def test_a_conditional_threat_is_against(released: Classifier) -> None:
    threat = released.score("If they cross that line again, they will pay a heavy price.", "Kenya", "Portugal")
    assert threat.stance_label == "against"


def test_conditional_threat_is_placed_at_threat(released: Classifier) -> None:
    score = released.score("If they cross that line again, they will pay a heavy price.", "Kenya", "Portugal")
    assert score.hostility > 0.4 and score.hostility_level == "threat"


def test_names_make_no_difference(released: Classifier) -> None:
    text = "{0} accuses {1} of bad faith."
    pairs = (("Norway", "Canada"), ("Russia", "Ukraine"), ("Iran", "Israel"))
    assert len({released.score(text.format(*pair), *pair).stance for pair in pairs}) == 1


# Articles

BRIEFING = """Chile closed two ports to Peruvian ferries on Monday.

"They have lied to us for years," said Chilean Transport Minister Ana Ruiz. She thanked Brazil for its offer to mediate.

Lima regretted the decision. Peru's foreign minister, Luis Soto, said that his country still wanted good relations with
Chile.
"""


def test_an_article_is_read(released: Classifier) -> None:
    reading = released.read(BRIEFING, date="2026-03-04")
    found = {
        (s.speaker.party, s.counterpart.party, s.voice, s.score.stance_label)
        for s in reading.statements
        if s.speaker and s.counterpart
    }
    assert {
        ("Chile", "Peru", "act", "against"),
        ("Chile", "Peru", "direct", "against"),
        ("Peru", "Chile", "indirect", "favour"),
    } <= found
    assert ("Chile", "Brazil", "favour") in {(speaker, other, stance) for speaker, other, _, stance in found}
    assert all(BRIEFING[start:end] in s.text for s in reading.statements for start, end in s.pieces)
    dyad = next(d for d in reading.dyads if (d.speaker, d.counterpart) == ("Chile", "Peru"))
    assert dyad.n == len(dyad.statements) >= 2 and dyad.stance < 0 and dyad.hostility_max >= dyad.hostility
    assert list(reading.to_frame()["start"]) == [s.start for s in reading.statements]
    assert reading.to_dict()["date"] == "2026-03-04" and not reading.notices


@pytest.mark.xfail(strict=True, reason="thanks are told as an act, not as indirect speech")
def test_reported_thanks_are_indirect_speech(released: Classifier) -> None:
    thanks = [s for s in released.read(BRIEFING).statements if s.counterpart and s.counterpart.party == "Brazil"]
    assert {s.voice for s in thanks} == {"indirect"}


@pytest.mark.parametrize("parties", [None, {"Russia": ["Putin", "Peskov"]}])
def test_two_voices_in_one_sentence(released: Classifier, parties: dict[str, list[str]] | None) -> None:
    text = "Putin advocates good relations with the US, despite Washington's hostile outbursts, Peskov said."
    reading = released.read(text, parties=parties)
    stances = {s.speaker.written: s.score.stance_label for s in reading.statements if s.speaker}
    assert stances == {"Putin": "favour", "Peskov": "against"}
    assert {s.counterpart.party for s in reading.statements if s.counterpart} == {"United States"}


@pytest.mark.parametrize(
    "text",
    [
        "Headline only",
        "“Never closed, he said",
        "— No, said Norway. — Yes, said Chile.",
        "* one\n* two\n\nPhoto: Reuters",
        "?!",
        "\u202e\x00🙂 'x' said \"y\"",
        "Der Minister hat am Montag erklärt, dass die Gespräche mit den Nachbarn gescheitert sind.",
    ],
)
def test_odd_articles_are_read(released: Classifier, text: str) -> None:
    reading = released.read(text)
    assert reading.statements or reading.notices


def test_many_articles_by_command(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for day in (1, 2):
        (tmp_path / "in" / f"{day}.txt").write_text(BRIEFING.replace("Monday", f"day {day}"), encoding="utf-8")
    (tmp_path / "in" / "3.txt").write_bytes(b"\xff")
    command = [sys.executable, "-m", "detente.cli", "read", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    code = f"import sys; sys.argv = {command[2:]!r}; from detente.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 articles: 1 with an error, 1 copies of another" in " ".join(done.stderr.split())
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out", "out.errors.jsonl", "out.manifest.json"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "articles.jsonl",
        "articles.parquet",
        "ledger.jsonl",
        "ledger.parquet",
        "statements.jsonl",
        "statements.parquet",
    }
    entries = read_ledger(tmp_path / "out" / "ledger.parquet")
    assert {("Chile", "Peru"), ("Peru", "Chile")} <= {(e.speaker, e.counterpart) for e in entries}
