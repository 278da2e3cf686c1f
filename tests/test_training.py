"""A tiny training run: golden losses, resuming, seeds, adapters, calibration."""

import dataclasses
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import LEARNS, ROOT, MakeConfig, make_rows
from safetensors.torch import load_file
from tiny import build_tiny_deberta, build_tiny_roberta

from detente import training
from detente.artifact import TOKENIZER, WEIGHTS, check_files, read_manifest, write_manifest
from detente.calibration import Calibration, HeadCalibration, compute_probabilities
from detente.classifier import Classifier
from detente.config import load_config
from detente.corpus import write_parquet
from detente.encoding import ROLE_TOKENS, load_tokenizer
from detente.labels import HEADS
from detente.losses import MISSING
from detente.model import DetenteConfig
from detente.training import DistilSettings, average, calibrate, distil, encode_rows, finetune

LOSS_TOLERANCE = 2e-3
SECONDS = 60
"""Far above what a tiny run takes on an idle machine."""


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def test_tiny_run_is_quick_and_learns(make_config: MakeConfig, tmp_path: Path) -> None:
    begin = time.monotonic()
    folder = finetune(make_config(tmp_path, **LEARNS | {"optimiser.epochs": 20}))
    assert time.monotonic() - begin < SECONDS
    losses = [entry["loss"] for entry in json.loads((tmp_path / "training.json").read_text()) if "loss" in entry]
    assert losses[-1] < 0.8 * losses[0]
    rows = [row for row in make_rows("train") if row.stance is not None]
    scores = Classifier.from_pretrained(folder).score_many([row.to_statement() for row in rows])
    assert sum(s.stance_label == row.stance for s, row in zip(scores, rows, strict=True)) > 0.8 * len(rows)


def test_golden_losses(make_config: MakeConfig, tmp_path: Path, golden: Callable[[str, Any], Any]) -> None:
    finetune(make_config(tmp_path, **LEARNS | {"optimiser.epochs": 15, "optimiser.batch_size": 6}))
    log = json.loads((tmp_path / "training.json").read_text())
    found = {f"steps to {entry['step']}": entry["loss"] for entry in log if "loss" in entry}
    found["mean"] = next(entry["train_loss"] for entry in log if "train_loss" in entry)
    assert len(found) == 4
    assert found == pytest.approx(golden("losses", found), rel=LOSS_TOLERANCE)


def test_same_seed_same_weights_and_another_seed_others(trained: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    same = load_weights(finetune(make_config(tmp_path / "same", **LEARNS)))
    other = load_weights(finetune(make_config(tmp_path / "other", seed=12345, **LEARNS)))
    expected = load_weights(trained)
    assert same.keys() == expected.keys()
    assert all(torch.equal(tensor, same[name]) for name, tensor in expected.items())
    assert not torch.equal(other["stance.weight"], expected["stance.weight"])


@pytest.mark.parametrize("build_base", [build_tiny_roberta, build_tiny_deberta])
def test_a_larger_base_is_one_config_away(build_base: Callable[[Path], None], corpus: Path, tmp_path: Path) -> None:
    """configs/roberta.yaml on random twins: it trains, is saved, and tells the two directions apart."""
    build_base(tmp_path / "base")
    twin = {
        "base.model": str(tmp_path / "base"),
        "data.train": str(corpus / "train.parquet"),
        "data.validation": str(corpus / "validation.parquet"),
        "data.weights": {"invented": 1.0, "partial": 0.5},
        "output": str(tmp_path / "run"),
        "optimiser.bf16": False,
        "optimiser.epochs": 1,
    }
    folder = finetune(load_config(ROOT / "configs" / "roberta.yaml", twin))
    check_files(folder, read_manifest(folder))
    first_role = load_tokenizer(str(folder / TOKENIZER)).token_to_id(ROLE_TOKENS[0])
    assert DetenteConfig.from_pretrained(folder).encoder.vocab_size == first_role
    classifier = Classifier.from_pretrained(folder)
    ahead = classifier.score("Norway threatens Canada.", "Norway", "Canada")
    assert ahead.stance != classifier.score("Norway threatens Canada.", "Canada", "Norway").stance
    assert ahead.stance == classifier.score("Kenya threatens Portugal.", "Kenya", "Portugal").stance


@pytest.mark.parametrize("adapter_rank", [None, 4])
def test_killed_run_resumes_from_its_checkpoint(
    make_config: MakeConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    adapter_rank: int | None,
) -> None:
    """The run goes on where its last checkpoint stands, and ends where an unbroken run ends."""
    overrides = {
        "optimiser.epochs": 2,
        "optimiser.batch_size": 10,
        "optimiser.save_steps": 5,
        "optimiser.adapter_rank": adapter_rank,
    }
    expected = load_weights(finetune(make_config(tmp_path / "unbroken", **overrides)))
    collate, batches = training.collate, 0

    def stop_at_eighth(batch: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        nonlocal batches
        batches += 1
        if batches == 8:
            raise KeyboardInterrupt
        return collate(batch)

    config = make_config(tmp_path / "killed", **overrides)
    monkeypatch.setattr(training, "collate", stop_at_eighth)
    with pytest.raises(KeyboardInterrupt):
        finetune(config)
    assert not (tmp_path / "killed" / "model").exists()
    batches = 100
    with caplog.at_level(logging.INFO, "detente"):
        resumed = load_weights(finetune(config))
    assert "checkpoint-5" in caplog.text
    assert batches - 100 == 12 - 5, "two epochs of six batches, less the five that the checkpoint has seen"
    for name, tensor in expected.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=0)


def test_frozen_embeddings_stay_and_the_rest_moves(trained: Path, tiny_base: Path) -> None:
    weights, base = load_weights(trained), load_file(tiny_base / WEIGHTS)
    for table in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        assert torch.equal(weights[f"encoder.embeddings.{table}.weight"], base[f"embeddings.{table}.weight"])
    layer = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(weights[f"encoder.{layer}"], base[layer])


def test_a_run_goes_on_from_a_model(trained: Path, make_config: MakeConfig, tiny_base: Path, tmp_path: Path) -> None:
    rates = {"optimiser.learning_rate": 1.0e-9, "optimiser.head_learning_rate": 1.0e-9, "optimiser.epochs": 1}
    folder = finetune(make_config(tmp_path, start=str(trained), **rates))
    before, after, base = load_weights(trained), load_weights(folder), load_file(tiny_base / WEIGHTS)
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=0, atol=1e-5, msg=name)
    table = "embeddings.word_embeddings.weight"
    assert torch.equal(after[f"encoder.{table}"], base[table])
    manifest = read_manifest(folder)
    assert manifest.run["started_from"] == read_manifest(trained).model_version != manifest.model_version


def test_consistency_changes_what_is_learnt(trained: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    folder = finetune(make_config(tmp_path, **{"optimiser.consistency_weight": 5.0}))
    plain, consistent = load_weights(trained), load_weights(folder)
    assert not torch.equal(plain["mix.weight"], consistent["mix.weight"])
    log = json.loads((tmp_path / "training.json").read_text())
    assert all(np.isfinite(entry["loss"]) for entry in log if "loss" in entry)


def test_lora_run_is_merged_and_scores(make_config: MakeConfig, tiny_base: Path, tmp_path: Path) -> None:
    folder = finetune(make_config(tmp_path, **{"optimiser.adapter_rank": 4}))
    check_files(folder, read_manifest(folder))
    layer = "encoder.layer.0.attention.self.query.weight"
    change = load_weights(folder)[f"encoder.{layer}"] - load_file(tiny_base / WEIGHTS)[layer]
    assert 1 <= int(torch.linalg.matrix_rank(change, atol=1e-6)) <= 4
    assert Classifier.from_pretrained(folder).score("Norway attacks Canada.", "Norway", "Canada").confidence > 0


def test_calibration_is_written(trained: Path) -> None:
    calibration = read_manifest(trained).calibration
    assert set(calibration.heads) == {"stance", "hostility", "sentiment"}
    assert all(found != HeadCalibration() and found.temperature > 0 for found in calibration.heads.values())
    assert 0 < calibration.review_below <= 1
    assert calibration.selective_risk == read_manifest(trained).run["calibration"]["selective_risk"]


def test_calibrating_anew_changes_nothing(trained: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    """The logits that are fitted are uncalibrated ones, whatever calibration the folder has."""
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    before = read_manifest(folder).calibration
    assert before != Calibration.identity()
    assert calibrate(folder, make_config(tmp_path)) == before == read_manifest(folder).calibration


def test_manifest_says_where_the_model_comes_from(trained: Path, make_config: MakeConfig, tmp_path: Path) -> None:
    manifest = read_manifest(trained)
    config = make_config(tmp_path)
    assert manifest.model_version.startswith(f"{config.name}-")
    assert set(manifest.data_sha256) == {"train.parquet", "validation.parquet"}
    assert manifest.run["seed"] == config.seed
    assert manifest.run["data"]["weights"] == config.data.weights


def test_rows_become_numbers(classifier: Classifier) -> None:
    rows = [make_rows("train")[0], make_rows("train")[9]]
    full, bare = encode_rows(rows, classifier._encoder, {"invented": 1.0, "partial": 0.5})
    assert (full.stance, full.hostility_low, full.hostility_high, full.sentiment, full.weight) == (0, 0, 0, 2, 1.0)
    assert (bare.stance, bare.hostility_low, bare.hostility_high, bare.sentiment) == (MISSING, MISSING, MISSING, 0)
    assert bare.weight == 0.5


def test_long_row_is_trained_on_by_its_first_window(classifier: Classifier, caplog: pytest.LogCaptureFixture) -> None:
    row = make_rows("train")[0]
    long = dataclasses.replace(row, text="We want peace. " * 200)
    with caplog.at_level(logging.WARNING, "detente"):
        found = encode_rows([row, long], classifier._encoder, {"invented": 1.0})
    assert "1 of 2 rows are longer than a window" in caplog.text
    assert len(found[1].input_ids) == classifier.manifest.max_tokens


def test_missing_source_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(tmp_path, **{"data.weights": {"invented": 1.0, "elsewhere": 1.0}})
    with pytest.raises(ValueError, match=r"no row of elsewhere in .*train\.parquet: build the data, or drop it"):
        finetune(config)
    assert not (tmp_path / "model").exists()


def test_source_without_validation_rows_is_named_with_its_file(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    write_parquet([r for r in make_rows("validation") if r.source == "invented"], tmp_path / "held.parquet")
    with pytest.raises(ValueError, match=r"no row of partial in .*held\.parquet"):
        calibrate(trained, make_config(tmp_path, **{"data.validation": str(tmp_path / "held.parquet")}))


def test_missing_data_file_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet is not there: python -m data\.build writes it"):
        finetune(make_config(tmp_path, **{"data.train": str(tmp_path / "none.parquet")}))


def test_average_is_the_mean_and_loads(make_config: MakeConfig, trained: Path, tmp_path: Path) -> None:
    other = finetune(make_config(tmp_path / "other", seed=2, **LEARNS))
    folder = average([trained, other], tmp_path / "average")
    check_files(folder, read_manifest(folder))
    first, second, mean = (load_weights(f) for f in (trained, other, folder))
    for name, tensor in mean.items():
        assert torch.allclose(tensor, (first[name] + second[name]) / 2, atol=1e-6), name
    manifest = read_manifest(folder)
    assert manifest.model_version.startswith("average-")
    assert set(manifest.run["average_of"]) == {read_manifest(f).model_version for f in (trained, other)}
    assert manifest.calibration == Calibration.identity()
    Classifier.from_pretrained(folder).score("Norway attacks Canada.", "Norway", "Canada")


def test_average_counts_a_folder_as_often_as_it_is_named(
    make_config: MakeConfig, trained: Path, tmp_path: Path
) -> None:
    other = finetune(make_config(tmp_path / "other", seed=2))
    folder = average([trained, other, trained], tmp_path / "average")
    first, second, mean = (load_weights(path) for path in (trained, other, folder))
    torch.testing.assert_close(mean["mix.weight"], (2 * first["mix.weight"] + second["mix.weight"]) / 3)
    table = "encoder.embeddings.word_embeddings.weight"
    assert torch.equal(mean[table], first[table]), "what all have alike stays to the last bit"
    shares = read_manifest(folder).run["shares"]
    assert shares == pytest.approx(
        {read_manifest(trained).model_version: 2 / 3, read_manifest(other).model_version: 1 / 3}
    )


def test_a_source_of_one_stance_does_not_pull_the_calibration() -> None:
    random = np.random.default_rng(0)
    rows = [row for row in make_rows("train") if row.stance is not None]
    one_sided = [dataclasses.replace(row, source="speeches", stance="against") for row in rows]
    logits = {head: random.normal(size=(2 * len(rows), len(HEADS[head]))) for head in HEADS}
    half = {head: values[: len(rows)] for head, values in logits.items()}
    both = training.fit_calibration([*rows, *one_sided], logits, 0.1)
    assert both.heads["stance"] == training.fit_calibration(rows, half, 0.1).heads["stance"]
    assert both.heads["hostility"] != training.fit_calibration(rows, half, 0.1).heads["hostility"]


def test_average_refuses_what_does_not_match(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two or more folders, found 1"):
        average([trained], tmp_path / "average")
    other = Path(shutil.copytree(trained, tmp_path / "other"))
    write_manifest(other, dataclasses.replace(read_manifest(other), max_tokens=16))
    with pytest.raises(ValueError, match="differ in base or sequence length"):
        average([trained, other], tmp_path / "average")
    assert not (tmp_path / "average").exists()


def test_two_processes_learn_what_one_does(tiny_base: Path, corpus: Path, tmp_path: Path) -> None:
    """60 rows in batches of 12, whole or in halves, without dropout."""
    settings = {
        "base.model": tiny_base,
        "base.sha256": "null",
        "data.train": corpus / "train.parquet",
        "data.validation": corpus / "validation.parquet",
        "data.weights": "{invented: 1.0, partial: 0.5}",
        "optimiser.epochs": 20,
        "optimiser.batch_size": 12,
        "optimiser.dropout": "0.0",
        "optimiser.encoder_dropout": "0.0",
        "optimiser.save_steps": 500,
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    accelerate = [str(Path(sys.executable).with_name("accelerate")), "launch", "--cpu", "--num_machines", "1"]
    two = [*accelerate, "--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no"]
    losses, weights = [], []
    for name, start in (("one", [sys.executable]), ("two", [*two, "--main_process_port", str(port)])):
        pairs = [f"{key}={value}" for key, value in {**settings, "output": tmp_path / name}.items()]
        options = [part for pair in pairs for part in ("--set", pair)]
        command = [*start, "-m", "train.finetune", "--config", "configs/tiny.yaml", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        history = json.loads((tmp_path / name / "training.json").read_text(encoding="utf-8"))
        losses.append([row.get("loss", row.get("train_loss")) for row in history])
        weights.append(load_file(tmp_path / name / "model" / WEIGHTS))
    assert len(losses[0]) == 3 and losses[1] == pytest.approx(losses[0], rel=1e-4)
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, atol=1e-3, err_msg=name)


def test_batch_that_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "PartialState", lambda: SimpleNamespace(num_processes=3))
    assert training.share_batch(12) == 4
    with pytest.raises(ValueError, match="batch_size is 8, which 3 processes cannot share equally"):
        training.share_batch(8)


def test_a_student_comes_nearer_to_what_its_teachers_say_on_average(
    trained: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    other = finetune(make_config(tmp_path / "other", seed=12345, **LEARNS))
    rows = make_rows("train")
    settings = DistilSettings(statements=60, epochs=150, learning_rate=2e-3)
    student = distil([trained, other], trained, rows, tmp_path / "student", settings)
    check_files(student, read_manifest(student))
    assert read_manifest(student).run["distilled"]["teachers"] == [
        read_manifest(f).model_version for f in (trained, other)
    ]
    statements = [row.to_statement() for row in rows]
    said = [Classifier.from_pretrained(folder).compute_logits(statements) for folder in (trained, other, student)]
    for head in ("stance", "hostility", "sentiment"):
        first, _, found = (compute_probabilities(logits[head], HeadCalibration()) for logits in said)
        mean = compute_probabilities((said[0][head] + said[1][head]) / 2, HeadCalibration())
        assert np.abs(found - mean).mean() < 0.7 * np.abs(first - mean).mean(), head
    with pytest.raises(FileExistsError):
        distil([trained], trained, rows, student, settings)
