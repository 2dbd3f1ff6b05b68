"""`python -m tests.clients` writes docs/clients.md anew from the data."""

from __future__ import annotations

from tests.clients.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page())
