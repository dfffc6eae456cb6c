"""The web console: pages for people, with no logic of their own."""

from gateway.console.pages import Console

__all__ = ["Console"]
