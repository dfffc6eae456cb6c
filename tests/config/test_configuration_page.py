"""docs/configuration.md tells every setting, preset and default as the code has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.config.faults import alternatives
from gateway.config.presets import PRESETS
from gateway.config.settings import Settings, read

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text()


def documented(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Every setting as docs/configuration.md names it, with its default's text where it is a plain one."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        sections = []
        for kind in alternatives(field.annotation):
            origin = get_origin(kind)
            if origin is Mapping and name != "headers":
                sections += [(inner, f"{path}.<name>.") for inner in alternatives(get_args(kind)[1])]
            elif origin is tuple:
                sections += [(inner, f"{path}[].") for inner in alternatives(get_args(kind)[0])]
            else:
                sections.append((kind, f"{path}."))
        nested = [(kind, start) for kind, start in sections if isinstance(kind, type) and issubclass(kind, BaseModel)]
        for kind, start in nested:
            yield from documented(kind, start)
        if not nested or name == "deployments":
            yield path, None if field.default in (PydanticUndefined, None) else shown(field.default)


def shown(value: object) -> str | None:
    """A default as the page writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value >= 1024 and value % 1024**2 == 0:
            return f"{value // 1024**2} MiB"
        case int() if value >= 1024 and value % 1024 == 0:
            return f"{value // 1024} KiB"
        case int() | float() | str() | Path():
            return f"{value:g}" if isinstance(value, float) and value < 100_000 else str(value).removesuffix(".0")
        case ():
            return "[]"
    return None


NOT_YET = {"cache", "scorer", "vector_stores", "mcp", "auth", "retention"}
SETTINGS = {path: default for path, default in documented(Settings) if path not in NOT_YET and "admin_tls." not in path}
ROWS: dict[str, str] = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("path", SETTINGS)
def test_every_setting_is_documented_with_its_default(path: str) -> None:
    default = SETTINGS[path]
    assert path in ROWS, f"docs/configuration.md has no row for `{path}`"
    # `kind` is the tag of a union; that a provider without one is `openai` is told in the row.
    if default is not None and not path.endswith(".kind"):
        assert ROWS[path] == (default if default == '["*"]' else f"`{default}`")


def test_no_documented_setting_is_made_up() -> None:
    own = {path for path in ROWS if path.split(".")[0] in Settings.model_fields}
    assert own - set(SETTINGS) <= {"server.tls", "server.admin_tls"}


def test_the_sections_kept_for_later_are_documented() -> None:
    assert all(f"`{name}`" in PAGE for name in NOT_YET)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_documented_as_it_is(name: str) -> None:
    preset = PRESETS[name]
    row = (
        f"| `{name}` | `{preset.base_url}` | {f'`{preset.env}`' if preset.env else 'none'} | "
        f"{'yes' if preset.ask_stream_usage else 'no'} | {preset.note}{' ' if preset.note else ''}|"
    )
    assert row in PAGE
    assert all(f"`{pattern}`" in PAGE for pattern in preset.models)


def test_the_page_s_own_example_loads(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(PAGE.split("```yaml\n", 1)[1].split("```", 1)[0])
    settings, warnings = read(file, {"OPENAI_API_KEY": "sk-test"}, tmp_path)
    assert set(settings.models) == {"gpt-5-mini", "tiny"}
    assert warnings == []
