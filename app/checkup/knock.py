"""DNS, TCP and TLS, address by address, without HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

NAME_SECONDS = 5.0
KNOCK_SECONDS = 5.0
MOST_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class Knock:
    """One address of the host. `problem` is a word of `checks/address.py`; empty when everything went well."""

    address: str
    problem: str = ""
    detail: str = ""
    expires: datetime | None = None
    version: str = ""

    @property
    def connected(self) -> bool:
        return self.problem not in ("refused", "silent", "no route")


async def addresses(host: str, port: int) -> tuple[list[str], str]:
    """All addresses of a name, IPv4 first, or none and why."""
    try:
        return [str(ip_address(host))], ""
    except ValueError:
        pass
    try:
        async with asyncio.timeout(NAME_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return [], f"DNS did not answer within {NAME_SECONDS:.0f} s"
    except socket.gaierror:
        return [], "DNS knows no address of this name"
    except (OSError, UnicodeError):
        return [], "this is no name that DNS can look up"
    unique = dict.fromkeys(str(entry[4][0]) for entry in found)
    return sorted(unique, key=lambda address: ":" in address), ""


def is_public(address: str) -> bool:
    """Whether the address is one of the Internet; an IPv4 address inside an IPv6 one counts as itself."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.split("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed.is_global and not parsed.is_multicast


async def knock(address: str, port: int, context: ssl.SSLContext | None, host: str) -> Knock:
    """Connects, and with a context shakes hands; says what it saw."""
    try:
        async with asyncio.timeout(KNOCK_SECONDS):
            _, writer = await asyncio.open_connection(
                address, port, ssl=context, server_hostname=host if context else None
            )
    except TimeoutError:
        return Knock(address, await _silent(address, port) if context else "silent")
    except ssl.SSLCertVerificationError as fault:
        return Knock(address, _distrust(fault), fault.verify_message)
    except ssl.SSLError as fault:
        plain_http = "WRONG_VERSION" in str(fault) or "HTTP_REQUEST" in str(fault) or "RECORD_LAYER" in str(fault)
        return Knock(address, "not tls" if plain_http else "tls", fault.reason or "")
    except ConnectionRefusedError:
        return Knock(address, "refused")
    except ConnectionError:  # reset or closed in the middle of the handshake
        return Knock(address, "tls" if context else "refused", "the connection was closed")
    except OSError as fault:
        return Knock(address, "no route", fault.strerror or "")
    try:
        return _met(address, writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()  # a peer that never says goodbye must not be waited for


async def _silent(address: str, port: int) -> str:
    """Whether a handshake that never ended was begun by a connection at all."""
    without_tls = await knock(address, port, None, "")
    return "tls" if not without_tls.problem else without_tls.problem


def _met(address: str, tls: ssl.SSLObject | None) -> Knock:
    if tls is None:
        return Knock(address)
    ends = str((tls.getpeercert() or {}).get("notAfter", ""))
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None
    return Knock(address, expires=expires, version=tls.version() or "")


def _distrust(fault: ssl.SSLCertVerificationError) -> str:
    """OpenSSL's verify codes: X509_V_ERR_… of x509_vfy.h."""
    return {10: "expired", 9: "not yet", 18: "self-signed", 19: "unknown authority", 20: "chain", 21: "chain"}.get(
        fault.verify_code, "name" if fault.verify_code in (62, 64) or "match" in fault.verify_message else "untrusted"
    )
