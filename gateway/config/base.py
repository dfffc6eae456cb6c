"""The ground of every section of the settings: frozen, no unknown keys, and the kinds of value that sections share.

Validators that need to know where files are find it in the validation's context, as `Places`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

SECRET_FILE_BYTES = 64 * 1024
_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)")


class Section(BaseModel):
    """One mapping of the file."""

    # Defaults are validated too: relative paths among them start where the file's own would.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True, slots=True)
class Places:
    """Where relative paths start: `data/...` in `data`, all others in `folder`."""

    folder: Path = field(default_factory=Path)
    data: Path = field(default_factory=lambda: Path("data"))

    def find(self, path: Path) -> Path:
        if path.parts[:1] == ("data",):
            return self.data.joinpath(*path.parts[1:]).absolute()
        return (self.folder / path).absolute()


def wrong(message: str) -> PydanticCustomError:
    """An error that says `message` and nothing else."""
    return PydanticCustomError("wrong", "{text}", {"text": message})


def subsection() -> Any:
    """The default of a field that is a section: that section's own defaults, validated with the same context."""
    return Field(default_factory=dict)


def optional(name: str) -> Callable[[dict[str, Any]], None]:
    """For the JSON Schema: the file need not have `name`, because something else in it implies its value."""

    def drop(schema: dict[str, Any]) -> None:
        schema["required"].remove(name)

    return drop


def places(info: ValidationInfo) -> Places:
    found = info.context.get("places") if isinstance(info.context, dict) else None
    return found if isinstance(found, Places) else Places()


def _no_bool(value: object) -> object:
    # YAML's `true` would count as 1.
    if isinstance(value, bool):
        raise wrong(f"should be a number, not `{str(value).lower()}`")
    return value


def _size(value: object) -> object:
    if isinstance(value, str) and not value.strip().isdigit():
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise wrong('should be a number of bytes, or one with a unit such as "32 MiB"')
        return int(match[1]) * _UNITS[match[2]]
    return _no_bool(value)


def _here(path: Path, info: ValidationInfo) -> Path:
    return places(info).find(path)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise wrong(f"there is no file {path}")
    return path


def _secret(value: object, info: ValidationInfo) -> object:
    """The text of a secret, out of its file where it names one. No message of this function holds any of it."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise wrong("should be text; put it in quotes")
    if value.startswith("file:"):
        value = _secret_file(places(info).find(Path(value.removeprefix("file:"))))
    value = value.strip()
    if not value:
        raise wrong("is blank; a secret has to say something, or the setting be left out")
    if not value.isascii() or not value.isprintable():
        raise wrong("holds a character that no HTTP header may carry, such as a line break")
    return value


def _secret_file(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            text = stream.read(SECRET_FILE_BYTES + 1)
    except OSError as error:
        raise wrong(f"the file {path} cannot be read: {error.strerror}") from None
    if len(text) > SECRET_FILE_BYTES:
        raise wrong(f"the file {path} is larger than a secret can be ({SECRET_FILE_BYTES // 1024} KiB)")
    if not text.strip():
        raise wrong(f"the file {path} is empty")
    return text.decode("latin-1")  # what is not ASCII is refused by the caller


def _nothing(value: object) -> None:
    if value not in (None, [], {}):
        raise wrong("is not available in this version; leave it out or empty")


def _label(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise wrong("should be 1 to 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit")
    return name


def _model_name(name: str) -> str:
    if not 1 <= len(name) <= 200:
        raise wrong("should be 1 to 200 characters long")
    if not name.isprintable() or " " in name:
        raise wrong("should have no spaces, line breaks or other control characters")
    if "*" in name[:-1]:
        raise wrong("may have one `*`, as its last character")
    return name


Whole = Annotated[int, BeforeValidator(_no_bool)]
"""A whole number."""

Number = Annotated[float, BeforeValidator(_no_bool)]
"""A number, whole or not."""

Seconds = Annotated[Number, Field(gt=0, le=86_400)]
"""A duration that ends, up to a day."""

Bytes = Annotated[
    int,
    BeforeValidator(_size),
    Field(gt=0, le=2**40),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{_SIZE.pattern}$"}]}
    ),
]
"""A size: a number of bytes, or text such as "32 MiB"."""

Port = Annotated[Whole, Field(ge=0, le=65_535)]
"""A TCP port; 0 lets the system choose one."""

Label = Annotated[str, AfterValidator(_label)]
"""A name that also stands in metrics and headers."""

ModelName = Annotated[str, AfterValidator(_model_name)]
"""A model's name, or a pattern of names that ends in `*`."""

Secret = Annotated[SecretStr, BeforeValidator(_secret)]
"""Text that is never printed: itself, or `file:/path` to what holds it. Surrounding white space is taken off."""

SomePath = Annotated[Path, AfterValidator(_here)]
"""A path, made absolute; it need not exist."""

FilePath = Annotated[Path, AfterValidator(_here), AfterValidator(_existing)]
"""A path to a file that is there."""

NotYet = Annotated[
    None,
    BeforeValidator(_nothing),
    WithJsonSchema({"maxItems": 0, "maxProperties": 0, "type": ["array", "object", "null"]}),
]
"""A section whose name is kept for a later version; only an empty one is accepted."""

Headers = Mapping[str, Secret]
