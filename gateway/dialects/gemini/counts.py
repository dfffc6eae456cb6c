"""What Gemini counts, to usage and back.

Source: https://ai.google.dev/api/generate-content#UsageMetadata. The prompt's count includes what came from the cache,
but not what tools gave, which is charged as input too; the candidates' count leaves out thoughts, which are output.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects.gemini.wire import Counts, Modality
from gateway.model.events import UsageReport
from gateway.model.usage import Usage


def usage_of(found: Counts) -> Usage | None:
    """None where no count is in it."""
    given, made, thought = found.prompt_token_count, found.candidates_token_count, found.thoughts_token_count
    if given is None and made is None and not thought:
        return None
    given = _sum(given, found.tool_use_prompt_token_count)
    made = _sum(made, None)
    if thought:
        thought = max(0, thought)
        # Some servers count thoughts among the candidates, and give themselves away by their total.
        if thought > made or found.total_token_count != given + made:
            made += thought
    cached = _sum(found.cached_content_token_count, None)
    into, out = found.prompt_tokens_details, found.candidates_tokens_details
    if (
        (not into or (len(into) == 1 and into[0].modality == "TEXT"))
        and not out
        and not found.tool_use_prompt_token_count
    ):
        return Usage(given, made, cached, 0, thought or 0)
    of_cache, of_tools = found.cache_tokens_details, found.tool_use_prompt_tokens_details
    return Usage(
        given,
        made,
        cached,
        0,
        thought or 0,
        input_audio_tokens=_of("AUDIO", into) + _of("AUDIO", of_tools),
        output_audio_tokens=_of("AUDIO", out),
        cache_read_audio_tokens=_of("AUDIO", of_cache),
        input_image_tokens=_of("IMAGE", into) + _of("IMAGE", of_tools),
        output_image_tokens=_of("IMAGE", out),
        cache_read_image_tokens=_of("IMAGE", of_cache),
    )


def _sum(one: int | None, more: int | None) -> int:
    """Counters never go below nothing, whatever a provider says."""
    return (one if one and one > 0 else 0) + (more if more and more > 0 else 0)


def _of(modality: str, found: list[Modality] | None) -> int:
    return sum(max(0, one.token_count) for one in found or () if one.modality == modality)


def tier_of(found: Counts) -> str:
    """The tier of service: Gemini's own word, or Vertex AI's kind of traffic in Gemini's words."""
    if found.service_tier is None and found.traffic_type is None:
        return ""
    if found.service_tier:
        return "" if found.service_tier == "unspecified" else found.service_tier
    return _TRAFFIC.get(found.traffic_type or "", (found.traffic_type or "").lower())


_TRAFFIC = {
    "TRAFFIC_TYPE_UNSPECIFIED": "",
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}


def usage_metadata(report: UsageReport) -> dict[str, Any]:
    """`usageMetadata`: Gemini keeps thoughts apart from what it counts as the candidates' tokens."""
    usage = report.usage
    found: dict[str, Any] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.reasoning_tokens:
        found["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.cache_read_tokens:
        found["cachedContentTokenCount"] = usage.cache_read_tokens
    for name, details in _details(usage):
        if len(details) > 1:
            found[name] = details
    if traffic := _TIERS.get(report.tier):
        found["trafficType"] = traffic
    return found


_TIERS = {"flex": "ON_DEMAND_FLEX", "priority": "ON_DEMAND_PRIORITY"}


def _details(usage: Usage) -> tuple[tuple[str, list[dict[str, Any]]], ...]:
    made = max(0, usage.output_tokens - usage.reasoning_tokens)
    return (
        ("promptTokensDetails", _split(usage.input_tokens, usage.input_audio_tokens, usage.input_image_tokens)),
        ("candidatesTokensDetails", _split(made, usage.output_audio_tokens, usage.output_image_tokens)),
        (
            "cacheTokensDetails",
            _split(usage.cache_read_tokens, usage.cache_read_audio_tokens, usage.cache_read_image_tokens),
        ),
    )


def _split(whole: int, audio: int, image: int) -> list[dict[str, Any]]:
    counts = (("TEXT", max(0, whole - audio - image)), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count or name == "TEXT"]
