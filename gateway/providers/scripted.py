"""The scripted provider: it speaks OpenAI's format, and answers from a script instead of a model.

What it says is in `scripting/`; `upstream/scripted.py` plays it in process, `standalone.py` on a socket.
"""

from __future__ import annotations

from gateway.providers.openai import OpenAI

PROVIDER = OpenAI("scripted")
