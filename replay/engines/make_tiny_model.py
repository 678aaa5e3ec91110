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
{%- macro words(content) %}
{%- if content is string %}{{ content }}
{%- else %}{% for part in content or [] %}{{ part.text }}{% endfor %}{% endif %}
{%- endmacro %}
{%- set first = messages[0] if messages else none %}
{%- set rules = words(first.content) if first and first.role == "system" else "" %}
{%- if tools or rules %}<|im_start|>system
{{ rules }}
{%- if tools %}{{ "\\n\\n" }}# Functions
Call one by writing its name and arguments as JSON between <tool_call> and </tool_call>.
<tools>
{%- for tool in tools %}{{ "\\n" }}{{ tool | tojson }}{% endfor %}
{{- "\\n</tools>" }}
{%- endif %}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == "system" %}
{%- if not loop.first %}{{ raise_exception("a system message must be the first") }}{% endif %}
{%- elif message.role == "tool" %}
{%- if loop.first or loop.previtem.role != "tool" %}
{%- if loop.first or not loop.previtem.tool_calls %}
{{- raise_exception("the result of a tool must follow its call") }}
{%- endif %}<|im_start|>user
{%- endif %}{{ "\\n<tool_response>\\n" }}
{{- words(message.content) }}{{ "\\n</tool_response>" }}
{%- if loop.last or loop.nextitem.role != "tool" %}<|im_end|>
{% endif %}
{%- elif message.role in ("user", "assistant") %}<|im_start|>{{ message.role }}
{{ words(message.content) }}
{%- for call in message.tool_calls or [] %}{{ "\\n<tool_call>\\n" -}}
{"name": {{ call.function.name | tojson }}, "arguments":
{%- if call.function.arguments is mapping %} {{ call.function.arguments | tojson }}
{%- else %} {{ call.function.arguments }}{% endif %}}{{ "\\n</tool_call>" }}
{%- endfor %}<|im_end|>
{% else %}{{ raise_exception("unknown role: " + message.role) }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""as Qwen's and Hermes': tools in the system message, calls and results in tags, results together

It refuses what strict templates refuse, so that a replay which is accepted here is so elsewhere.
"""


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
