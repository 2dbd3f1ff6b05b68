"""A browser in words, from its User-Agent (RFC 9110 §10.1.5), and its network, from its address: as much as they tell, and no more."""

from __future__ import annotations

import re
from ipaddress import ip_network

from app.language.catalogs import N_, _

# The first that is found counts: nearly every browser also names those that it wants to be taken for.
PROGRAMS = (
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("UCBrowser/", "UC Browser"),
    ("MicroMessenger/", "WeChat"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("QQBrowser/", "QQ Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Electron/", N_("An app built with Electron")),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),  # with Safari/, see below
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", N_("A Python program")),
    ("python-httpx", N_("A Python program")),
    ("aiohttp/", N_("A Python program")),
    ("Go-http-client/", N_("A Go program")),
    ("okhttp/", N_("An Android app")),
    ("node", N_("A Node.js program")),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("HarmonyOS", "HarmonyOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "Mac"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
)
LOOPBACK_64 = ip_network("::/64")
ODD = re.compile(r"[^ -~]")


def device(user_agent: str) -> str:
    """Such as "Firefox on Windows". What is not known is not guessed at: then the first word of the header is quoted."""
    if not user_agent.strip():
        return _("A program that does not say what it is")
    program = next((_(name) for token, name in PROGRAMS if token in user_agent), None)
    if program == "Safari" and "Safari/" not in user_agent:
        program = None
    system = next((name for token, name in SYSTEMS if token in user_agent), None)
    if program and system:
        return _("{program} on {system}").format(program=program, system=system)
    if program or system:
        return program or _("An unknown browser on {system}").format(system=system)
    word = ODD.sub("?", user_agent.split()[0])[:40]
    return _("Unknown: {word}").format(word=word)


def place(address: str, *, on_loopback: bool) -> str:
    """Whether it is near, as far as an address tells; else the address itself (of IPv6 the /64, which is all that we keep).
    `on_loopback`: the server is reached from its own computer only."""
    try:
        network = ip_network(address, strict=False)
    except ValueError:
        return _("An unknown address")
    if network.is_loopback or network == LOOPBACK_64:
        return _("This computer") if on_loopback else _("The server itself, or a proxy in front of it")
    if network.is_private or network.is_link_local:
        return _("A private network ({address})").format(address=address)
    return address
