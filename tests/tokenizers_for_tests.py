"""A small real tokenizer, trained on the spot: none can be downloaded."""

import pytest


def trained(text: str, size: int = 400) -> bytes:
    """Give the `tokenizer.json` of a byte-level BPE that learned from a text, or skip."""
    hf = pytest.importorskip("tokenizers", reason="needs  pip install tokenizers")
    bpe = hf.Tokenizer(hf.models.BPE())
    bpe.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = hf.trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        initial_alphabet=hf.pre_tokenizers.ByteLevel.alphabet(),
    )
    bpe.train_from_iterator([text], trainer)
    definition: str = bpe.to_str()
    return definition.encode()
