"""Adapters: invented rows in the upstream formats, and the real folders where DETENTE_CLONES names them."""

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from datasets import load_dataset
from openpyxl import Workbook

from data.build import build, build_articles, main, read_sources
from data.fetch import load_manifest, locate
from data.sources import (
    SOURCES,
    dse,
    mpqa,
    newsmtsc,
    plv,
    polnear,
    rusentrel_en,
    semeval2016,
    unsc_attitude,
    unscon,
)
from detente.article.spans import read_articles
from detente.corpus import SourceError, clean_rows, normalise_text, read_parquet
from detente.records import LabelledStatement

CLONES = os.environ.get("DETENTE_CLONES")
needs_clones = pytest.mark.skipif(not CLONES, reason="set DETENTE_CLONES to the folder of your clones to run this")


def put(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def put_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def labels(row: LabelledStatement) -> tuple[str | None, int | None, int | None]:
    return row.stance, row.hostility_low, row.hostility_high


# DSE


def put_dse(folder: Path, lines: Sequence[str]) -> None:
    put(folder / dse.FILES["train"], "".join(line + "\n" for line in lines))
    put(folder / dse.FILES["validation"], "[Oslo] met [Lima].\tOslo\tLima\t0\n")


@pytest.mark.parametrize(
    ("before", "mark", "after", "name"),
    [
        ("", "the United State", "s met", "United States"),
        ("", "Iran", "ian guards", "Iranian"),
        ("", "Congre", "ss voted", "Congress"),
        ("to ", "Kasich’", "s complaints", "Kasich"),
        ("", "Mugabe", "’s men", "Mugabe"),
        ("", "Pari", "s's mayor", "Paris"),
        ("in s", "outh Ossetia", " today", "south Ossetia"),
        ("", "Lopez", "Wolff said", "Lopez"),
        ("", "Feedly", "the app", "Feedly"),
        ("", "U. S.", " troops", "U. S."),
    ],
)
def test_dse_marks_reach_the_end_of_the_word(before: str, mark: str, after: str, name: str) -> None:
    assert dse.extend_mark(before, mark, after) == name


@pytest.mark.parametrize(
    ("label", "forward", "backward"),
    [
        ("0", ("neutral", 0, 0), ("neutral", 0, 0)),
        ("1", ("favour", 0, 2), ("neutral", 0, 0)),
        ("2", ("neutral", 0, 0), ("favour", 0, 2)),
        ("3", ("against", 1, 4), ("neutral", 0, 0)),
        ("4", ("neutral", 0, 0), ("against", 1, 4)),
    ],
)
def test_dse_gives_both_directions(tmp_path: Path, label: str, forward: object, backward: object) -> None:
    put_dse(tmp_path, [f"[The Norland]s scolded [Sudania].\tThe Norland\tSudania\t{label}"])
    first, second, *rest = dse.read(tmp_path)
    assert (first.id, first.speaker, first.counterpart) == ("train-1-pq", "Norlands", "Sudania")
    assert (second.id, second.speaker, second.counterpart) == ("train-1-qp", "Sudania", "Norlands")
    assert (labels(first), labels(second)) == (forward, backward)
    assert first.text == "The Norlands scolded Sudania."
    assert first.group == second.group and first.native == label
    assert {row.split for row in rest} == {"validation"}


def test_dse_reads_quoted_lines_and_counts_what_it_skips(tmp_path: Path) -> None:
    lines = [
        '"""No,"" said [Oslo] to [Lima]."\tOslo\tLima\t3',
        '"[Oslo] met [Lima.""The Council] left."\tOslo\t"Lima.""The Council"\t0',
        "[Oslo] met [oslo].\tOslo\toslo\t0",
    ]
    put_dse(tmp_path, lines)
    skipped: Counter[str] = Counter()
    rows = list(dse.read(tmp_path, skipped))
    assert rows[0].text == '"No," said Oslo to Lima.'
    assert len(rows) == 4 and sum(skipped.values()) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[Oslo] met [Lima].\tOslo\tLima", "4 fields"),
        ("[Oslo] met [Lima].\tOslo\tLima\t7", "a label of 0, 1, 2, 3, 4, found '7'"),
        ("[Oslo] met Lima.\tOslo\tLima\t0", "two marked entities"),
    ],
)
def test_dse_errors_name_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    put_dse(tmp_path, ["[Rome] met [Bonn].\tRome\tBonn\t0", line])
    with pytest.raises(SourceError, match=rf"train\.txt, line 2: expected .*{message}"):
        list(dse.read(tmp_path))


def test_test_part_is_read_if_there(tmp_path: Path) -> None:
    put_dse(tmp_path, [])
    put(tmp_path / dse.FILES["test"], "[Oslo] met [Lima].\tOslo\tLima\t0\n")
    assert {row.split for row in dse.read(tmp_path)} == {"validation", "test"}


# MPQA


def make_opinion(polarity: str | None, intensity: str | None, holder: str = "Norland", target: str = "Sudania") -> dict:
    def span(text: str) -> list[list[str]]:
        return [[text], ["0:1"]] if text else [[], []]

    return {
        "Source": span(holder),
        "Target": span(target),
        "Polar_expression": span("x"),
        "Polarity": polarity,
        "Intensity": intensity,
    }


def put_mpqa(folder: Path, opinions: Sequence[dict]) -> None:
    sentence = {"sent_id": "d1/02-7", "text": "Norland 's view of Sudania , again .", "opinions": list(opinions)}
    put(folder / mpqa.FILES["train"], json.dumps([sentence]))
    put(folder / mpqa.FILES["validation"], json.dumps([{**sentence, "sent_id": "d2/01-1"}]))


@pytest.mark.parametrize(
    ("polarity", "intensity", "expected"),
    [
        ("Negative", "Strong", ("against", 1, 4)),
        ("negative", "weak", ("against", 1, 3)),
        ("NEGATIVE", None, ("against", 1, 4)),
        ("Positive", "Average", ("favour", 0, 2)),
    ],
)
def test_mpqa_levels(tmp_path: Path, polarity: str, intensity: str | None, expected: object) -> None:
    put_mpqa(tmp_path, [make_opinion(polarity, intensity)])
    row, held = mpqa.read(tmp_path)
    assert labels(row) == expected
    assert (row.text, row.speaker, row.counterpart) == ("Norland's view of Sudania, again.", "Norland", "Sudania")
    assert (row.id, row.group, row.split, held.split) == ("d1/02-7#0", "d1/02", "train", "validation")
    assert row.native == f"{polarity.lower()}/{(intensity or 'none').lower()}"


def test_mpqa_author_and_skips(tmp_path: Path) -> None:
    opinions = [
        make_opinion("Negative", "Weak", holder=""),
        make_opinion("Neutral", "Weak"),
        make_opinion("both", "Weak"),
        make_opinion("uncertain-negative", "Weak"),
        make_opinion(None, "Weak"),
        make_opinion("Negative", "Weak", target=""),
        make_opinion("Negative", "Weak", target="x" * 101),
        make_opinion("Negative", "Weak", target="norland"),
    ]
    put_mpqa(tmp_path, opinions)
    skipped: Counter[str] = Counter()
    rows = list(mpqa.read(tmp_path, skipped))
    assert [row.speaker for row in rows] == [None, None]
    assert sum(skipped.values()) == 2 * 7


def test_mpqa_errors(tmp_path: Path) -> None:
    put_mpqa(tmp_path, [make_opinion("angry", "Weak")])
    with pytest.raises(
        SourceError, match=r"train\.json: expected a polarity .* in opinion 0 of d1/02-7, found 'angry'"
    ):
        list(mpqa.read(tmp_path))
    put_mpqa(tmp_path, [{"Polarity": "Negative"}])
    with pytest.raises(SourceError, match="the keys Source, Target, Intensity"):
        list(mpqa.read(tmp_path))


# PLV


def put_plv(folder: Path, codes: Iterable[tuple[str, str]], sentence: str = "Norland faces Sudania today.") -> None:
    marked = "<s>Norland</s> faces <t>Sudania</t> today."
    rows = [(i, i, sentence, marked, "Norland", "Sudania", penta, root) for i, (penta, root) in enumerate(codes)]
    put_table(folder / plv.FILES["train"], ("", *plv._COLUMNS), rows, "\t")


@pytest.mark.parametrize(
    ("penta", "root", "expected"),
    [
        ("1", "AGREE", ("favour", 0, 0)),
        ("2", "YIELD", ("favour", 0, 0)),
        ("1", "CONSULT", ("neutral", 0, 0)),
        ("3", "REQUEST", ("against", 1, 1)),
        ("1", "REQUEST", ("neutral", 0, 1)),
        ("3", "ACCUSE", ("against", 1, 3)),
        ("3", "REJECT", ("against", 1, 2)),
        ("4", "PROTEST", ("against", 1, 3)),
        ("3", "THREATEN", ("against", 4, 4)),
        ("4", "SANCTION", ("against", 4, 4)),
    ],
)
def test_plv_roots(tmp_path: Path, penta: str, root: str, expected: object) -> None:
    put_plv(tmp_path, [(penta, root)])
    (row,) = plv.read(tmp_path)
    assert labels(row) == expected
    assert (row.text, row.speaker, row.counterpart) == ("Norland faces Sudania today.", "Norland", "Sudania")
    assert row.native == f"{penta}:{root}"


def test_plv_skips_contradictions_and_reports_errors(tmp_path: Path) -> None:
    put_plv(tmp_path, [("4", "COOPERATE"), ("1", "ACCUSE")])
    skipped: Counter[str] = Counter()
    assert list(plv.read(tmp_path, skipped)) == []
    assert skipped == {"root and penta class contradict each other": 2}
    put_plv(tmp_path, [("3", "SHOUT")])
    with pytest.raises(SourceError, match=r"PLV_train\.tsv, line 2: expected penta 0 to 4 and a root"):
        list(plv.read(tmp_path))
    put_plv(tmp_path, [("3", "ACCUSE")], sentence="Another sentence.")
    with pytest.raises(SourceError, match="line 2: expected the plain sentence"):
        list(plv.read(tmp_path))


# UNSCon


def put_unscon(folder: Path, debate: str = "7165", calm: int = 60, conflict: int = 60) -> None:
    speech = f"UNSC_2014_SPV.{debate}_spch003"
    ui, rst = [], []
    for i in range(calm + conflict):
        text = f"Sentence number {i} of an invented speech."
        kind, target = ("", "") if i < calm else ("Direct Conflict", "Sudania" if i % 2 else "Underspecified")
        ui.append((text, kind, target, "Norland", f"{speech}.txt", i))
        kind, target = ("_", "_") if i < calm else ("Correction", "sudania_of_the_south" if i % 2 else "Underdefined")
        rst.append((text, kind, target, f"{speech}_edu_United_States_Of_America.txt", speech, i))
    put_table(folder / unscon.UI_FILE, unscon.UI_COLUMNS, ui)
    put_table(folder / unscon.RST_FILE, unscon.RST_COLUMNS, rst)


def test_unscon_labels_and_names(tmp_path: Path) -> None:
    put_unscon(tmp_path)
    rows = {row.id: row for row in unscon.read(tmp_path)}
    calm, clash = rows["ui-UNSC_2014_SPV.7165_spch003-0"], rows["ui-UNSC_2014_SPV.7165_spch003-60"]
    assert labels(calm) == (None, 0, 0) and calm.native == "none"
    assert labels(clash) == ("against", 1, 3) and clash.counterpart is None
    clause = rows["rst-UNSC_2014_SPV.7165_spch003-61"]
    assert labels(clause) == ("against", 1, 2) and clause.speaker == "United States of America"
    assert {row.group for row in rows.values()} == {"SPV.7165"}
    assert {row.counterpart for row in rows.values()} == {None, "Sudania", "Sudania of the South"}


def test_unscon_counterpart_does_not_give_the_label_away(tmp_path: Path) -> None:
    put_unscon(tmp_path, calm=300, conflict=300)
    rows = [row for row in unscon.read(tmp_path) if row.id.startswith("ui")]
    calm = [row.counterpart is None for row in rows if row.stance is None]
    clash = [row.counterpart is None for row in rows if row.stance and int(row.id.rsplit("-", 1)[1]) % 2]
    assert 0.4 < sum(calm) / len(calm) < 0.6
    assert 0.2 < sum(clash) / len(clash) < 0.46
    assert rows == [row for row in unscon.read(tmp_path) if row.id.startswith("ui")]


@pytest.mark.parametrize(("debate", "split"), [("7154", "validation"), ("7165", "train"), ("9999", "test")])
def test_unscon_splits_by_debate(tmp_path: Path, debate: str, split: str) -> None:
    put_unscon(tmp_path, debate, 2, 2)
    assert {row.split for row in unscon.read(tmp_path)} == {split}


def test_unscon_errors(tmp_path: Path) -> None:
    put_unscon(tmp_path, calm=1, conflict=0)
    speech = "UNSC_2014_SPV.7165_spch003.txt"
    put_table(tmp_path / unscon.UI_FILE, unscon.UI_COLUMNS, [("Words.", "Quarrel", "", "Norland", speech, 0)])
    with pytest.raises(SourceError, match=r"line 2: expected a conflict type of .*found 'Quarrel'"):
        list(unscon.read(tmp_path))
    put_table(tmp_path / unscon.UI_FILE, unscon.UI_COLUMNS[:-1], [])
    with pytest.raises(SourceError, match="the columns Sentence-ID"):
        list(unscon.read(tmp_path))


# RuSentRel


def put_rusentrel(folder: Path, rows: Sequence[tuple[int, str, str]]) -> None:
    table = [(i, f"o{i}_i0_", document, label, prompt) for i, (document, label, prompt) in enumerate(rows)]
    put_table(folder / rusentrel_en.FILE, ("", *rusentrel_en._COLUMNS), table, "\t")


def make_prompt(sentence: str, speaker: str = "norland", counterpart: str = "Sudania") -> str:
    return (
        f'What\'s the attitude of the sentence: "{sentence}" from "{speaker}" to the target "{counterpart}". '
        "positive or negative."
    )


@pytest.mark.parametrize(
    ("label", "expected"),
    [("0", ("neutral", None, None)), ("1", ("favour", 0, 2)), ("2", ("against", 1, 4))],
)
def test_rusentrel_labels_and_quotes(tmp_path: Path, label: str, expected: object) -> None:
    put_rusentrel(
        tmp_path, [(3, label, make_prompt('The plan of norland , " too late " , came from "Oslo" via Sudania .'))]
    )
    (row,) = rusentrel_en.read(tmp_path)
    assert labels(row) == expected
    assert row.text == 'The plan of norland, "too late", came from "Oslo" via Sudania.'
    assert (row.speaker, row.counterpart, row.group) == ("norland", "Sudania", "3")


def test_rusentrel_splits_and_errors(tmp_path: Path) -> None:
    put_rusentrel(tmp_path, [(document, "0", make_prompt("A .")) for document in range(1, 60)])
    splits = {int(row.group): row.split for row in rusentrel_en.read(tmp_path)}
    assert {splits[document] for document in range(46, 60)} == {"test"}
    assert {splits[document] for document in range(1, 46)} == {"train", "validation"}
    put_rusentrel(tmp_path, [(1, "0", "Is it good?")])
    with pytest.raises(SourceError, match="line 2: expected What's the attitude"):
        list(rusentrel_en.read(tmp_path))
    put_rusentrel(tmp_path, [(1, "5", make_prompt("A ."))])
    with pytest.raises(SourceError, match="a label 0, 1 or 2"):
        list(rusentrel_en.read(tmp_path))


# NewsMTSC


def put_newsmtsc(folder: Path, records: Sequence[dict]) -> None:
    for part, split, name in newsmtsc.FILES:
        if split != "test":
            lines = records if (part, split) == ("rw", "train") else []
            put(folder / newsmtsc.FOLDER / name, "".join(json.dumps(record) + "\n" for record in lines))


def make_mention(mention: str, polarity: int, sentence: str, row_id: str = "x_v1_12_-1_4_Jane Roe_0_4") -> dict:
    return {"mention": mention, "polarity": polarity, "from": 0, "to": 4, "sentence": sentence, "id": row_id}


def test_newsmtsc_stance_and_tone(tmp_path: Path) -> None:
    records = [
        make_mention("Roe", 1, "Roe beat Doe."),
        make_mention("Doe", -1, "Roe beat Doe."),
        make_mention("Poe", 0, "Poe sat.", "allsides_9_8_7_2_Poe_0_3"),
        make_mention("Poe", 0, "Poe sat.", "allsides_9_8_7_2_Edgar Poe_0_3"),
    ]
    put_newsmtsc(tmp_path, records)
    skipped: Counter[str] = Counter()
    roe, doe, poe = newsmtsc.read(tmp_path, skipped)
    assert [(r.stance, r.sentiment, r.native) for r in (roe, doe, poe)] == [
        ("favour", None, "rw:1"),
        ("against", None, "rw:-1"),
        ("neutral", "neutral", "rw:0"),
    ]
    assert (roe.speaker, roe.counterpart, roe.hostility_low, roe.id) == (None, "Roe", None, f"rw-{records[0]['id']}")
    assert roe.group == "x_v1_12_-1"
    assert sum(skipped.values()) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "JSON with the keys"),
        (json.dumps({"mention": "x"}), "JSON with the keys"),
        (json.dumps(make_mention("Roe", 3, "Roe sat.")), "polarity -1, 0 or 1"),
        (json.dumps(make_mention("Roe", 1, "Roe sat.", "short")), "an id such as"),
    ],
)
def test_newsmtsc_errors(tmp_path: Path, line: str, message: str) -> None:
    put_newsmtsc(tmp_path, [])
    put(tmp_path / newsmtsc.FOLDER / "newsmtsc-rw-hf/train.jsonl", line + "\n")
    with pytest.raises(SourceError, match=rf"train\.jsonl, line 1: expected .*{message}"):
        list(newsmtsc.read(tmp_path))


# UNSC attitude


def put_attitude(folder: Path, rows: Sequence[tuple[str | None, str | None, str, str, str]]) -> None:
    path = folder / unsc_attitude.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook = Workbook()
    sheet = workbook.active
    sheet.append(unsc_attitude._COLUMNS)
    for row in rows:
        sheet.append(row)
    workbook.save(path)


def test_attitude_joins_the_annotations_of_a_clause(tmp_path: Path) -> None:
    speech, held, other = (f"UNSC_2014_SPV.{n}_spch001_ann_UN" for n in (7165, 7154, 7219))
    rows = [
        ("affect-positive", speech, "we thank the host", speech, "yes"),
        ("judgement-positive", speech, "we thank the host", speech, "yes"),
        ("affect-negative", speech, "we mourn and hope", speech, "yes"),
        ("affect-positive", speech, "we mourn and hope", speech, "yes"),
        (None, None, "the meeting is open", held, "no"),
        ("appreciation-negative", other, "that crisis", speech, "no"),
        (None, None, "(2000).", speech, "no"),
        (None, None, "...", speech, "no"),
    ]
    put_attitude(tmp_path, rows)
    skipped: Counter[str] = Counter()
    found = [(r.text, r.sentiment, r.native, r.split, r.group) for r in unsc_attitude.read(tmp_path, skipped)]
    assert found == [
        ("we thank the host", "positive", "affect-positive|judgement-positive", "train", "SPV.7165"),
        ("the meeting is open", "neutral", "none", "validation", "SPV.7154"),
        ("that crisis", "neutral", "none", "train", "SPV.7165"),
        ("(2000).", "neutral", "none", "train", "SPV.7165"),
    ]
    assert sum(skipped.values()) == 3


def test_attitude_errors(tmp_path: Path) -> None:
    put_attitude(tmp_path, [("anger-negative", "s", "words", "s", "yes")])
    with pytest.raises(SourceError, match=r"\.xlsx, line 2: expected appraisal yes or no"):
        list(unsc_attitude.read(tmp_path))


# SemEval


def put_semeval(folder: Path, lines: Sequence[str]) -> None:
    put(folder / semeval2016.FILES["validation"], "\r\n".join(["\t".join(semeval2016.HEADER), *lines, ""]))


def test_semeval_is_validation_only(tmp_path: Path) -> None:
    put_semeval(tmp_path, ["7\tBicycles\tRide more! #SemST\tFAVOR\tTARGET\tNEGATIVE"])
    (row,) = semeval2016.read(tmp_path)
    assert (row.text, row.counterpart, row.speaker) == ("Ride more!", "Bicycles", None)
    assert (row.stance, row.sentiment, row.hostility_low, row.split) == ("favour", "negative", None, "validation")


def test_semeval_errors(tmp_path: Path) -> None:
    put_semeval(tmp_path, ["7\tBicycles\tRide!\tMAYBE\tTARGET\tNEGATIVE"])
    with pytest.raises(SourceError, match=r"train\.txt, line 2: expected the fields"):
        list(semeval2016.read(tmp_path))
    put(tmp_path / semeval2016.FILES["validation"], "a\tb\n")
    with pytest.raises(SourceError, match="line 1: expected the header"):
        list(semeval2016.read(tmp_path))


# The build


def test_build_writes_a_corpus_that_datasets_loads(tmp_path: Path) -> None:
    paths = build(["authored"], None, tmp_path / "downloads", tmp_path / "out")
    assert set(paths) == {"train", "validation"}
    rows = [row for path in paths.values() for row in read_parquet(path)]
    assert {row.source for row in rows} == {"authored"}
    files = {split: str(path) for split, path in paths.items()}
    loaded = load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert sum(map(len, loaded.values())) == len(rows)
    assert "| authored | train |" in (tmp_path / "out" / "DATACARD.md").read_text(encoding="utf-8")


def test_build_refuses_unknown_sources(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--sources", "dse,nonsense"])
    assert "unknown sources nonsense: choose from authored, articles, dse" in capsys.readouterr().err


# Annotated articles


def write_polnear(folder: Path, text: str, annotation: str) -> Path:
    """A clone of PolNeAR with the same article in both parts, under two names."""
    for part in ("train", "dev"):
        for kind, ending, content in (("text", ".txt", text), ("attributions", "_1a2b.ann", annotation)):
            path = folder / "data" / part / kind / f"paper_2016-01-01_{part}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="")
    return folder


ARTICLE = "“Yes,” Ann said, “we\r\nagree.” It was over."
ANNOTATION = (
    "T1\tContent 0 6;17 29\t“Yes,” “we agree.”\nT2\tSource 7 10\tAnn\nT3\tCue 11 15\tsaid\n"
    "T4\tAttribution 11 15\tsaid\n"
    "E1\tAttribution:T4 Content:T1 Source:T2 Cue:T3\nT5\tCue 30 32\tIt\nE2\tAttribution-no-source:T5 Cue:T5\n"
)


def test_polnear_reads_brat(tmp_path: Path) -> None:
    skipped: Counter[str] = Counter()
    found = list(polnear.read(write_polnear(tmp_path, ARTICLE, ANNOTATION), skipped))
    assert [(a.id, a.split) for a in found] == [
        ("paper_2016-01-01_train", "train"),
        ("paper_2016-01-01_dev", "validation"),
    ]
    (attribution,) = found[0].attributions
    words = [ARTICLE[s.start : s.end] for s in (*attribution.content, *attribution.source, *attribution.cue)]
    assert words == ["“Yes,”", "“we\r\nagree.”", "Ann", "said"]
    assert skipped["attribution without content"] == 2


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ("T1\tContent 0 99\tx\n", "spans within the article"),
        ("T1\tContent 0 6\tx\nE1\tContent:T9\n", "attributions of spans that the file has"),
    ],
)
def test_polnear_refuses_broken_files(tmp_path: Path, annotation: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        list(polnear.read(write_polnear(tmp_path, ARTICLE, annotation)))
    with pytest.raises(SourceError, match=r"articles of PolNeAR"):
        list(polnear.read(tmp_path / "nowhere"))


def test_articles_that_stand_in_two_parts_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.build.locate", lambda *_: write_polnear(tmp_path, ARTICLE, ANNOTATION))
    paths = build_articles([load_manifest()["polnear"]], None, tmp_path, tmp_path / "out")
    assert list(paths) == ["articles.validation"]
    assert [a.split for a in read_articles(paths["articles.validation"])] == ["validation"]


# The real folders


@needs_clones
def test_real_polnear(tmp_path: Path) -> None:
    source = load_manifest()["polnear"]
    found = list(polnear.read(locate(source, Path(str(CLONES)), tmp_path)))
    assert Counter(a.split for a in found) == {"train": 840, "validation": 84}
    assert sum(len(a.attributions) for a in found) > 20_000


@needs_clones
@pytest.mark.parametrize("name", SOURCES)
def test_real_source(name: str, tmp_path: Path) -> None:
    source = load_manifest()[name]
    rows = list(SOURCES[name](locate(source, Path(str(CLONES)), tmp_path), Counter()))
    assert len({row.id for row in rows}) == len(rows) > 900
    assert all(row.source == name for row in rows)
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.group, set()).add(row.split)
    if name not in (
        "dse",
        "newsmtsc",
    ):  # their official splits share sentences or articles; clean_rows drops the train rows
        assert all(len(found) == 1 for found in splits.values())


@needs_clones
def test_real_dse_counts() -> None:
    skipped: Counter[str] = Counter()
    rows = list(dse.read(Path(str(CLONES)) / "dse_directed_sentiment", skipped))
    lines = {row.id.rsplit("-", 1)[0] for row in rows if row.split == "train"}
    assert 12_900 < len(lines) <= 13_144
    assert all(row.text.find(row.speaker or "") >= 0 for row in rows)


@needs_clones
def test_real_corpus_has_no_leak(tmp_path: Path) -> None:
    rows, _ = read_sources([load_manifest()[name] for name in SOURCES], Path(str(CLONES)), tmp_path)
    kept, dropped = clean_rows(rows)
    assert len(kept) + sum(dropped.values()) == len(rows)
    held = [row for row in kept if row.split != "train"]
    train = [row for row in kept if row.split == "train"]
    assert not any(row.source == "semeval2016" for row in train)
    assert not {normalise_text(row.text) for row in train} & {normalise_text(row.text) for row in held}
    assert not {(row.source, row.group) for row in train} & {(row.source, row.group) for row in held}
