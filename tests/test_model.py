"""The network: loaded by the Auto classes, ordinal logits, padding, role tokens, another base."""

import shutil
from pathlib import Path

import pytest
import torch
from tiny import build_tiny_deberta, list_tiny_vocabulary
from transformers import AutoConfig, AutoModel, DebertaV2Config, RobertaConfig, RobertaModel

from detente.encoding import ROLE_TOKENS
from detente.model import DetenteConfig, DetenteModel, build_model

TOLERANCE = 1e-5


@pytest.fixture
def model(trained: Path) -> DetenteModel:
    return DetenteModel.from_pretrained(trained).eval()


def make_batch(model: DetenteModel) -> torch.Tensor:
    """(2, 6) ids: the two roles, four words."""
    role = model.config.encoder.vocab_size
    return torch.tensor([[2, role, role + 1, 60, 61, 3], [2, role + 2, role + 3, 70, 71, 3]])


def run(model: DetenteModel, ids: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return dict(model(input_ids=ids, attention_mask=torch.ones_like(ids) if mask is None else mask))


def test_auto_classes_load_the_folder(trained: Path, model: DetenteModel) -> None:
    assert isinstance(AutoConfig.from_pretrained(trained), DetenteConfig)
    loaded = AutoModel.from_pretrained(trained).eval()
    assert isinstance(loaded, DetenteModel)
    found, expected = run(loaded, make_batch(model)), run(model, make_batch(model))
    assert all(torch.equal(found[head], expected[head]) for head in expected)


def test_padding_makes_no_difference(model: DetenteModel) -> None:
    ids = make_batch(model)
    padded = torch.nn.functional.pad(ids, (0, 9))
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 9))
    alone, company = run(model, ids), run(model, padded, mask)
    for head, logits in alone.items():
        torch.testing.assert_close(company[head], logits, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("role", range(len(ROLE_TOKENS)))
def test_each_role_token_has_its_own_embedding(trained: Path, role: int) -> None:
    """Changing one role's row changes the sequences with that role, and no others."""
    model = DetenteModel.from_pretrained(trained).eval()
    ids = make_batch(model)
    before = run(model, ids)["stance"]
    with torch.no_grad():
        model.roles.weight[role] = torch.linspace(-3, 3, 32)  # layer norm takes out a constant
    moved = (run(model, ids)["stance"] - before).abs().max(dim=1).values > TOLERANCE
    assert moved.tolist() == [role < 2, role >= 2]


def test_pooling_follows_the_roles(model: DetenteModel) -> None:
    """The two roles in the other order, the words alike: another score."""
    ids = make_batch(model)[:1]
    role = model.config.encoder.vocab_size
    text = torch.cat([ids[:, :3], torch.tensor([[role, 60, role + 1]]), ids[:, 3:]], dim=1)
    swapped = torch.where(text == role, role + 1, torch.where(text == role + 1, role, text))
    swapped[:, 1:3] = text[:, 1:3]
    assert not torch.allclose(run(model, text)["stance"], run(model, swapped)["stance"], atol=TOLERANCE)


def test_saved_equals_loaded(model: DetenteModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = DetenteModel.from_pretrained(tmp_path).eval()
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_roberta_is_a_base_too(tmp_path: Path) -> None:
    """A base of another family, which counts positions from the padding id on."""
    config = RobertaConfig(
        vocab_size=80,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    RobertaModel(config).save_pretrained(tmp_path / "base")
    built = build_model(str(tmp_path / "base")).eval()
    assert torch.equal(
        built.encoder.get_input_embeddings().weight,
        RobertaModel.from_pretrained(tmp_path / "base").get_input_embeddings().weight,
    )
    ids = torch.tensor([[0, 80, 81, 7, 80, 9, 2]])
    alone = run(built, ids)
    mask = torch.nn.functional.pad(torch.ones_like(ids), (0, 5))
    company = run(built, torch.nn.functional.pad(ids, (0, 5)), mask)
    torch.testing.assert_close(company["stance"], alone["stance"], atol=TOLERANCE, rtol=0)
    built.save_pretrained(tmp_path / "model")
    loaded = AutoModel.from_pretrained(tmp_path / "model").eval()
    torch.testing.assert_close(run(loaded, ids)["stance"], alone["stance"], atol=TOLERANCE, rtol=0)
    shutil.rmtree(tmp_path / "base")  # the saved network needs its base no more
    assert isinstance(AutoModel.from_pretrained(tmp_path / "model"), DetenteModel)


def test_role_tokens_follow_the_tokenizer_where_the_table_is_padded(tmp_path: Path) -> None:
    """Some bases, DeBERTa-v3 among them, have spare rows: without the cut a role token would be read as one of them."""
    build_tiny_deberta(tmp_path)
    ids = len(list_tiny_vocabulary())
    built = build_model(str(tmp_path), vocabulary=ids)
    assert built.encoder.get_input_embeddings().num_embeddings == built.config.encoder.vocab_size == ids
    rows = DebertaV2Config.from_pretrained(tmp_path).vocab_size
    assert rows > ids
    with pytest.raises(ValueError, match=f"its tokenizer has {rows + 1} ids, its embedding table only {rows} rows"):
        build_model(str(tmp_path), vocabulary=rows + 1)
