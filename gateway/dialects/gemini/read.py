"""Gemini's request to a conversation: every kind of part, tools, how to generate.

Source: https://ai.google.dev/api/generate-content. Google's APIs take each member in camel case and in snake case, so
both are read. What only Gemini knows stays whole: parts and tools as `Opaque`, other members in `rest` under their
paths (`generationConfig.speechConfig`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.dialects.gemini.read_parts import Contents
from gateway.dialects.gemini.schema import to_json_schema
from gateway.dialects.gemini.spelling import Object, camel, text_of, typed, wrong
from gateway.errors import InvalidRequest
from gateway.model.conversation import Conversation, Effort, Format, Message, Opaque, Thinking, Tool, ToolChoice

_SAID = frozenset("model contents systemInstruction tools toolConfig generationConfig serviceTier labels".split())
_GENERATION = frozenset(
    "temperature topP topK candidateCount maxOutputTokens stopSequences responseLogprobs logprobs presencePenalty "
    "frequencyPenalty seed responseMimeType responseSchema responseJsonSchema thinkingConfig".split()
)
_THINKING = frozenset("thinkingBudget thinkingLevel includeThoughts".split())
_CALLING = frozenset("mode allowedFunctionNames".split())
_DECLARATION = frozenset("name description parameters parametersJsonSchema response responseJsonSchema".split())

_LEVELS: Mapping[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_TIERS = {"standard": "default", "unspecified": ""}


def read(parsed: Object, model: str, *, stream: bool) -> Conversation:
    """A request. Raises `InvalidRequest` with the field's path."""
    return _Reader(camel(parsed)).conversation(model, stream=stream)


class _Reader:
    def __init__(self, parsed: Object) -> None:
        self._parsed = parsed
        self._rest: dict[str, Any] = {
            name: value for name, value in parsed.items() if name not in _SAID and value is not None
        }
        self._generation = camel(typed(parsed, "generationConfig", dict, "an object") or {})
        if self._generation.get("responseModalities") == ["TEXT"]:
            del self._generation["responseModalities"]  # to say it asks for nothing
        self._note(self._generation, "generationConfig", _GENERATION)

    def conversation(self, model: str, *, stream: bool) -> Conversation:
        tools, choice = self._tools()
        tier = typed(self._parsed, "serviceTier", str, "a string") or ""
        return Conversation(
            source="gemini",
            model=model,
            messages=self._messages(),
            tools=tools,
            tool_choice=choice,
            max_output=self._number("maxOutputTokens", whole=True),
            temperature=self._number("temperature"),
            top_p=self._number("topP"),
            top_k=self._number("topK", whole=True),
            choices=self._number("candidateCount", whole=True),
            stop=self._stop(),
            seed=self._number("seed", whole=True),
            presence_penalty=self._number("presencePenalty"),
            frequency_penalty=self._number("frequencyPenalty"),
            logprobs=self._logprobs(),
            format=self._format(),
            thinking=self._thinking(),
            metadata=self._labels(),
            service_tier=_TIERS.get(tier.lower(), tier.lower()),
            stream=stream,
            wants_usage=True,
            rest=self._rest,
        )

    def _note(self, found: Object, path: str, known: frozenset[str]) -> None:
        """Remember what else `found` says."""
        for name in found.keys() - known:
            if found[name] is not None:
                self._rest[f"{path}.{name}"] = found[name]

    def _messages(self) -> tuple[Message, ...]:
        found = self._parsed.get("contents")
        if isinstance(found, dict):
            found = [found]
        if not isinstance(found, list):
            raise wrong("contents", found, "an array of contents")
        if not found:
            raise InvalidRequest("`contents` is empty; send at least one.", code="invalid_value", param="contents")
        contents = Contents(self._rest)
        system = self._parsed.get("systemInstruction")
        messages = [contents.system(system)] if system else []
        return tuple(messages + contents.messages(found))

    # How to generate

    def _number(self, name: str, *, whole: bool = False) -> Any:
        """A number, which Google's JSON allows as a string too; without a fraction if `whole`."""
        value = self._generation.get(name)
        if value is None:
            return None
        right = "a whole number" if whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise wrong(f"generationConfig.{name}", value, right)
        try:
            number = float(value)
        except (ValueError, OverflowError):
            raise wrong(f"generationConfig.{name}", value, right) from None
        if not math.isfinite(number) or (whole and not number.is_integer()):
            raise wrong(f"generationConfig.{name}", value, right)
        return int(number) if whole else number

    def _logprobs(self) -> int | None:
        wanted = typed(self._generation, "responseLogprobs", bool, "true or false", "generationConfig")
        number: int | None = self._number("logprobs", whole=True)
        if number and not wanted:
            message = "`generationConfig.logprobs` needs `responseLogprobs` to be true."
            raise InvalidRequest(message, code="invalid_value", param="generationConfig.logprobs")
        return number or 0 if wanted else None

    def _stop(self) -> tuple[str, ...]:
        found = self._generation.get("stopSequences")
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise wrong("generationConfig.stopSequences", found, "an array of strings")
        return tuple(found)

    def _format(self) -> Format | None:
        said = self._generation
        kind = typed(said, "responseMimeType", str, "a MIME type", "generationConfig")
        schema, ready = said.get("responseSchema"), said.get("responseJsonSchema")
        if ready is None:
            ready = said.get("_responseJsonSchema")  # its name before it was published
        if kind in (None, "text/plain") and schema is None and ready is None:
            return None
        if kind not in (None, "application/json"):
            for name in ("responseMimeType", "responseSchema", "responseJsonSchema"):
                if said.get(name) is not None:
                    self._rest[f"generationConfig.{name}"] = said[name]
            return None
        if isinstance(ready, dict):
            return Format("schema", schema=ready)
        if isinstance(schema, dict):
            return Format("schema", schema=_schema(schema, "generationConfig.responseSchema"))
        return Format("json")

    def _thinking(self) -> Thinking | None:
        path = "generationConfig.thinkingConfig"
        found = camel(typed(self._generation, "thinkingConfig", dict, "an object", "generationConfig") or {})
        self._note(found, path, _THINKING)
        budget = typed(found, "thinkingBudget", int, "a whole number", path)
        show = typed(found, "includeThoughts", bool, "true or false", path)
        level = (typed(found, "thinkingLevel", str, "a string", path) or "").upper()
        effort = _LEVELS.get(level.removeprefix("THINKING_LEVEL_"))
        if level not in ("", "THINKING_LEVEL_UNSPECIFIED") and effort is None:
            self._rest[f"{path}.thinkingLevel"] = level
        if effort is None and budget is None and show is None:
            return None
        return Thinking(effort, budget, show)

    def _labels(self) -> dict[str, str]:
        found = typed(self._parsed, "labels", dict, "an object of strings") or {}
        if not all(isinstance(value, str) for value in found.values()):
            raise wrong("labels", found, "an object of strings")
        return found

    # Tools

    def _tools(self) -> tuple[tuple[Tool | Opaque, ...], ToolChoice | None]:
        found = self._parsed.get("tools")
        if isinstance(found, dict):
            found = [found]
        if found is not None and not isinstance(found, list):
            raise wrong("tools", found, "an array of tools")
        tools: list[Tool | Opaque] = []
        for at, one in enumerate(found or ()):
            if not isinstance(one, dict):
                raise wrong(f"tools[{at}]", one, 'an object such as {"functionDeclarations": [...]}')
            for name, value in camel(one).items():
                if name == "functionDeclarations":
                    tools += self._declarations(value, f"tools[{at}].functionDeclarations")
                elif value is not None:
                    tools.append(Opaque("gemini", f"tools[{at}].{name}", {name: value}))
        return self._choose(tools)

    def _declarations(self, found: object, path: str) -> list[Tool]:
        if not isinstance(found, list):
            raise wrong(path, found, "an array of declarations")
        return [self._declaration(one, f"{path}[{at}]") for at, one in enumerate(found)]

    def _declaration(self, found: object, path: str) -> Tool:
        if not isinstance(found, dict):
            raise wrong(path, found, "an object with a `name`")
        said = camel(found)
        self._note(said, path, _DECLARATION)
        schema: dict[str, Any] | None = typed(said, "parametersJsonSchema", dict, "a JSON Schema", path)
        if schema is None and (given := typed(said, "parameters", dict, "a schema", path)) is not None:
            schema = _schema(given, f"{path}.parameters")
        described = typed(said, "description", str, "a string", path) or ""
        given = typed(said, "responseJsonSchema", dict, "a JSON Schema", path)
        if given is None and (response := typed(said, "response", dict, "a schema", path)) is not None:
            given = _schema(response, f"{path}.response")
        if given:  # Google's own client says it of every function; others have no place for it but here
            described = "\n\n".join(filter(None, (described, f"Returns: {orjson.dumps(given).decode()}")))
        return Tool(text_of(said, "name", path), described, schema)

    def _choose(self, tools: list[Tool | Opaque]) -> tuple[tuple[Tool | Opaque, ...], ToolChoice | None]:
        """VALIDATED is AUTO with arguments that must follow their schemas; names then limit what is offered."""
        config = camel(typed(self._parsed, "toolConfig", dict, "an object") or {})
        self._note(config, "toolConfig", frozenset({"functionCallingConfig"}))
        path = "toolConfig.functionCallingConfig"
        calling = camel(typed(config, "functionCallingConfig", dict, "an object", "toolConfig") or {})
        self._note(calling, path, _CALLING)
        mode = (typed(calling, "mode", str, "a string", path) or "").upper()
        names = tuple(typed(calling, "allowedFunctionNames", list, "an array of names", path) or ())
        if not all(isinstance(name, str) for name in names):
            raise wrong(f"{path}.allowedFunctionNames", names, "an array of names")
        match mode:
            case "" | "MODE_UNSPECIFIED":
                return tuple(tools), None
            case "ANY":
                return tuple(tools), ToolChoice("named", names) if names else ToolChoice("required")
            case "NONE":
                return tuple(tools), ToolChoice("none")
            case "AUTO" | "VALIDATED":
                offered = [tool for tool in tools if not names or isinstance(tool, Opaque) or tool.name in names]
                return tuple(_strict(offered) if mode == "VALIDATED" else offered), ToolChoice("auto")
        raise InvalidRequest(
            f"`{path}.mode` must be `AUTO`, `ANY`, `NONE` or `VALIDATED`.", code="invalid_value", param=f"{path}.mode"
        )


def _strict(tools: list[Tool | Opaque]) -> list[Tool | Opaque]:
    return [
        tool if isinstance(tool, Opaque) else Tool(tool.name, tool.description, tool.schema, strict=True)
        for tool in tools
    ]


def _schema(found: Object, path: str) -> dict[str, Any]:
    try:
        return to_json_schema(found)
    except ValueError:
        raise InvalidRequest(f"`{path}` is nested too deeply.", code="invalid_value", param=path) from None
