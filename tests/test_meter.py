"""What one answer used: the provider's word where there is one, else a count of the text, off the loop where long."""

from __future__ import annotations

import orjson

from gateway.dialects.openai import read_request
from gateway.meter import SAMPLE, Meter
from gateway.model.events import Failed, Passed, Start, TextDelta, ToolDelta, UsageReport
from gateway.model.usage import Usage

REQUEST = read_request(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}))
GIVEN = 3 + 3 + 1


async def test_the_provider_s_last_word_counts() -> None:
    meter = Meter(REQUEST)
    for event in (TextDelta("hello world"), UsageReport(Usage(1, 0)), UsageReport(Usage(9, 5))):
        meter.see(event)
    assert await meter.usage() == Usage(9, 5)


async def test_text_and_tool_calls_are_counted_without_it() -> None:
    meter = Meter(REQUEST)
    for event in (Start("x"), TextDelta("hello"), TextDelta(" world"), ToolDelta(0, "{}", "f")):
        meter.see(event)
    usage = await meter.usage()
    assert usage is not None and usage.source == "estimated" and meter.answering_model == "x"
    assert (usage.input_tokens, usage.output_tokens) == (GIVEN, 4)


async def test_what_never_began_used_nothing() -> None:
    meter = Meter(REQUEST)
    assert await meter.usage() is None
    meter.see(Failed("no"))
    assert await meter.usage() is None


async def test_what_began_without_a_word_used_what_was_asked() -> None:
    meter = Meter(REQUEST)
    meter.see(Passed(b": keep-alive\n\n"))
    assert await meter.usage() == Usage(GIVEN, 0, source="estimated")


async def test_what_is_not_understood_is_not_counted() -> None:
    meter = Meter(None)
    meter.see(TextDelta("hello"))
    assert await meter.usage() is None


async def test_a_long_answer_is_estimated_by_its_beginning() -> None:
    meter = Meter(REQUEST)
    for _ in range(10):
        meter.see(TextDelta("word " * (SAMPLE // 10)))
    assert sum(map(len, meter._pieces)) == SAMPLE
    usage = await meter.usage()
    assert usage is not None and abs(usage.output_tokens - SAMPLE) < 50
