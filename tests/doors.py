"""Small real servers on loopback whose front doors are right until a test breaks one thing; and sockets that misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PAGE = (200, {"Content-Type": "text/html"}, b"<!doctype html><title>Sign in</title>")
NOWHERE = (404, {"Content-Type": "application/json"}, b'{"error":"not_found"}')
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "authorization, content-type, mcp-protocol-version",
    "Access-Control-Expose-Headers": "WWW-Authenticate",
}
SERVER, RESOURCE = "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"
Reply = tuple[int, dict[str, str], bytes]


def as_json(document: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **CORS, **named}, json.dumps(document).encode()


class Listener(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


class FrontDoor:
    """`resource` and `server` are the documents as served; `replies` overrides single addresses, by (method, path)."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "localhost") -> None:
        self._http = Listener(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.origin = f"http{'s' if tls else ''}://{host}:{self._http.server_address[1]}"
        self.url = f"{self.origin}/mcp"
        self.challenge = f'Bearer resource_metadata="{self.origin}{RESOURCE}/mcp", scope="read"'
        self.resource: dict[str, Any] = {
            "resource": self.url,
            "authorization_servers": [self.origin],
            "scopes_supported": ["read"],
        }
        self.server: dict[str, Any] = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "jwks_uri": f"{self.origin}/keys",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
        }
        self.replies: dict[tuple[str, str], Reply] = {}
        self.asked: list[tuple[str, str]] = []
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def reply(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        self.asked.append((method, path))
        path = path.split("?")[0]
        if (method, path) in self.replies:
            return self.replies[method, path]
        if method == "OPTIONS":
            return 204, CORS, b""
        if path in ("/mcp", "/mcp/"):
            error = ', error="invalid_token"' if "authorization" in headers else ""
            return as_json({"error": "invalid_token"}, 401, WWW_Authenticate=self.challenge + error)
        found: dict[tuple[str, str], Reply] = {
            ("GET", SERVER): as_json(self.server),
            ("GET", RESOURCE): as_json(self.resource),
            ("GET", f"{RESOURCE}/mcp"): as_json(self.resource),
            ("GET", "/keys"): as_json({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}]}),
            ("POST", "/token"): as_json({"error": "invalid_client"}, 401),
            ("GET", "/authorize"): (400, {"Content-Type": "text/html"}, b"<!doctype html>unknown client"),
        }
        return found.get((method, path), NOWHERE)


def _handler(door: FrontDoor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, given, body = door.reply(self.command, self.path, headers)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **given}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_OPTIONS = do_DELETE = _any

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


class Socket:
    """A listener that does `talk` with every connection, after the request's head was read."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._talk = talk
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(20)
            connection.recv(65536)
            self._talk(connection)


def certificate(folder: Path, name: str = "localhost", days: int = 90) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate for `name` that ends in `days`, and the file of the authority that signed it."""
    now = datetime.now(UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority for tests")])
    begins = now - timedelta(days=100)

    def signed(subject: x509.Name, public: Any, ends: datetime, extension: x509.ExtensionType) -> x509.Certificate:
        building = x509.CertificateBuilder().subject_name(subject).issuer_name(authority_name).public_key(public)
        building = building.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        return building.add_extension(extension, critical=False).sign(authority_key, hashes.SHA256())

    authority = signed(
        authority_name,
        authority_key.public_key(),
        now + timedelta(days=400),
        x509.BasicConstraints(ca=True, path_length=None),
    )
    leaf = signed(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        key.public_key(),
        now + timedelta(days=days),
        x509.SubjectAlternativeName([x509.DNSName(name)]),
    )
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key.private_bytes(pem, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context, folder / "authority.pem"
