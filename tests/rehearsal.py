"""A Dockerfile acted out without a container engine: its own lines, run in a folder that stands for the root.

Where no engine is to be had, this is what can be shown of an image: that its steps work in their order, with only what
.dockerignore lets in, and what user, environment and command come out. Absolute paths that the Dockerfile makes are
moved under the folder; everything else (the base image, the kernel's walls) is the machine's own.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction: `word` in capitals, `rest` as written."""

    word: str
    rest: str


@dataclass(slots=True)
class Stage:
    """From one FROM to the next; `name` is empty if it has none."""

    base: str
    name: str
    lines: list[Line] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [line.rest for line in self.lines if line.word == word]

    def last(self, word: str) -> str:
        return self.all(word)[-1]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile. Knows what ours uses: comments, continued lines, `FROM ... AS`."""
    stages: list[Stage] = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in kept.replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name))
        elif word:
            stages[-1].lines.append(Line(word, rest.strip()))
    return stages


def exec_form(rest: str) -> list[str]:
    """The words of `["a", "b"]`, the form that starts no shell."""
    words = json.loads(rest[rest.index("[") :])
    assert isinstance(words, list)
    return [str(word) for word in words]


class Context:
    """What a build may see: a folder without what its .dockerignore keeps out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rules = (folder / ".dockerignore").read_text().splitlines()
        self.rules = [rule.strip() for rule in rules if rule.strip() and not rule.startswith("#")]

    def __contains__(self, path: Path) -> bool:
        """Whether a file gets in: the last rule that names it or a folder above it decides."""
        name = path.relative_to(self.folder).as_posix()
        inside = True
        for rule in self.rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            if fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(name, f"{pattern}/*"):
                inside = rule.startswith("!")
            elif rule.startswith("**/") and any(fnmatch.fnmatch(part, pattern) for part in path.parts):
                inside = False
        return inside

    def files(self, source: str) -> Iterator[tuple[Path, Path]]:
        """The files that COPY takes for one source, each with its place under the destination."""
        origin = self.folder / source
        candidates = sorted(origin.rglob("*")) if origin.is_dir() else [origin]
        top = origin if origin.is_dir() else origin.parent
        for path in candidates:
            if path.is_file() and path in self:
                yield path, path.relative_to(top)


class Rehearsal:
    """The build so far: `root` stands for `/`, and `env` is what the next line sees."""

    def __init__(self, root: Path, context: Context, made: tuple[str, ...], environ: dict[str, str]) -> None:
        """`made` names the absolute paths that belong to the image; `environ` is the base image's environment."""
        self.root = root
        self.context = context
        self.env = dict(environ)
        self.made = re.compile(r"(?<![\w.])(?=(?:" + "|".join(map(re.escape, made)) + r")(?![\w.-]))")

    def moved(self, text: str) -> str:
        """The text with the image's own absolute paths put under `root`."""
        return self.made.sub(str(self.root), text)

    def build(self, stage: Stage) -> None:
        """Run a stage's lines in order. Instructions that only describe the image are left to the reader of `stage`."""
        for line in stage.lines:
            match line.word:
                case "ENV":
                    self.env |= dict(pair.split("=", 1) for pair in shlex.split(self.moved(line.rest)))
                case "COPY":
                    self.copy(shlex.split(line.rest))
                case "RUN":
                    subprocess.run(["sh", "-ec", self.moved(line.rest)], env=self.env, cwd=self.root, check=True)

    def copy(self, words: list[str]) -> None:
        if words[0].startswith("--from="):
            return  # both stages share `root`, so it is there already
        *sources, target = words
        for source in sources:
            files = list(self.context.files(source))
            assert files, f"COPY {source}: .dockerignore keeps it out, or it is not there"
            for path, place in files:
                plain = len(sources) == 1 and not target.endswith("/") and (self.context.folder / source).is_file()
                goal = Path(self.moved(target)) if plain else Path(self.moved(target)) / place
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, goal)


def freeze(tree: Path) -> None:
    """Nobody may write in `tree` any more, as if it were mounted read-only."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            os.chmod(path, path.stat().st_mode & ~0o222)


def fingerprint(tree: Path) -> dict[str, tuple[int, int]]:
    """Size and change time of every file of `tree`, to see whether anything was touched."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(tree.rglob("*"))}
