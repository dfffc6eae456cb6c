"""How the models behind Converse differ, as data: what it has no word for goes to the model in its maker's words.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html (`additionalModelRequestFields`),
https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.dialects.messages.model import Model as Claude

Thinks = Literal["", "claude", "nova", "effort"]
"""How a family is told to think: not at all, Anthropic's `thinking`, Amazon's `reasoningConfig`, `reasoning_effort`."""


class Family(msgspec.Struct, frozen=True):
    """The models of one maker. `top_k` is the path of that parameter, empty if there is none.

    `stops`: the model says which stop sequence it met.
    `claude` is what a model of Anthropic's takes; its `formats` are asked of all families.
    """

    name: str
    top_k: tuple[str, ...] = ()
    thinks: Thinks = ""
    stops: bool = False
    claude: Claude = Claude()


ANTHROPIC = Family("anthropic", ("top_k",), "claude", stops=True)
NOVA = Family("amazon.nova", ("inferenceConfig", "topK"), "nova")
OTHER = Family("")

FAMILIES = (
    ANTHROPIC,
    NOVA,
    Family("openai", thinks="effort"),
    Family("mistral", ("top_k",)),
    Family("cohere", ("k",)),
)


def family_of(model: str) -> Family:
    """The family of a model by its id, an inference profile's id or an ARN that names it; `OTHER` if none does."""
    name = model.rpartition("/")[2]
    return next((family for family in FAMILIES if f".{family.name}" in f".{name}"), OTHER)
