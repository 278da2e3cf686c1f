"""A tiny seeded base model, so that tests need no network and no weights."""

import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = re.findall(
    r"\w+",
    """
the a an of to in and is are was we they he she it you not no do our their with for on by will must never against
want good bad relation peace war sanction threat threaten talk talks agree support reject condemn welcome help lie
government president minister country people army world news said say says called calls regime killer ally friend
enemy pay price respond attack aid praise criticise criticism accuse hostile outburst despite all these deep concern
""",
)
_SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_ENDINGS = ("s", "ed", "ing", "er", "ion", "ly", "al", "ful", "ness", "ment", "able", "ive")


def list_tiny_vocabulary() -> list[str]:
    """Special tokens, printable ASCII and a few other characters alone and as word pieces, then some words."""
    upper = set(string.ascii_uppercase)
    characters = [c for c in map(chr, range(33, 127)) if c not in upper] + list("’‘“”–—…€")
    pieces = [f"##{c}" for c in characters if c.isalnum()]
    tokens = [*SPECIAL, *characters, *pieces, *_WORDS, *(f"##{ending}" for ending in _ENDINGS)]
    return list(dict.fromkeys(tokens))


def build_tiny_tokenizer(path: Path | str) -> None:
    """Writes a lower-casing WordPiece ``tokenizer.json`` to ``path``; it has the layout of BERT's own."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    vocabulary = {token: i for i, token in enumerate(list_tiny_vocabulary())}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106  # a token of text
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(path))


def _save_seeded(config: "PretrainedConfig", folder: Path, seed: int) -> None:
    import torch
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config).save_pretrained(folder)


def build_tiny_base(folder: Path | str, *, seed: int = 0) -> None:
    """Saves a seeded BERT of 2 layers, hidden size 32, with its tokenizer, as a base for training."""
    from transformers import BertConfig, PreTrainedTokenizerFast

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = BertConfig(
        vocab_size=len(list_tiny_vocabulary()),
        **_SHAPE,
        max_position_embeddings=128,
        pad_token_id=0,
    )
    _save_seeded(config, folder, seed)
    build_tiny_tokenizer(folder / "tokenizer.json")
    names = {f"{token[1:-1].lower()}_token": token for token in SPECIAL}
    PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names).save_pretrained(folder)


def build_tiny_roberta(folder: Path | str, *, seed: int = 0) -> None:
    """Saves a seeded RoBERTa of 2 layers, hidden size 32, with a byte-level tokenizer of no merges."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import RobertaConfig

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    special = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate((*special[:4], *alphabet, special[4]))}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(special))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = RobertaConfig(
        vocab_size=len(vocabulary),
        **_SHAPE,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
    )
    _save_seeded(config, folder, seed)


def build_tiny_deberta(folder: Path | str, *, seed: int = 0) -> None:
    """Saves a seeded DeBERTa-v3 of 2 layers, hidden size 32; its embedding table is longer than its vocabulary."""
    from transformers import DebertaV2Config

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    build_tiny_tokenizer(folder / "tokenizer.json")
    config = DebertaV2Config(
        vocab_size=len(list_tiny_vocabulary()) + 7,
        **_SHAPE,
        max_position_embeddings=128,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        pad_token_id=0,
    )
    _save_seeded(config, folder, seed)
