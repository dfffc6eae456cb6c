"""How models that speak Anthropic's Messages API differ, as data.

Source: https://platform.claude.com/docs/en/about-claude/models/migration-guide,
https://platform.claude.com/docs/en/api/versioning.
"""

from __future__ import annotations

import msgspec

MAX_TOKENS = 8192
"""The longest answer where the caller names none, for Anthropic's API wants one named: every Claude since 3.5 allows
this many."""


class Model(msgspec.Struct, frozen=True):
    """What one model takes; the defaults are those of Claude 4.6 under API version 2023-06-01.

    `max_tokens` is asked for where the caller sets no limit. `sampling`: it takes `temperature`, `top_p` and `top_k`
    (not since 4.7, and not under API version 2026-10-21). `budgets`: thinking can be given in tokens (not since 4.7).
    `adaptive`: it can be left to the model, with an effort (since 4.6). `formats`: it takes a JSON schema for the
    answer and strict tools (since 4.5). `system_turns`: it takes a system message after a user's turn (since 4.8); else
    those go to the top.
    """

    max_tokens: int = MAX_TOKENS
    sampling: bool = True
    budgets: bool = True
    adaptive: bool = True
    formats: bool = True
    system_turns: bool = False


DEFAULT = Model()
