"""DNS, port, connections and the certificate (MCP "Communication Security": https; hosted clients: public IPv4, port 443)."""

from __future__ import annotations

from datetime import timedelta

from app.checkup.findings import Finding, Stop, failed, passed, skipped, warned
from app.checkup.knock import Knock, is_public
from app.checkup.snippets import SCHEME
from app.checkup.visit import Visit

SOON = timedelta(days=14)
CURES = {
    "expired": "Renew the certificate, and see why its automatic renewal did not happen.",
    "not yet": "The certificate is not valid yet; check the clock of the machine that made it.",
    "name": "Get a certificate that names this host.",
    "self-signed": "Get a certificate of a public authority, Let's Encrypt for example; clients do not accept self-signed ones.",
    "unknown authority": "Get a certificate of a public authority; clients elsewhere do not know the private one that signed this.",
    "chain": "Serve the whole chain (fullchain.pem, not cert.pem): the intermediate certificate is missing.",
    "untrusted": "Get a certificate of a public authority, Let's Encrypt for example.",
    "not tls": "This port speaks plain http: let the proxy speak TLS on it, or give the port that does.",
    "tls": "Let the proxy speak TLS 1.2 or 1.3 for this host name; it ended the handshake.",
}


def dns(visit: Visit) -> Finding:
    """All answers have to be public: hosted clients refuse a name that also leads inside."""
    if visit.no_addresses:
        return failed(
            f"{visit.target.host}: {visit.no_addresses}", "Add an A record with the public IPv4 address of the server."
        )
    said = ", ".join(visit.addresses[:10])
    inside = [address for address in visit.addresses if not is_public(address)]
    if len(inside) == len(visit.addresses):
        return warned(
            f"{said}: not an address of the Internet",
            "Clients on this network or computer get in; hosted ones (Claude, ChatGPT) need a public name and address.",
        )
    if inside:
        return warned(
            f"{said}: {', '.join(inside)} is private",
            "Remove the private address from public DNS; clients that get it go nowhere.",
        )
    if all(":" in address for address in visit.addresses):
        return warned(f"{said}: IPv6 only", "Add an A record: hosted clients (Claude) come by IPv4.")
    return passed(said)


def port(visit: Visit) -> Finding:
    """Hosted clients go to 443 only."""
    number = visit.target.port
    if not visit.is_public:
        return skipped("the address is not public, so hosted clients do not come")
    if number != 443:
        return warned(f"port {number}", "Serve https on port 443: hosted clients (Claude) use no other.")
    return passed("443")


def connection(visit: Visit) -> Finding:
    """Every address takes connections."""
    _stop_without_knocks(visit)
    dead = [knock for knock in visit.knocks if not knock.connected]
    words = ", ".join(f"{knock.address} {_word(knock)}" for knock in dead)
    if len(dead) == len(visit.knocks):
        return failed(
            f"port {visit.target.port}: {words}",
            "Start the server or the proxy in front of it, and open this port in the firewall.",
        )
    if any(knock.problem != "no route" for knock in dead):
        return failed(
            f"port {visit.target.port}: {words}", "Let the server listen there, or take the address out of DNS."
        )
    if dead:
        return passed(
            f"{len(visit.knocks) - len(dead)} of {len(visit.knocks)} addresses; no route from here to the others"
        )
    return passed(
        f"port {visit.target.port} answers at {len(visit.knocks)} address{'es'[: 2 * (len(visit.knocks) > 1)]}"
    )


def tls(visit: Visit) -> Finding:
    """Certificate and protocol, as a client that trusts this system's authorities sees them."""
    if not visit.target.is_https:
        if visit.is_public:
            return failed(
                "plain http: whoever is on the way reads the tokens",
                "Put a proxy with TLS in front and give clients the https address.",
                SCHEME,
            )
        return skipped("plain http, for this computer or network only")
    _stop_without_knocks(visit)
    met = [knock for knock in visit.knocks if knock.connected]
    if not met:
        return skipped("nobody could be connected to")
    for knock in met:
        if knock.problem:
            detail = f" ({knock.detail})" if knock.detail else ""
            return failed(f"{knock.address}: {knock.problem}{detail}", CURES[knock.problem])
    return passed(f"{' '.join(sorted({knock.version for knock in met}))}, certificate valid for {visit.target.host}")


def expiry(visit: Visit) -> Finding:
    """The certificate that ends first."""
    ends = [knock.expires for knock in visit.knocks if knock.expires]
    if not ends:
        return skipped("no certificate was seen")
    days = (min(ends) - visit.now).days
    said = f"the certificate is valid for {days} more days, until {min(ends):%Y-%m-%d}"
    if min(ends) - visit.now < SOON:
        return warned(said, "Renew it now, and see why its automatic renewal did not happen.")
    return passed(said)


def _stop_without_knocks(visit: Visit) -> None:
    if not visit.knocks:
        raise Stop(skipped(visit.unreachable or "there was no address to connect to"))


def _word(knock: Knock) -> str:
    return {"refused": "refuses connections", "silent": "does not answer"}.get(knock.problem, "has no route from here")


CHECKS = (dns, port, connection, tls, expiry)
