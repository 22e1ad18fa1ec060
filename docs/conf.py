"""The site that `make docs` builds: pages in Markdown, and a reference made from docstrings.

The source folder is the repository's root, so that a link means the same on GitHub, in the site and in an editor.
"""

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.pycode import parser

project = "incentivize"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "benchmarks/*.md", "examples/*.md"]
exclude_patterns = [".*", "build", "runs", "tests"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 6  # links to headings are as on GitHub

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # what a family does as the contract says is said there
autodoc_preserve_defaults = True
napoleon_custom_sections = [("Knobs", "params_style")]
napoleon_use_ivar = True
default_role = "py:obj"  # `name` is code, and a link where it is known
add_module_names = False
python_maximum_signature_line_length = 100

# A field's comment is its documentation, and what stands before a colon there is no type to be looked up.
parser.comment_re = re.compile(r"^\s*#:?(?! ?noqa| ?pyright) ?(.*)\r?\n?$")
GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end

html_theme = "furo"
html_title = "incentivize"
html_extra_path = ["html"]
html_show_copyright = html_show_sphinx = html_show_sourcelink = html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "monokai"


def shorter(*told: Any) -> tuple[str | None, str | None]:
    """Return a signature without what pydantic checks of a type beside the type itself."""
    signature, returns = told[-2:]
    return signature and re.sub(r"Annotated\[(\w+), FieldInfo\(.*?\]\)\]", r"\1", signature), returns


def silent(*told: Any) -> None:
    """Drop what Sphinx says of a field without a comment."""
    if told[-1][:1] and told[-1][0].startswith("Alias for field number"):
        told[-1].clear()


def setup(app: Sphinx) -> None:
    """Connect both to Sphinx."""
    app.connect("autodoc-process-signature", shorter)
    app.connect("autodoc-process-docstring", silent)
