"""How sphinx builds these pages: nothing here needs a network."""

from importlib.metadata import version as version_of

project = "Terzetto"
author = "The Terzetto authors"
copyright = "2026, The Terzetto authors"  # noqa: A001 (sphinx reads this name)
version = release = version_of("terzetto")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]

# ```mermaid draws here as it does where the repository is browsed; ```{mermaid} works too.
myst_fence_as_directive = ["mermaid"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"

html_theme = "furo"
html_title = "Terzetto"
