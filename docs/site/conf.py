"""What Sphinx needs to know; ``build.py`` beside this puts the sources together."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "flowdeck"
release = version = installed("flowdeck")
author = "the flowdeck developers"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_heading_anchors = 4  # pages link to headings of others as the repository's viewers do
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
napoleon_numpy_docstring = False
# Types in docstrings that are no documented objects (of the standard library, of the engine's inside)
# are not links.
nitpicky = False
# Two classes may each have a `type`; headings of a help text in a README stand where they do.
suppress_warnings = ["myst.header", "ref.python"]

html_theme = "furo"
html_title = f"flowdeck {release}"
html_static_path: list[str] = []
