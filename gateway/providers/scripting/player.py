"""A provider that plays a script: requests in, plays out. It does no IO; what it remembers is in this one object.

What it remembers: how often each reply was played, uploaded files, batches. Given the same script, seed, clock and
requests, it says the same, ids included.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b
from hmac import compare_digest
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
import orjson
from msgspec.structs import replace

from gateway.providers.scripting import (
    audio,
    chat,
    completions,
    embeddings,
    images,
    models,
    moderations,
    multipart,
    rerank,
)
from gateway.providers.scripting.batches import Batches
from gateway.providers.scripting.choose import Chooser, serves
from gateway.providers.scripting.play import Account, Answer, Play
from gateway.providers.scripting.refusals import (
    Refused,
    error_body,
    json_object,
    no_method,
    no_model,
    no_path,
    wrong,
)
from gateway.providers.scripting.request import Ask, Question
from gateway.providers.scripting.scene import Scene
from gateway.providers.scripting.script import Endpoint, Error, Reply, Script
from gateway.providers.scripting.shelf import Shelf
from gateway.providers.scripting.stage import stage

_NATURAL = Reply()
Maker = Callable[[Scene], Answer]


class _Route(msgspec.Struct, frozen=True):
    """An endpoint that takes a body: who answers, whether the body is a form, whether a model must be named."""

    endpoint: Endpoint
    answer: Maker
    is_form: bool = False
    needs_model: bool = True


_POSTS = {
    "/chat/completions": _Route("chat", chat.answer),
    "/completions": _Route("completions", completions.answer),
    "/embeddings": _Route("embeddings", embeddings.answer),
    "/moderations": _Route("moderations", moderations.answer, needs_model=False),
    "/images/generations": _Route("images", images.answer, needs_model=False),
    "/images/edits": _Route("images", images.answer, is_form=True, needs_model=False),
    "/images/variations": _Route("images", images.answer, is_form=True, needs_model=False),
    "/audio/speech": _Route("speech", audio.speech),
    "/audio/transcriptions": _Route("transcriptions", audio.transcript, is_form=True),
    "/audio/translations": _Route("translations", audio.transcript, is_form=True),
    "/rerank": _Route("rerank", rerank.answer),
}
_COLLECTIONS: dict[str, Endpoint] = {"models": "models", "files": "files", "batches": "batches"}


class Player:
    """One provider. `clock` gives Unix time in seconds; `seed` decides ids, shares and delays that are ranges."""

    def __init__(self, script: Script, *, seed: int = 0, clock: Callable[[], float] = time.time) -> None:
        self.script = script
        self.played = 0
        self.clock = clock
        self._seed = seed
        self._random = Random(seed)
        self._chooser = Chooser(script, self._random.random)
        self._shelf = Shelf()
        self._batches = Batches(self._shelf, self._line)

    def __repr__(self) -> str:
        return f"<Player of {', '.join(self.script.models)}: {self.played} played>"

    def play(self, ask: Ask) -> Play:
        """The reply to `ask`. Never raises: what cannot be answered is played as an error."""
        token = self._next_token()
        path, _, query = ask.target.partition("?")
        path = path.removeprefix("/v1")
        endpoint: str = "unknown"
        reply = _NATURAL
        try:
            self._authorise(ask)
            route = _POSTS.get(path)
            if route is not None:
                endpoint = route.endpoint
                if ask.method != "POST":
                    raise no_method(ask.method, path)
                question = Question(route.endpoint, _body(route, ask))
                reply, answer = self._spoken(route, question, token)
            else:
                endpoint, reply, answer = self._shelved(ask, path, query, token)
        except Refused as refused:
            answer = Answer((refused.body,), status=refused.status)
        account = Account(
            f"req_{token}",
            answer.id,
            endpoint,
            answer.model,
            answer.usage,
            streamed=answer.is_stream,
            client_request_id=ask.headers.get("x-client-request-id", ask.headers.get("x-request-id")),
        )
        return stage(answer, reply, account, self._random)

    def _next_token(self) -> str:
        self.played += 1
        return blake2b(b"%d/%d" % (self._seed, self.played), digest_size=12).hexdigest()

    def _authorise(self, ask: Ask) -> None:
        key = self.script.api_key
        if key is not None and not compare_digest(
            ask.headers.get("authorization", "").encode(), f"Bearer {key}".encode()
        ):
            raise Refused(401, "Incorrect API key provided.", code="invalid_api_key")

    def _spoken(self, route: _Route, question: Question, token: str) -> tuple[Reply, Answer]:
        """The reply and the answer of an endpoint that talks to a model. Raises `Refused`."""
        if question.model or route.needs_model:
            if not question.model:
                raise wrong("model", "you must provide a model parameter")
            if not serves(self.script, question.model):
                raise no_model(question.model)
        if question.endpoint == "chat":
            question.messages  # noqa: B018  # raises where they are none, before any rule looks at them
        reply = self._choose(question)
        return reply, self._answer(reply, question, token, route.answer)

    def _choose(self, question: Question) -> Reply:
        reply = self._chooser.choose(question)
        if reply is None:
            raise Refused(400, "No reply of the script fits this request.", code="script_has_no_reply")
        return reply

    def _answer(self, reply: Reply, question: Question, token: str, natural: Maker) -> Answer:
        """What `reply` says to `question`; `natural` makes what belongs to the endpoint."""
        if reply.error is not None:
            return _error(reply.error)
        if reply.raw is not None:
            return Answer((reply.raw.body.encode(),), content_type=reply.raw.content_type, status=reply.status)
        scene = Scene(self.script, question, reply, token, self.played, int(self.clock()))
        if reply.document is not None and question.endpoint not in ("chat", "completions"):
            answer = Answer((orjson.dumps(reply.document),), model=question.model, usage=scene.usage(0, 0))
        else:
            answer = natural(scene)
        return replace(answer, status=reply.status) if reply.status != 200 else answer

    def _line(self, path: str, body: bytes) -> Answer:
        """One line of a batch. Raises `Refused`."""
        route = _POSTS[path.removeprefix("/v1")]
        return self._spoken(route, Question(route.endpoint, json_object(body)), self._next_token())[1]

    def _shelved(self, ask: Ask, path: str, query: str, token: str) -> tuple[Endpoint, Reply, Answer]:
        """The endpoints that keep or list objects. Raises `Refused`."""
        collection, _, rest = path.removeprefix("/").partition("/")
        endpoint = _COLLECTIONS.get(collection)
        if endpoint is None:
            raise no_path(ask.method, path)
        question = Question(endpoint, {})
        reply = self._choose(question)
        parameters = dict(parse_qsl(query))
        scene = partial(self._object, ask, endpoint, rest, parameters, token)
        return endpoint, reply, self._answer(reply, question, token, lambda _: scene())

    def _object(self, ask: Ask, endpoint: Endpoint, rest: str, query: Mapping[str, str], token: str) -> Answer:
        id, _, verb = rest.partition("/")
        if endpoint == "models":
            id = verb = unquote(rest)  # a model's name may hold slashes
        now = int(self.clock())
        match endpoint, ask.method, bool(rest), verb:
            case "models", "GET", False, _:
                return models.listing(self.script)
            case "models", "GET", True, _:
                return models.one(self.script, id)
            case "files", "POST", False, _:
                form = multipart.parse(ask.headers.get("content-type", ""), ask.body)
                return self._shelf.upload(f"file-{token}", form, now)
            case "files", "GET", False, _:
                return self._shelf.listing(query)
            case "files", "GET", True, "":
                return self._shelf.about(id)
            case "files", "GET", True, "content":
                return self._shelf.content(id)
            case "files", "DELETE", True, "":
                return self._shelf.delete(id)
            case "batches", "POST", False, _:
                return self._batches.create(f"batch_{token}", json_object(ask.body), now)
            case "batches", "GET", False, _:
                return self._batches.listing(query)
            case "batches", "GET", True, "":
                return self._batches.retrieve(id, now)
            case "batches", "POST", True, "cancel":
                return self._batches.cancel(id, now)
        if verb and endpoint != "models":
            raise no_path(ask.method, f"/{endpoint}/{rest}")
        raise no_method(ask.method, f"/{endpoint}" + (f"/{rest}" if rest else ""))


def _body(route: _Route, ask: Ask) -> dict[str, Any]:
    kind = ask.headers.get("content-type", "")
    if route.is_form or kind.startswith("multipart/"):
        return multipart.parse(kind, ask.body)
    return json_object(ask.body)


def _error(error: Error) -> Answer:
    headers = ((b"retry-after", error.retry_after.encode("latin-1")),) if error.retry_after is not None else ()
    body = error_body(error.message, error.type, error.param, error.code)
    return Answer((body,), status=error.status, headers=headers)
