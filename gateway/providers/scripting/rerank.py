"""`POST /v1/rerank`, as Cohere and Jina offer it: documents ordered by the share of the query's words in them.

Source: https://docs.cohere.com/reference/rerank and https://api.jina.ai/redoc (the two agree on these fields).
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.providers.scripting import tokens
from gateway.providers.scripting.play import Answer
from gateway.providers.scripting.refusals import wrong
from gateway.providers.scripting.request import text_of
from gateway.providers.scripting.scene import Scene


def answer(scene: Scene) -> Answer:
    """The whole answer. Raises `Refused` if the request is not one."""
    body = scene.question.body
    query, documents, top = body.get("query"), body.get("documents"), body.get("top_n")
    if not isinstance(query, str):
        raise wrong("query", "Invalid value for 'query': expected a text.")
    if not isinstance(documents, list) or not documents:
        raise wrong("documents", "Invalid value for 'documents': expected a list that is not empty.")
    texts = [text_of(document) for document in documents]
    scores = [_score(query, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: (-scores[index], index))
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    if body.get("return_documents"):
        for result in results:
            result["document"] = {"text": texts[result["index"]]}
    usage = scene.usage(tokens.count(query) + sum(map(tokens.count, texts)), 0)
    reply = {
        "id": scene.id("rerank-"),
        "model": scene.question.model,
        "object": "list",
        "results": results[: top if isinstance(top, int) and top > 0 else None],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        **scene.told({"total_tokens": usage.input_tokens, "prompt_tokens": usage.input_tokens}),
        **scene.reply.extra,
    }
    return Answer((orjson.dumps(reply),), id=scene.id("rerank-"), model=scene.question.model, usage=usage)


def _score(query: str, text: str) -> float:
    wanted, there = set(query.casefold().split()), set(text.casefold().split())
    return round(len(wanted & there) / len(wanted), 6) if wanted else 0.0
