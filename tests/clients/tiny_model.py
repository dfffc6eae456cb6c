"""Make a tiny llama-type chat model in a folder: random weights, fitted in seconds to three answers.

Purely random weights would answer noise until the token limit, so that tool calls and structured output could only be
seen to fail. Fitted, the model stops by itself, calls the tool that it is given and writes one JSON object: enough for
a client to see every shape that a real server sends. Nothing is downloaded; the tokenizer is built here too.

    python tiny_model.py FOLDER
"""

from __future__ import annotations

import random
import string
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

TEXT = "Hello from a tiny model, one token after the other."
OBJECT = '{"city": "Paris", "celsius": 21}'
END = "<|im_end|>"
MARKS = ["<|as_text|>", "<|as_json|>", "<|as_tool|>"]  # the template says which answer is due; the model obeys
SPECIAL = ["<|pad|>", "<|im_start|>", END, "<tool_call>", "</tool_call>", *MARKS]
WORDS = f"{TEXT} {OBJECT} please what is the weather of Paris as JSON with the keys city and celsius".split()
STEPS = 250  # at most; fitting stops as soon as the loss is below ENOUGH
ENOUGH = 0.005  # nats a token: greedy decoding is then exact by a wide margin

# Only the end of the last message is shown to the model: that is all it was fitted to read.
CHAT_TEMPLATE = """\
{%- set asked = messages | map(attribute='content') | select('string') | join(' ') -%}
{%- set last = messages[-1] -%}
<|im_start|>{{ last.role }}
{{ (last.content or '')[-40:] }}<|im_end|>
{% if add_generation_prompt -%}
{%- if tools and last.role != 'tool' -%}
<|as_tool|><|im_start|>assistant
<tool_call>{"name": "{{ (tools[0].function or tools[0]).name }}", "arguments":
{%- elif 'JSON' in asked -%}
<|as_json|><|im_start|>assistant
{% else -%}
<|as_text|><|im_start|>assistant
{% endif -%}
{%- endif -%}
"""

# How a server finds the tool call in what the model wrote: the same form as Qwen's.
RESPONSE_TEMPLATE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open_pattern": r"\s*<tool_call>",
            "close": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"\s*<\|im_end\|>", "content": "text"},
    },
}


def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be read, and the three answers take a few tokens each, spaces included."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [TEXT, OBJECT, '"name": "arguments":', "user assistant system tool"],
        trainers.BpeTrainer(vocab_size=360, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        eos_token=END,
        additional_special_tokens=SPECIAL[1:],
        chat_template=CHAT_TEMPLATE,
        response_template=RESPONSE_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def network(words: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Two layers of 64: about 100,000 random weights."""
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=words.pad_token_id,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
    )
    return LlamaForCausalLM(config)


def conversations(words: PreTrainedTokenizerFast, chance: random.Random) -> list[tuple[str, str]]:
    """Some (prompt, answer) pairs: random questions, rendered as a server will render them."""

    def noise(longest: int) -> str:
        """Letters, or words that the answers are made of: neither may say which answer is due."""
        if chance.random() < 0.5:
            return "".join(chance.choices(string.printable, k=chance.randint(1, longest)))
        return " ".join(chance.choices(WORDS, k=chance.randint(1, longest // 6)))

    def prompt(text: str, tool: str | None = None, role: str = "user") -> str:
        tools = [{"type": "function", "function": {"name": tool}}] if tool else None
        message = {"role": role, "content": text}
        return str(words.apply_chat_template([message], tools=tools, add_generation_prompt=True, tokenize=False))

    pairs = []
    for _ in range(6):
        pairs.append((prompt(noise(40), role=chance.choice(["user", "user", "tool"])), TEXT + END))
        pairs.append((prompt("JSON, " + noise(60)), OBJECT + END))
        pairs.append((prompt(noise(40), tool=noise(24)), f" {OBJECT}}}</tool_call>{END}"))
    return pairs


def batch(words: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Token ids and labels, padded on the right; only the answers are learnt."""
    rows = [(words.encode(question), words.encode(answer)) for question, answer in pairs]
    width = max(len(question) + len(answer) for question, answer in rows)
    ids = torch.full((len(rows), width), words.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (question, answer) in enumerate(rows):
        end = len(question) + len(answer)
        ids[row, :end] = torch.tensor(question + answer)
        labels[row, len(question) : end] = torch.tensor(answer)
    return {"input_ids": ids, "labels": labels, "attention_mask": (ids != words.pad_token_id).long()}


def fit(model: LlamaForCausalLM, words: PreTrainedTokenizerFast, chance: random.Random) -> float:
    """Teach `model` its answers; returns the last loss, in nats a token."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=STEPS)
    loss = float("inf")
    for _ in range(STEPS):
        out = model(**batch(words, conversations(words, chance)))
        optimizer.zero_grad()
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        loss = out.loss.item()
        if loss < ENOUGH:
            break
    return loss


def make(folder: Path) -> None:
    """Write the model to `folder`, the same every time on one machine."""
    logging.disable_progress_bar()
    torch.manual_seed(7)
    words = tokenizer()
    model = network(words)
    loss = fit(model, words, random.Random(7))
    if loss > 0.1:
        raise SystemExit(f"the tiny model did not learn its answers: loss {loss:.3f} nats a token after {STEPS} steps")
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=1024, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id
    )
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    print(f"made a tiny model: {model.num_parameters():,} weights, {len(words)} tokens, loss {loss:.4f}")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
