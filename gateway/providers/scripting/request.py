"""A request as a script sees it: the bytes, and what its rules ask about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.script import Endpoint

Tool = Literal["wanted", "answered"]
_NO_HEADERS: Mapping[str, str] = {}


class Ask(msgspec.Struct, frozen=True):
    """One HTTP request. `target` is the path with or without `/v1`, and its query; header names are in lower case."""

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = _NO_HEADERS


class Question:
    """What is asked, in the words of `when`. `body` is the request's JSON, or its form fields."""

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        self.endpoint = endpoint
        self.body = body

    @cached_property
    def model(self) -> str:
        """The model's name, empty where the endpoint takes none."""
        model = self.body.get("model")
        return model if isinstance(model, str) else ""

    @cached_property
    def messages(self) -> list[Mapping[str, Any]]:
        """The conversation. Raises `Refused` if it is not a list of objects with a role."""
        messages = self.body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise wrong("messages", "Invalid value for 'messages': expected a list of at least one message.")
        for index, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise wrong(f"messages.[{index}].role", f"Missing required parameter: 'messages[{index}].role'.")
        return messages

    @cached_property
    def text(self) -> str:
        """The question: the last user message, the prompt, the input or the query."""
        if self.endpoint == "chat":
            users = [message for message in self.messages if message["role"] == "user"]
            return text_of(users[-1].get("content")) if users else ""
        for name in ("prompt", "input", "query"):
            if name in self.body:
                return text_of(self.body[name])
        return ""

    @cached_property
    def system(self) -> str:
        """The system and developer messages."""
        if self.endpoint != "chat":
            return ""
        texts = [text_of(one.get("content")) for one in self.messages if one["role"] in ("system", "developer")]
        return "\n".join(texts)

    @cached_property
    def turn(self) -> int:
        """How many user messages there are."""
        if self.endpoint != "chat":
            return 1
        return sum(message["role"] == "user" for message in self.messages)

    @property
    def stream(self) -> bool:
        """Whether the answer is to be streamed."""
        return self.body.get("stream") in (True, "true")

    @cached_property
    def format(self) -> str:
        """The type of `response_format`, or `text`."""
        asked = self.body.get("response_format")
        kind = asked.get("type") if isinstance(asked, dict) else None
        return kind if isinstance(kind, str) else "text"

    @cached_property
    def schema(self) -> Any:
        """The JSON schema that the answer was promised to follow, or an empty one."""
        asked = self.body.get("response_format")
        holder = asked.get("json_schema") if isinstance(asked, dict) else None
        return holder.get("schema", {}) if isinstance(holder, dict) else {}

    @cached_property
    def tool_result(self) -> str:
        """What the tools said since the last message of another role, empty if nothing."""
        results: list[str] = []
        if self.endpoint == "chat":
            for message in reversed(self.messages):
                if message["role"] != "tool":
                    break
                results.insert(0, text_of(message.get("content")))
        return "; ".join(results)

    @cached_property
    def tool(self) -> Tool | None:
        """wanted, answered or neither: see `When.tool`."""
        if self.endpoint != "chat":
            return None
        if self.messages[-1]["role"] == "tool":
            return "answered"
        return "wanted" if self.wanted_tools else None

    @cached_property
    def tools(self) -> dict[str, Any]:
        """Functions that may be called: name to the JSON schema of its arguments."""
        tools = self.body.get("tools")
        offered: list[Any] = tools if isinstance(tools, list) else []
        functions = [tool.get("function") for tool in offered if isinstance(tool, dict)]
        return {
            one["name"]: one.get("parameters") or {}
            for one in functions
            if isinstance(one, dict) and isinstance(one.get("name"), str)
        }

    @cached_property
    def wanted_tools(self) -> list[str]:
        """Tools that are to be called: the one that `tool_choice` names, else those that the question names.

        `required` without a name in the question is the first tool; `parallel_tool_calls: false` leaves one.
        """
        choice = self.body.get("tool_choice", "auto")
        if choice == "none" or not self.tools:
            return []
        if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
            name = choice["function"].get("name")
            return [name] if name in self.tools else []
        asked = self.text.casefold()
        named = [name for name in self.tools if _is_named(name.casefold(), asked)]
        if choice == "required" and not named:
            named = [next(iter(self.tools))]
        return named[:1] if self.body.get("parallel_tool_calls") is False else named


def _is_named(name: str, text: str) -> bool:
    return name in text or name.replace("_", " ").replace("-", " ") in text


def text_of(content: Any) -> str:
    """The text in a message's content, a prompt or an input: a text, a list of texts or of parts with a text."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and not isinstance(content, bytes):
        return "\n".join(filter(None, map(text_of, content)))
    if isinstance(content, dict) and isinstance(content.get("text"), str):
        return str(content["text"])
    return ""
