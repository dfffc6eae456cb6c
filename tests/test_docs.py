"""The docs are held to the truth: links lead somewhere, commands exist, error codes are explained, examples parse."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from typer.core import TyperGroup

from gateway.cli import app
from gateway.config import settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)|<img[^>]* src=\"([^\"]+)\"")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path) -> Iterator[tuple[str, str]]:
    """The code blocks of a page: language, text."""
    for match in FENCE.finditer(page.read_text()):
        yield match[2], match[3]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def commands(page: Path) -> Iterator[str]:
    """What a reader would type: code spans, and the lines of shell blocks without their prompt."""
    yield from re.findall(r"`([^`\n]+)`", prose(page))
    for language, text in fences(page):
        if language in {"", "sh", "bash", "shell", "console"}:
            yield from (line.strip().removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines())


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    lost = []
    for link in (first or second for first, second in LINK.findall(prose(page))):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            lost.append(link)
    assert lost == []


def test_every_page_of_the_docs_is_reached_from_their_index() -> None:
    linked = {first.partition("#")[0] for first, _ in LINK.findall((ROOT / "docs/index.md").read_text())}
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    assert pages - linked == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {match[1] for line in commands(page) if (match := re.match(r"(?:\w+=\S* )*make ([a-z][a-z-]*)", line))}
    assert asked - targets == set()


def verb_exists(words: list[str]) -> bool:
    """Whether these words, up to the first argument of a verb, lead to a command of the gateway."""
    command: object = typer.main.get_command(app)
    for word in words:
        if not isinstance(command, TyperGroup):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_verb_of_the_command_line_that_is_named_exists(page: Path) -> None:
    called = re.compile(r"(?:\w+=\S* )*(?:(?:\.venv/bin/)?gateway|(?:\S*/)?python3? -m gateway)((?: [a-z][a-z-]*)+)")
    if "**Not in service yet.**" in page.read_text():
        return  # such a page names the verbs that come with its part
    missing = [line for line in commands(page) if (match := called.match(line)) and not verb_exists(match[1].split())]
    assert missing == []


def error_codes() -> set[str]:
    """Every code that the gateway can answer with.

    They stand as `code = "..."` in a class, `code="..."` in a call, or after the status: `refuse(408, "...", ...)`.
    The scripted provider's are left out: they are what a provider says, and stand in its own page.
    """
    found: set[str] = set()
    played = ROOT / "gateway/providers/scripting"
    for path in (path for path in (ROOT / "gateway").rglob("*.py") if played not in path.parents):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                    found.add(code)
                case ast.Call(args=[ast.Constant(value=int(status)), ast.Constant(value=str(code)), *_]):
                    found |= {code} if 400 <= status < 600 and re.fullmatch(r"[a-z_]+", code) else set()
                case ast.ClassDef(body=body):
                    found |= set(class_codes(body))
    return found


def class_codes(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                yield code
            case ast.AnnAssign(target=ast.Name(id="code"), value=ast.Constant(value=str(code))):
                yield code


def explained_codes() -> set[str]:
    return set(re.findall(r"^\| `([a-z_0-9]+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))


def test_every_error_code_is_explained() -> None:
    assert error_codes() - explained_codes() == set()


def test_every_explained_error_code_is_one_that_the_gateway_uses() -> None:
    assert explained_codes() - error_codes() == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_example_in_python_or_yaml_parses(page: Path) -> None:
    for language, text in fences(page):
        if language in {"python", "py"}:
            compile(text, named(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
        elif language in {"yaml", "yml"}:
            list(yaml.safe_load_all(text))


def test_the_configuration_shown_in_the_readme_loads(tmp_path: Path) -> None:
    examples = [text for language, text in fences(ROOT / "README.md") if language == "yaml"]
    path = tmp_path / "gateway.yaml"
    path.write_text("\n".join(examples))  # parts of one file
    _, warnings = settings.read(path, {"OPENAI_API_KEY": "sk-example"}, tmp_path)
    assert warnings == []
