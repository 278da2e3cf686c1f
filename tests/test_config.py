"""Configs: every file loads, and every mistake is named with what to do."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from detente.config import AttributionRunConfig, ConfigError, RunConfig, load_config

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
MINIMAL = """
name: note
output: out
data: {train: a.parquet, validation: b.parquet, weights: {authored: 1}}
"""


def load(tmp_path: Path, text: str, overrides: dict[str, Any] | None = None) -> RunConfig:
    path = tmp_path / "note.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, overrides)


def load_any(path: Path) -> RunConfig | AttributionRunConfig:
    return load_config(path, kind=AttributionRunConfig) if path.stem == "attribution" else load_config(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads(path: Path) -> None:
    config = load_any(path)
    assert config.name == path.stem, "a run is named after its file"


def test_configs_are_found() -> None:
    assert {"attribution", "reference", "roberta", "tiny", "tuned"} <= {path.stem for path in CONFIGS}


def test_configs_write_to_different_folders() -> None:
    outputs = [load_any(path).output for path in CONFIGS]
    assert len(set(outputs)) == len(outputs)


def test_tiny_config_is_for_a_cpu() -> None:
    config = load_config(ROOT / "configs" / "tiny.yaml")
    assert (config.output, config.base.model) == ("build/tiny/run", "build/tiny/base")
    assert (config.data.train, config.data.validation) == ("build/tiny/train.parquet", "build/tiny/validation.parquet")
    assert config.data.weights == {"authored": 1.0, "dse": 1.0}
    assert (config.encoding.max_tokens, config.encoding.overlap_tokens) == (32, 8)
    assert (config.optimiser.epochs, config.optimiser.batch_size, config.optimiser.save_steps) == (2.0, 8, 2)
    assert config.optimiser.bf16 is False


@pytest.mark.parametrize("name", ["attribution", "reference", "tuned"])
def test_shipped_configs_pin_their_base(name: str) -> None:
    base = load_any(ROOT / "configs" / f"{name}.yaml").base
    assert base.sha256 is not None and len(base.sha256) == 64


def test_defaults_come_from_the_dataclasses(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL)
    fresh = RunConfig(name="note", output="out", data=config.data)
    assert config == fresh and config.data.weights == {"authored": 1.0}
    assert isinstance(config.data.weights["authored"], float)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("sead: 1", "unknown key 'sead'; did you mean 'seed'?"),
        ("optimiser: {learning_rat: 1.0e-4}", r"unknown key 'optimiser\.learning_rat'; did you mean 'learning_rate'"),
        ("optimiser: {warmup_steps: 10}", r"unknown key 'optimiser\.warmup_steps'; did you mean 'warmup_ratio'"),
        ("zzz: 1", "unknown key 'zzz'; known are name, output, data"),
        ("1: 1", "unknown key '1'; known are"),
        ("seed: one", "seed must be int, found 'one'"),
        ("seed: 1.5", "seed must be int, found 1.5"),
        ("seed: true", "seed must be int, found True"),
        ("seed: null", "seed must be int, found None"),
        ("optimiser: {bf16: 1}", r"optimiser\.bf16 must be bool, found 1"),
        ("optimiser: {bf16: 'no'}", r"optimiser\.bf16 must be bool, found 'no'"),
        ("optimiser: {epochs: true}", r"optimiser\.epochs must be float, found True"),
        ("optimiser: {adapter_rank: big}", r"optimiser\.adapter_rank must be int, found 'big'"),
        ("optimiser: {learning_rate: 1e-5}", r"optimiser\.learning_rate must be float, found '1e-5' .*write 1\.0e-5"),
        ("optimiser: 3", r"^optimiser must be a mapping, found 3"),
        ("optimiser:", r"^optimiser must be a mapping, found None"),
        ("report_to: [a]", "report_to must be str, found"),
        ("optimiser: {epochs: 0}", r"out of range: optimiser\.epochs"),
        ("optimiser: {batch_size: 0}", r"out of range: optimiser\.batch_size"),
        ("optimiser: {learning_rate: -1.0e-4}", r"out of range: optimiser\.learning_rate"),
        ("optimiser: {learning_rate: .nan}", r"out of range: optimiser\.learning_rate"),
        ("optimiser: {dropout: 1.0}", r"out of range: optimiser\.dropout"),
        ("optimiser: {label_smoothing: 1.0}", r"out of range: optimiser\.label_smoothing"),
        ("calibration: {selective_risk: 0}", r"out of range: calibration\.selective_risk"),
        ("encoding: {max_tokens: 32, overlap_tokens: 28}", r"out of range: encoding\.overlap_tokens"),
        ("optimiser: {epochs: 0, dropout: 2.0}", r"out of range: optimiser\.epochs, optimiser\.dropout"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"{MINIMAL}{extra}\n")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("{}", r"out of range: data\.weights"),
        ("{authored: 0}", r"out of range: data\.weights"),
        ("{authored: heavy}", r"data\.weights\.authored must be float, found 'heavy'"),
        ("[authored]", r"data\.weights must be Mapping"),
        ("null", r"data\.weights must be Mapping"),
    ],
)
def test_weights_are_checked(tmp_path: Path, weights: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, MINIMAL.replace("{authored: 1}", weights))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("output: out", "missing key 'name', 'data'"),
        ("name: n\noutput: o\ndata: {train: t}", r"missing key 'data\.validation', 'data\.weights'"),
        ("- a\n- b", "must hold a mapping of keys to values, found list"),
        ("", "must hold a mapping of keys to values, found NoneType"),
        ("name: [", r"note\.yaml is not valid YAML"),
    ],
)
def test_incomplete_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_overrides_win_and_are_checked(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL, {"optimiser.epochs": 1, "seed": 7, "data.max_rows": 5, "base.revision": None})
    assert (config.optimiser.epochs, config.seed, config.data.max_rows) == (1.0, 7, 5)
    with pytest.raises(ConfigError, match=r"unknown key 'optimiser\.epoch'; did you mean 'epochs'"):
        load(tmp_path, MINIMAL, {"optimiser.epoch": 1})


@pytest.mark.parametrize("dotted", ["name.first", "data.train.path"])
def test_override_below_a_plain_value_is_named(tmp_path: Path, dotted: str) -> None:
    with pytest.raises(ConfigError, match=dotted.rsplit(".", 1)[0]):
        load(tmp_path, MINIMAL, {dotted: 1})


def test_override_fills_an_empty_section(tmp_path: Path) -> None:
    assert load(tmp_path, f"{MINIMAL}optimiser:\n", {"optimiser.epochs": 2}).optimiser.epochs == 2.0


def test_resolved_config_loads_again(tmp_path: Path) -> None:
    config = load_config(ROOT / "configs" / "reference.yaml")
    assert load(tmp_path, yaml.safe_dump(dataclasses.asdict(config))) == config
