"""Write a tiny Qwen3 model with random weights and a tokenizer, for real engines on a plain CPU.

usage: python make_tiny_model.py FOLDER [--layers 2] [--hidden 128] [--vocab 8192] [--context 32768]

Runs in an engine's environment, which has torch, transformers and tokenizers. Nothing is
downloaded: the tokenizer learns from Python's own standard library. The weights mean nothing;
the model is for mechanics (caching, scheduling, time), never for quality. A folder that this
version of the file wrote with the same arguments is left as it is.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>{"name": {{ call.function.name | tojson }}, "arguments":
{%- if call.function.arguments is string %} {{ call.function.arguments }}
{%- else %} {{ call.function.arguments | tojson }}{% endif %}}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""renders tools and tool calls, so that what an agent sent is part of the prompt; null is empty"""


def main() -> None:
    """Write the model unless it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--vocab", type=int, default=8192)
    parser.add_argument("--context", type=int, default=32768)
    arguments = parser.parse_args()
    shape = (arguments.layers, arguments.hidden, arguments.vocab, arguments.context)
    recipe = hashlib.sha256(Path(__file__).read_bytes() + repr(shape).encode()).hexdigest()
    stamp = arguments.folder / "recipe.sha256"
    if stamp.exists() and stamp.read_text() == recipe:
        return
    vocabulary = write_tokenizer(arguments.folder, arguments.vocab)
    count = write_model(arguments, *vocabulary)
    stamp.write_text(recipe)
    sys.stdout.write(f"{count:,} parameters in {arguments.folder}\n")


def write_tokenizer(folder: Path, size: int) -> tuple[int, int]:
    """Train a byte-level BPE on the standard library; gives its length and its end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = sorted(Path(os.__file__).parent.glob("*.py"))[:200]
    bpe.train([str(text) for text in texts], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, **{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(tokenizer), tokenizer.eos_token_id


def write_model(arguments: argparse.Namespace, vocabulary: int, end_token: int) -> int:
    """Write random weights, the same ones every time; gives the number of parameters."""
    import torch  # noqa: PLC0415
    from transformers import Qwen3Config, Qwen3ForCausalLM  # noqa: PLC0415

    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=arguments.hidden,
            intermediate_size=2 * arguments.hidden,
            num_hidden_layers=arguments.layers,
            num_attention_heads=arguments.hidden // 64,
            num_key_value_heads=max(1, arguments.hidden // 128),
            head_dim=64,
            max_position_embeddings=arguments.context,
            tie_word_embeddings=True,
            eos_token_id=end_token,
        )
    )
    model.save_pretrained(arguments.folder)
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
