"""The console as a browser gets it, from a real gateway."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import trustme

from gateway.console.pages import COOKIE
from tests.gateway_process import Gateway, eventually, running

CONFIG = """
server: {host: 127.0.0.1, workers: 2}
providers:
  near: {kind: scripted}
  far: {kind: openai, base_url: "https://far.example/v1", api_key: "sk-canary-of-the-provider"}
models:
  demo:
    deployments: [{provider: near, weight: 9}, {provider: far, model: big, weight: 1}]
    fallbacks: [spare]
  spare: {deployments: [{provider: near, model: demo}]}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("console"), config=CONFIG) as gateway:
        yield gateway


def browser(gateway: Gateway) -> httpx.Client:
    return httpx.Client(base_url=gateway.admin_url, trust_env=False, timeout=20)


@pytest.fixture
def visitor(gateway: Gateway) -> Iterator[httpx.Client]:
    """A browser that has not signed in."""
    with browser(gateway) as client:
        yield client


@pytest.fixture
def admin(gateway: Gateway, visitor: httpx.Client) -> httpx.Client:
    """One that has, with the key that is printed at the start."""
    assert sign_in(visitor, gateway.admin_key).status_code == 303
    return visitor


def sign_in(client: httpx.Client, key: str, **headers: str) -> httpx.Response:
    return client.post("/console/login", data={"key": key}, headers=headers)


def make_key(gateway: Gateway, **wanted: object) -> tuple[str, str]:
    """A new key: its id and its text."""
    made = gateway.admin("POST", "/admin/v1/keys", json={"team": "test", **wanted}).json()
    return made["id"], made["key"]


def form_token(page: str) -> str:
    (found,) = re.findall(r'name="form_token" value="([0-9a-f]{64})"', page)
    return str(found)


class Tags(HTMLParser):
    """Collects what a page is made of, and checks that its tags are closed in order."""

    VOID = frozenset({"meta", "link", "input", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_visitor_is_led_from_the_bare_address_to_the_form(visitor: httpx.Client) -> None:
    visitor.follow_redirects = True
    page = visitor.get("/")
    assert (page.status_code, page.url.path) == (200, "/console/login")
    assert "Paste" not in page.text and 'type="password"' in page.text


def test_the_admin_key_opens_the_overview(admin: httpx.Client) -> None:
    page = admin.get("/console")
    assert page.status_code == 200
    assert "<h1>Overview</h1>" in page.text and ">Ready</span>" in page.text


def test_a_session_holds_on_every_worker(admin: httpx.Client, gateway: Gateway) -> None:
    cookie = {COOKIE: admin.cookies[COOKIE]}
    workers = set()

    def have_all_answered() -> bool:
        with browser(gateway) as client:  # a connection of its own, which the kernel gives to any worker
            page = client.get("/console", headers={"cookie": f"{COOKIE}={cookie[COOKIE]}"})
        assert page.status_code == 200
        workers.update(re.findall(r"this page is of worker (\d)", page.text))
        return workers == {"0", "1"}

    eventually(have_all_answered)


def test_the_cookie_is_kept_from_scripts_and_other_sites(gateway: Gateway, visitor: httpx.Client) -> None:
    cookie = sign_in(visitor, gateway.admin_key).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts == {"httponly", "max-age=43200", "path=/console", "samesite=strict"}


def test_under_tls_the_cookie_never_goes_out_in_the_clear(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = "server: {host: 127.0.0.1, tls: {cert: cert.pem, key: key.pem}}\n"
    with (
        running(tmp_path, config=tls) as gateway,
        httpx.Client(base_url=gateway.admin_url, verify=context, trust_env=False) as client,
    ):
        assert "; secure" in sign_in(client, gateway.admin_key).headers["set-cookie"].lower()
        assert client.get("/console").status_code == 200


@pytest.mark.parametrize(
    ("key", "status", "says"),
    [
        pytest.param("", 400, "Paste a key first", id="nothing"),
        pytest.param("hunter2", 401, "begin with", id="no key of ours"),
        pytest.param("gw-" + "a" * 16 + "-" + "B" * 43, 401, "not known here", id="unknown"),
        pytest.param("x" * 5000, 413, "larger than", id="a whole file"),
    ],
)
def test_a_key_that_opens_nothing_is_told_so(visitor: httpx.Client, key: str, status: int, says: str) -> None:
    page = sign_in(visitor, key)
    assert page.status_code == status
    assert says in page.text and COOKIE not in visitor.cookies
    assert not key or key not in page.text


def test_a_revoked_key_loses_its_session_within_a_second(gateway: Gateway, visitor: httpx.Client) -> None:
    key_id, key = make_key(gateway, role="auditor")
    eventually(lambda: sign_in(visitor, key).status_code == 303, 1.0)
    gateway.admin("POST", f"/admin/v1/keys/{key_id}/revoke")
    eventually(lambda: visitor.get("/console").status_code in (303, 401), 1.0)


def test_a_session_that_has_ended_is_told_why_and_forgotten(visitor: httpx.Client) -> None:
    page = visitor.get("/console", headers={"cookie": f"{COOKIE}=forged"})
    assert page.status_code == 401
    assert "Sign in again" in page.text
    assert f'{COOKIE}=""' in page.headers["set-cookie"]


@pytest.mark.parametrize(("role", "sees"), [("auditor", True), ("developer", False), ("finance", False)])
def test_keys_are_listed_to_the_roles_that_may(gateway: Gateway, visitor: httpx.Client, role: str, sees: bool) -> None:
    key_id, key = make_key(gateway, role=role)
    eventually(lambda: sign_in(visitor, key).status_code == 303, 1.0)
    page = visitor.get("/console").text
    assert (f"<code>{key_id}</code>" in page) is sees
    assert ("may not list keys; it needs one of: admin, auditor" in page) is not sees


def test_the_overview_shows_models_with_their_shares_and_providers(admin: httpx.Client) -> None:
    page = admin.get("/console").text
    assert re.search(r"near / demo <span class=\"badge\">90 %", page)
    assert re.search(r"far / big <span class=\"badge\">10 %", page)
    assert "https://far.example/v1" in page and "in this process" in page


def test_the_overview_counts_the_calls_of_all_workers(gateway: Gateway, admin: httpx.Client) -> None:
    for _ in range(6):
        assert gateway.chat(model="spare").status_code == 200
    row = re.compile(r'<th scope="row">/v1/chat/completions</th><td class="number">([\d,]+)</td>')
    eventually(lambda: (found := row.search(admin.get("/console").text)) and int(found[1]) >= 6, 5.0)
    assert '<th scope="row">spare</th>' in admin.get("/console").text


def test_no_secret_is_on_the_page(gateway: Gateway, admin: httpx.Client) -> None:
    page = admin.get("/console").text
    for secret in ("sk-canary-of-the-provider", gateway.admin_key, gateway.key):
        assert secret not in page
    assert not re.search(r"gw-[a-z0-9]{16}-[0-9A-Za-z]", page)


def test_names_that_people_chose_stay_text(gateway: Gateway, admin: httpx.Client) -> None:
    make_key(gateway, name="<script>alert(1)</script>", project="\"'><img src=x>")
    eventually(lambda: "&lt;script&gt;alert(1)&lt;/script&gt;" in admin.get("/console").text, 1.0)
    tags = Tags(admin.get("/console").text)
    assert "script" not in {tag for tag, _ in tags.seen}


def test_the_pages_need_no_script_no_style_of_their_own_and_nothing_from_elsewhere(admin: httpx.Client) -> None:
    for path in ("/console", "/console/login"):
        page = admin.get(path)
        tags = Tags(page.text)
        assert not {"script", "style", "iframe"} & {tag for tag, _ in tags.seen}
        for _, attributes in tags.seen:
            assert not any(name == "style" or name.startswith("on") for name in attributes)
            assert all((attributes.get(name) or "/").startswith("/") for name in ("href", "src", "action"))
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert page.headers["cache-control"] == "no-store"


def test_every_file_that_a_page_names_is_there(admin: httpx.Client) -> None:
    tags = Tags(admin.get("/console").text).seen
    named = {value for _, attributes in tags for name, value in attributes.items() if name in ("href", "src")}
    files = {address for address in named if address is not None and "/static/" in address}
    assert len(files) == 2
    for address in files:
        reply = admin.get(address)
        assert reply.status_code == 200 and "immutable" in reply.headers["cache-control"]
    assert admin.get("/console/static/..%2fpages.py").status_code == 404
    assert admin.get("/console/static/nothing.css").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
    ids=["another origin", "a hidden origin", "another site"],
)
def test_a_form_of_another_site_signs_nobody_in_or_out(
    gateway: Gateway, admin: httpx.Client, headers: dict[str, str]
) -> None:
    assert sign_in(admin, gateway.admin_key, **headers).status_code == 403
    token = form_token(admin.get("/console").text)
    reply = admin.post("/console/logout", data={"form_token": token}, headers=headers)
    assert reply.status_code == 403
    assert admin.get("/console").status_code == 200


def test_signing_out_needs_the_form_of_this_session(admin: httpx.Client) -> None:
    assert admin.post("/console/logout", data={"form_token": "0" * 64}).status_code == 403
    assert admin.get("/console").status_code == 200
    token = form_token(admin.get("/console").text)
    assert admin.post("/console/logout", data={"form_token": token}).status_code == 303
    assert COOKIE not in admin.cookies
    assert admin.get("/console").headers["location"] == "/console/login"


def test_what_is_no_form_is_refused(visitor: httpx.Client) -> None:
    assert visitor.post("/console/login", json={"key": "x"}).status_code == 400


def test_a_broken_file_shows_with_its_line_and_goes_when_it_is_mended(gateway: Gateway, admin: httpx.Client) -> None:
    file: Path = gateway.folder / "gateway.yaml"
    file.write_text(CONFIG + "nonsense: 1\n")
    line = len((CONFIG + "nonsense: 1\n").splitlines())
    try:
        eventually(lambda: "cannot be loaded" in admin.get("/console").text, 5.0)
        page = admin.get("/console").text
        assert f"gateway.yaml:{line}</code>" in page and "nonsense" in page
    finally:
        file.write_text(CONFIG)
    eventually(lambda: "cannot be loaded" not in admin.get("/console").text, 5.0)


def test_a_gateway_without_models_says_how_to_get_some(tmp_path: Path) -> None:
    with running(tmp_path, config="server: {host: 127.0.0.1}\n") as gateway, browser(gateway) as client:
        sign_in(client, gateway.admin_key)
        page = client.get("/console").text
    for empty in ("No request yet", "No tokens counted yet", "No models", "No providers"):
        assert empty in page
