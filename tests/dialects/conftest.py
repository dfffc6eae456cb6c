"""All dialects are there, whichever test is run: they enter the words in which members are named."""

from __future__ import annotations

import gateway.dialects.chat
import gateway.dialects.gemini
import gateway.dialects.messages
import gateway.dialects.responses  # noqa: F401
