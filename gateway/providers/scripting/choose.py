"""Which reply is played: the first that fits, is not used up and wins its draw."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from gateway.providers.scripting.request import Question
from gateway.providers.scripting.script import Reply, Script, When

_NATURAL = Reply()
_SCRIPTED_ONLY = frozenset({"chat", "completions"})


def serves(script: Script, model: str) -> bool:
    """Whether the script knows `model`, by name or by pattern."""
    return any(model == known or ("*" in known and fnmatchcase(model, known)) for known in script.models)


class Chooser:
    """Chooses by a script and remembers how often each reply was played."""

    def __init__(self, script: Script, draw: Callable[[], float]) -> None:
        """`draw` gives numbers in [0, 1) for `share`."""
        self._replies = script.replies
        self._draw = draw
        self._played = [0] * len(script.replies)

    def choose(self, question: Question) -> Reply | None:
        """The reply to play. None if a chat has none; other endpoints then answer naturally."""
        for index, reply in enumerate(self._replies):
            if reply.times is not None and self._played[index] >= reply.times:
                continue
            if reply.fits(question.endpoint) and _fits(reply.when, question) and self._wins(reply.when):
                self._played[index] += 1
                return reply
        return None if question.endpoint in _SCRIPTED_ONLY else _NATURAL

    def _wins(self, when: When) -> bool:
        return when.share is None or self._draw() < when.share


def _fits(when: When, question: Question) -> bool:
    # The cheap questions first: most rules fail on one of them.
    return (
        (when.endpoint is None or when.endpoint == question.endpoint)
        and (when.model is None or fnmatchcase(question.model, when.model))
        and (when.stream is None or when.stream == question.stream)
        and (when.contains is None or when.contains.casefold() in question.text.casefold())
        and (when.turn is None or when.turn == question.turn)
        and (when.format is None or when.format == question.format)
        and (when.tool is None or when.tool == question.tool)
        and (when.regex is None or when.regex.search(question.text) is not None)
    )
