"""What one answer is made with: the reply, the question, an id, the time, and what its templates may say."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from gateway.model.usage import Usage
from gateway.providers.scripting.request import Question
from gateway.providers.scripting.script import Reply, Script, Untold, fill


class Scene(msgspec.Struct, frozen=True, dict=True):
    """`token` is unique to the request and follows from the seed; `now` is Unix time in seconds."""

    script: Script
    question: Question
    reply: Reply
    token: str
    count: int
    now: int

    def id(self, prefix: str) -> str:
        """An id of this request that begins with `prefix`."""
        return prefix + self.token

    @cached_property
    def values(self) -> dict[str, str]:
        """What `{{ name }}` stands for."""
        question = self.question
        return {
            "question": question.text,
            "model": question.model,
            "system": question.system,
            "turn": str(question.turn),
            "tool_result": question.tool_result,
            "count": str(self.count),
            "choice": "0",
        }

    def text(self, choice: int = 0) -> str:
        """The reply's text, filled in for choice number `choice`; without any, the question is echoed."""
        template = self.reply.text if self.reply.text is not None else "You said: {{ question }}"
        if "{{" in template:
            template = fill(template, self.values if choice == 0 else {**self.values, "choice": str(choice)})
        return template * self.reply.repeat

    def usage(self, input_tokens: int, output_tokens: int) -> Usage:
        """What is billed: what the script says, else what was counted."""
        said = self.reply.usage
        return Usage(
            input_tokens=input_tokens if said.input_tokens is None else said.input_tokens,
            output_tokens=output_tokens if said.output_tokens is None else said.output_tokens,
            cache_read_tokens=said.cache_read_tokens,
            cache_write_tokens=said.cache_write_tokens,
            reasoning_tokens=said.reasoning_tokens,
        )

    @property
    def tells_usage(self) -> bool:
        """Whether the answer may say what it cost."""
        return not isinstance(self.reply.usage, Untold)

    def told(self, usage: dict[str, Any]) -> dict[str, Any]:
        """`{"usage": usage}`, or nothing where the script says `none`."""
        return {"usage": usage} if self.tells_usage else {}


def openai_usage(usage: Usage) -> dict[str, Any]:
    """Usage in the words of chat and completions."""
    prompt = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def token_usage(usage: Usage) -> dict[str, Any]:
    """Usage in the words of audio, images and batches."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
