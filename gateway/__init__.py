"""An async reverse proxy between applications and LLM providers.

Read `pipeline.py` first: it is the table of contents, and every name on its lines is a folder.
"""

__version__ = "0.1.0"
