"""`python -m tests.blackbox`: writes docs/mcp-requirements.md anew from the index."""

from tests.blackbox.index import DOCUMENT, rendered

DOCUMENT.write_text(rendered())
