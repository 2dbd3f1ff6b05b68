"""People at a real browser: Debian's Chromium driven by Playwright goes through every page (README: how it is installed)."""
