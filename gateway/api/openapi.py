"""The OpenAPI 3.1 document of the admin port: what may be asked, by whom, and what comes back.

Bodies are msgspec structs. Those that are read are the very ones that handlers decode with, so the document cannot
promise another field; those that are answered describe what handlers build, and the tests hold each reply against them.
Every operation names its permission and the roles that have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.api import openapi_money
from gateway.api.operation import Operation
from gateway.config.reload import Outcome
from gateway.model.caller import Role
from gateway.store.listing import State
from gateway.store.spec import KeySpec, parse_expiry

Moment = Annotated[str, Meta(description="ISO 8601, UTC.", extra_json_schema={"format": "date-time"})]
Names = Annotated[
    frozenset[str], Meta(description="Names; a `*` at the end of one is a wildcard. Without a list, all are allowed.")
]


# --- what is sent


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What may be said of a new key; what is not listed here nobody may set."""

    team: Annotated[str, Meta(description="Who pays; objects at providers belong to a team.", examples=["search"])]
    project: Annotated[str, Meta(description="The account inside the team.")] = "default"
    name: Annotated[str, Meta(description="What people call it.")] = ""
    role: Annotated[Role, Meta(description="What it may do on the admin port.")] = "developer"
    models: Names | None = None
    agents: Names | None = None
    budget: Annotated[str, Meta(description="Dollars a day or a month (UTC).", examples=["50/day"])] | None = None
    rpm: Annotated[int, Meta(description="Requests a minute.")] | None = None
    tpm: Annotated[int, Meta(description="Tokens a minute.")] | None = None
    expires: (
        Annotated[
            str,
            Meta(
                description="A date (its first moment, UTC), a time, or a duration from now: `s`, `m`, `h`, `d`, `w`.",
                examples=["2027-06-30", "90d"],
            ),
        ]
        | None
    ) = None

    def spec(self, now: int) -> KeySpec:
        """The key that is meant; `now` is epoch seconds. Raises `InvalidRequest`."""
        expires_at = parse_expiry(self.expires, now) if self.expires is not None else None
        return KeySpec(
            self.team,
            self.project,
            self.name,
            self.role,
            self.models,
            self.agents,
            self.budget,
            self.rpm,
            self.tpm,
            expires_at,
        )


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """How a key is rotated."""

    overlap: Annotated[
        str, Meta(description="How long the old secret goes on working: a number and `s`, `m`, `h`, `d` or `w`.")
    ] = "24h"


# --- what comes back


class Key(msgspec.Struct):
    """All that is kept of a key but its hashes."""

    id: str
    team: str
    project: str
    name: str
    role: Role
    models: list[str] | None
    agents: list[str] | None
    budget: str | None
    rpm: int | None
    tpm: int | None
    state: Annotated[State, Meta(description="`rotating` is active, with an old secret that still works.")]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    old_key_valid_until: Moment | None


class MadeKey(Key):
    """A key with its text, which is in this reply and nowhere else."""

    key: Annotated[str, Meta(pattern="^gw-[a-z0-9]{16}-[0-9A-Za-z]{43}$")]


class Keys(msgspec.Struct):
    """Oldest first, the revoked and the expired among them."""

    data: list[Key]


class ServedProvider(msgspec.Struct):
    """One provider of the configuration in force."""

    name: str
    kind: str
    base_url: str | None
    models: Annotated[list[str], Meta(description="Names that clients use and that it may serve.")]


class Providers(msgspec.Struct):
    """Who serves."""

    data: list[ServedProvider]


class FileFault(msgspec.Struct):
    """One thing wrong in a file."""

    file: str
    line: int | None
    message: str


class ReloadReport(msgspec.Struct):
    """The last reload of the worker that answers, and the digest of the configuration in force."""

    outcome: Outcome
    at: Moment
    config: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    faults: Annotated[list[FileFault], Meta(description="Empty unless it failed; then nothing has changed.")]


class Health(msgspec.Struct):
    """The process is alive."""

    status: Literal["ok"]
    version: str


class Readiness(msgspec.Struct):
    """Whether the worker that answers can take calls."""

    status: Literal["ready", "unready"]
    not_ready: Annotated[dict[str, str], Meta(description="What keeps it from that, by part.")]
    warnings: Annotated[dict[str, str], Meta(description="What does not, but should be looked at.")]
    config: str
    worker: int


class ErrorDetail(msgspec.Struct):
    """In OpenAI's shape."""

    message: Annotated[str, Meta(description="What was wrong, where, and what would be right; may be reworded.")]
    type: str
    param: Annotated[str | None, Meta(description="The field, if one is to blame.")]
    code: Annotated[str, Meta(description="Never changes; docs/errors.md explains each.")]


class Error(msgspec.Struct):
    """Any error."""

    error: ErrorDetail


# --- the operations

_HTML: Final = "text/html; charset=utf-8"
_NO_SESSION: Final = ("To the form, since nobody is signed in.", None)
_KEY_ERRORS: Final = (401, 403, 503)
_MEANINGS: Final = {
    400: "The body or a field of it is not what is taken.",
    401: "No key, or one that is not known, has expired or was revoked.",
    403: "The key's role may not do this: `role_not_allowed`.",
    404: "There is no such object, or not one that this key may see.",
    409: "It is not in a state for this: `key_ended`.",
    413: "The body is over 64 KiB: `body_too_large`.",
    503: "The keys cannot be read at present; `retry-after` says when to try again.",
}

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation("GET", "/healthz", "health", "Whether the process is alive", {200: ("It is.", Health)}),
    Operation(
        "GET",
        "/readyz",
        "readiness",
        "Whether it can take calls",
        {200: ("It can.", Readiness), 503: ("It cannot; `not_ready` says why.", Readiness)},
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Metrics of all workers, for Prometheus",
        {200: ("In the format that `Accept` asks for.", "text/plain")},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "This document",
        {200: ("OpenAPI 3.1.", "application/json")},
        permission="config:read",
    ),
    Operation(
        "GET",
        "/admin/v1/keys",
        "listKeys",
        "List keys, never their secrets",
        {200: ("All, or a team's.", Keys)},
        permission="keys:read",
        query=(("team", "Only this team's."),),
    ),
    Operation(
        "POST",
        "/admin/v1/keys",
        "createKey",
        "Make a key",
        {201: ("Made; `key` is shown this once.", MadeKey)},
        permission="keys:write",
        body=NewKey,
        errors=(400, 413),
    ),
    Operation(
        "POST",
        "/admin/v1/keys/{id}/rotate",
        "rotateKey",
        "Give a key a new secret",
        {200: ("Done; `key` is shown this once.", MadeKey)},
        permission="keys:write",
        body=Rotation,
        errors=(400, 404, 409, 413),
    ),
    Operation(
        "POST",
        "/admin/v1/keys/{id}/revoke",
        "revokeKey",
        "End a key for good, on every worker within a second",
        {200: ("It is revoked, now or since before.", Key)},
        permission="keys:write",
        errors=(404,),
    ),
    Operation(
        "DELETE",
        "/admin/v1/keys/{id}",
        "deleteKey",
        "The same as revoking it",
        {200: ("It is revoked, now or since before.", Key)},
        permission="keys:write",
        errors=(404,),
    ),
    Operation(
        "GET",
        "/admin/v1/providers",
        "listProviders",
        "Who serves",
        {200: ("The providers of the configuration in force.", Providers)},
        permission="config:read",
    ),
    Operation(
        "GET",
        "/admin/v1/reload",
        "reloadState",
        "The last reload",
        {200: ("What it did.", ReloadReport)},
        permission="config:read",
    ),
    Operation(
        "POST",
        "/admin/v1/reload",
        "reload",
        "Read the files again, on every worker",
        {
            200: ("They are in force, or nothing had changed.", ReloadReport),
            400: ("They have faults; the configuration of before goes on serving.", ReloadReport),
        },
        permission="config:reload",
    ),
    *openapi_money.OPERATIONS,
    Operation("GET", "/", "root", "To the console", {303: ("To /console.", None)}, page=True),
    Operation(
        "GET",
        "/console",
        "console",
        "The web console; needs a session",
        {200: ("The overview.", _HTML), 303: _NO_SESSION, 401: ("The session has ended.", _HTML)},
        page=True,
    ),
    Operation(
        "GET", "/console/login", "loginForm", "The form that takes a key", {200: ("The form.", _HTML)}, page=True
    ),
    Operation(
        "POST",
        "/console/login",
        "login",
        "A key for a session cookie, from the form",
        {303: ("Signed in.", None), 401: ("The key does not open the console.", _HTML)},
        page=True,
    ),
    Operation(
        "POST",
        "/console/logout",
        "logout",
        "The end of the session in this browser",
        {303: ("Signed out.", None), 403: ("The form is not of this session.", _HTML)},
        page=True,
    ),
    Operation(
        "GET",
        "/console/static/{name}",
        "consoleFile",
        "Style sheet and icon of the console",
        {200: ("The file.", "*/*"), 404: ("There is none of this name.", _HTML)},
        page=True,
    ),
)

_STRUCTS: Final = (
    *(NewKey, Rotation, MadeKey, Key, Keys, Providers, ReloadReport, Health, Readiness, Error),
    *openapi_money.STRUCTS,
)


def document(may: Mapping[str, frozenset[str]], version: str) -> dict[str, Any]:
    """The document. `may` says by permission which roles have it, `version` is the gateway's."""
    _, schemas = msgspec.json.schema_components(_STRUCTS, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, may)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LLM gateway, admin port",
            "version": version,
            "description": "Health, metrics and administration. Health and metrics need no key; all else needs one "
            "whose role has the operation's permission.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "operations", "description": "Health and metrics."},
            {"name": "administration", "description": "Keys and configuration, budgets, reports and calls."},
            {"name": "console", "description": "Pages for people."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of the gateway: `gw-...`."},
            },
        },
    }


def _operation(operation: Operation, may: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": ["console" if operation.page else "administration" if operation.permission else "operations"],
        "responses": _responses(operation),
        "security": [],
    }
    if operation.permission is not None:
        roles = sorted(may[operation.permission])
        found["description"] = f"Permission `{operation.permission}`, which these roles have: {', '.join(roles)}."
        found["security"] = [{"key": []}]
        found |= {"x-permission": operation.permission, "x-roles": roles}
    if parameters := _parameters(operation):
        found["parameters"] = parameters
    if operation.body is not None:
        needed = any(field.required for field in msgspec.structs.fields(operation.body))
        found["requestBody"] = {"required": needed, "content": _content(operation.body)}
    return found


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    text = {"type": "string"}
    return [{"name": name, "in": "path", "required": True, "schema": text} for name in in_path] + [
        {"name": name, "in": "query", "required": False, "description": description, "schema": text}
        for name, description in operation.query
    ]


def _responses(operation: Operation) -> dict[str, Any]:
    errors = (*operation.errors, *(_KEY_ERRORS if operation.permission else ()))
    found: dict[int, dict[str, Any]] = {
        status: {"description": _MEANINGS[status], "content": _content(Error)} for status in errors
    }
    for status, (description, answer) in operation.answers.items():
        found[status] = {"description": description}
        if answer is not None:
            found[status]["content"] = _content(answer)
    return {str(status): found[status] for status in sorted(found)}


def _content(answer: type[msgspec.Struct] | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}}
