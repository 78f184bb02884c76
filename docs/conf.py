"""Sphinx builds the documentation: `sphinx-build -W docs site`."""

from __future__ import annotations

from importlib import metadata

project = "llmwire"
release = metadata.version("llmwire")
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
html_theme = "furo"
html_title = f"llmwire {release}"
html_copy_source = False
myst_heading_anchors = 3
exclude_patterns = ["site"]
suppress_warnings = ["myst.header"]
