"""Random models of a few thousand weights, so that the whole line can be tried in seconds without any download."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from nescio.errors import ModelError, describe_unknown

Architecture = Literal["llama", "qwen3", "gemma3", "ernie4_5"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
}


def make_tiny_model(
    folder: str | Path, *, architecture: Architecture = "llama", chat_template: str | None = CHAT_TEMPLATE, seed: int = 0
) -> Path:
    """Save a random model with a byte-level tokenizer, ready for `load_model`.

    Args:
        folder: Where it goes.
        architecture: One of `ARCHITECTURES`; `gemma3` mixes full attention with a sliding window of 64 tokens.
        chat_template: None leaves the tokenizer without one, like most base models.
        seed: Of the weights.

    Raises:
        ModelError: The architecture is unknown.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if architecture not in ARCHITECTURES:
        raise ModelError(describe_unknown("architecture", architecture, ARCHITECTURES))
    tokenizer = _make_tokenizer(chat_template)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers go on as if nothing had happened
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_make_config(architecture, tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def _make_config(architecture: Architecture, tokenizer: Any) -> Any:
    from transformers import Ernie4_5Config, Gemma3TextConfig, LlamaConfig, Qwen3Config

    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    common = _SHAPE | special | {"vocab_size": len(tokenizer), "tie_word_embeddings": True}
    if architecture == "gemma3":
        return Gemma3TextConfig(**common, sliding_window=64, layer_types=["sliding_attention", "full_attention"])
    return {"llama": LlamaConfig, "qwen3": Qwen3Config, "ernie4_5": Ernie4_5Config}[architecture](**common)


def _make_tokenizer(chat_template: str | None) -> Any:
    """One token a byte and a few merges, so that labels are several tokens long."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["the decision is correct", "the answer is uncertain", '{"decision": "refuse", "answer": "'] * 3, trainer
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|im_end|>")
    fast.chat_template = chat_template
    return fast
