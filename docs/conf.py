"""Sphinx configuration; `make docs` builds. cbp must be importable, no network is used."""

import sys
from pathlib import Path

import cbp

sys.path.insert(0, str(Path(__file__).parent))

project = "cbp"
author = "the cbp developers"
copyright = "2026, the cbp developers"
version = release = cbp.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "_ext.tables",
]
exclude_patterns = ["_ext", "_static", "examples"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

default_role = "py:obj"  # `name` in a docstring: a link where there is something to link to, else code
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section already says it
numpydoc_show_class_members = False  # templates/class.rst lists them

html_theme = "pydata_sphinx_theme"
html_title = "cbp"
html_static_path = ["_static"]
html_css_files = ["cbp.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "cbp"},
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in ("quickstart", "house", "numerics", "howto/activation", "changelog")}


def _is_documented_elsewhere(app, what, name, obj, skip, options):
    """Leave out what estimators have from scikit-learn, whose references lead to its own pages."""
    return True if (getattr(obj, "__module__", None) or "").startswith("sklearn.") else None


def setup(app):
    app.connect("autodoc-skip-member", _is_documented_elsewhere)
