"""GATEHOUSE_DATABASE_URL: what is wrong with it is said without the URL, which has a password in it."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

PARTS = re.compile(r"(?:postgres|postgresql)(?:\+\w+)?://([^/?#]*)([^?]*)\??(.*)", re.DOTALL)
HOST = re.compile(r"(?:\[[^][]*]|[^][:]*)(?::(\d*))?")
HIGHEST_PORT = 65535


def check_database(url: str) -> None:
    """Raises ValueError. Several hosts, and none (a socket that the query names), are fine."""
    parts = PARTS.fullmatch(url)
    if parts is None:
        raise ValueError("must start with postgresql://")
    authority, path, query = parts.groups()
    # A password with one of these ends the part of the URL that it stands in, so that another part has its @.
    is_torn = "@" in path or ("@" in query and authority and not path) or "#" in path + query
    if is_torn or authority.count("@") > 1 or set("[]") & set(authority.rpartition("@")[0]):
        raise ValueError("needs the special characters of its password as %XX, such as %2F for / and %40 for @")
    hosts = [HOST.fullmatch(host) for host in authority.rpartition("@")[2].split(",")]
    ports = [port for named in parse_qs(query).get("port", ()) for port in named.split(",")]
    ports += [(host[1] or "") if host else "?" for host in hosts]
    if any(port and not (re.fullmatch("[0-9]{1,5}", port) and int(port) <= HIGHEST_PORT) for port in ports):
        raise ValueError("has a port that is no number, or a host that is none")
