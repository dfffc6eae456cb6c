"""Members in camel case or in snake case, as Google's APIs take both, and what is said where one is wrong.

Source: https://protobuf.dev/programming-guides/json/ ("parsers accept both").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidRequest

Object = Mapping[str, Any]

_NAMES = (
    "allowedFunctionNames audioTimestamp automaticFunctionCalling cachedContent candidateCount codeExecution "
    "codeExecutionResult computerUse continuationToken displayName enableEnhancedCivicAnswers enterpriseWebSearch "
    "executableCode fileData fileSearch fileUri frequencyPenalty functionCall functionCallingConfig "
    "functionDeclarations functionResponse generateContentRequest generationConfig googleMaps googleSearch "
    "googleSearchRetrieval imageConfig includeServerSideToolInvocations includeThoughts inlineData "
    "maxOutputTokens mcpServers mediaResolution mimeType modelArmorConfig modelSelectionConfig "
    "parametersJsonSchema partMetadata partialArgs presencePenalty responseJsonSchema responseLogprobs "
    "responseMimeType responseModalities responseSchema retrievalConfig routingConfig safetySettings serviceTier "
    "speechConfig stopSequences streamFunctionCallArguments systemInstruction thinkingBudget thinkingConfig "
    "thinkingLevel thoughtSignature toolCall toolConfig toolResponse topK topP urlContext videoMetadata "
    "willContinue"
).split()


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


_CAMEL = {_snake(name): name for name in _NAMES}


def camel(found: Object) -> dict[str, Any]:
    """`found` with its members in camel case; what stands in them is as it was."""
    return {_CAMEL.get(name, name): value for name, value in found.items()}


def typed(found: Object, name: str, kind: type, right: str, path: str = "") -> Any:
    """Member `name`, which must be a `kind` if it is there: `right` says so in words."""
    value = found.get(name)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise wrong(f"{path}.{name}" if path else name, value, right)
    return value


def text_of(found: Object, name: str, path: str) -> str:
    """Member `name`, which must be a string and there."""
    value = found.get(name)
    if not isinstance(value, str):
        raise wrong(f"{path}.{name}", value, "a string")
    return value


def wrong(param: str, value: object, right: str) -> InvalidRequest:
    """What is to be said of `value`, which stands at `param` where `right` should."""
    if value is None:
        return InvalidRequest(f"`{param}` is missing; it must be {right}.", code="missing_field", param=param)
    kind = _KINDS.get(type(value), "something else")
    return InvalidRequest(f"`{param}` must be {right}, not {kind}.", code="invalid_type", param=param)


_KINDS = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}
