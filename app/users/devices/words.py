"""A browser in a few words, from its User-Agent (RFC 9110 §10.1.5): as much as it tells, and no more."""

from __future__ import annotations

from app.language import _

# The first that is found counts: nearly every browser also names those that it wants to be taken for.
PROGRAMS = {"Edg": "Edge", "OPR/": "Opera", "SamsungBrowser/": "Samsung Internet", "FxiOS/": "Firefox"}
PROGRAMS |= {"Firefox/": "Firefox", "CriOS/": "Chrome", "Chrome/": "Chrome", "Safari/": "Safari"}
SYSTEMS = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows", "CrOS": "ChromeOS"}
SYSTEMS |= {"Macintosh": "Mac", "Linux": "Linux"}


def words(user_agent: str) -> str:
    """Such as "Firefox on Windows"."""
    program = next((name for token, name in PROGRAMS.items() if token in user_agent), None)
    system = next((name for token, name in SYSTEMS.items() if token in user_agent), None)
    if program and system:
        return _("{program} on {system}").format(program=program, system=system)
    return program or system or _("A browser that does not say what it is")
