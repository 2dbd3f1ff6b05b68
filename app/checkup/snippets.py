"""What to write into Caddy, nginx, Traefik or Cloudflare when the proxy is the cause; docs/reverse-proxies.md has the same words."""

from __future__ import annotations

WHOLE, SLASH, WELL_KNOWN, PATH_FORM = "whole", "slash", "well-known", "path-form"
SCHEME, AUTHORIZATION, BUFFERING, BOTS = "scheme", "authorization", "buffering", "bots"
PROXIES = ("caddy", "nginx", "traefik", "cloudflare")
DOCUMENT = "docs/reverse-proxies.md"

# The example that the documentation shows; `snippet` puts the address that was checked in its place.
HOST, PATH = "mcp.example.com", "/mcp"

TITLES = {
    WHOLE: "The whole configuration",
    SLASH: "/mcp/ must not redirect",
    WELL_KNOWN: "/.well-known/ reaches the server",
    PATH_FORM: "A well-known document that exists at the root only",
    SCHEME: "https in every document",
    AUTHORIZATION: "Authorization reaches the server",
    BUFFERING: "Streams are not buffered",
    BOTS: "Programs are let in",
}

CADDY = {
    WHOLE: """
mcp.example.com {
	reverse_proxy 127.0.0.1:8000 {
		flush_interval -1
	}
}
""",
    SLASH: "rewrite /mcp/ /mcp",
    WELL_KNOWN: """
reverse_proxy /.well-known/* 127.0.0.1:8000
reverse_proxy /mcp/.well-known/* 127.0.0.1:8000
""",
    PATH_FORM: "rewrite /.well-known/oauth-protected-resource/mcp /.well-known/oauth-protected-resource",
    SCHEME: "reverse_proxy 127.0.0.1:8000 # sends X-Forwarded-Proto by itself; behind another proxy set trusted_proxies",
    AUTHORIZATION: """
# no basic_auth or forward_auth over these, and no "header_up -Authorization"
@guarded path /mcp /mcp/ /token /revoke /.well-known/*
reverse_proxy @guarded 127.0.0.1:8000
""",
    BUFFERING: """
reverse_proxy 127.0.0.1:8000 {
	flush_interval -1
}
""",
    BOTS: "# Caddy has no such filter of its own: look for a rule on User-Agent, or at what stands before Caddy",
}

NGINX = {
    WHOLE: """
server {
    listen 443 ssl;
    server_name mcp.example.com;
    ssl_certificate /etc/letsencrypt/live/mcp.example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/mcp.example.com/privkey.pem;

    location / {
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 1h;
    }
}
""",
    SLASH: """
# instead of "location /mcp/", which redirects /mcp
location = /mcp { proxy_pass http://127.0.0.1:8000; proxy_set_header Host $http_host; }
location = /mcp/ { proxy_pass http://127.0.0.1:8000/mcp; proxy_set_header Host $http_host; }
""",
    WELL_KNOWN: """
# "^~" goes before a rule such as "location ~ /\\." that hides dot files
location ^~ /.well-known/ { proxy_pass http://127.0.0.1:8000; proxy_set_header Host $http_host; }
location ^~ /mcp/.well-known/ { proxy_pass http://127.0.0.1:8000; proxy_set_header Host $http_host; }
""",
    PATH_FORM: """
rewrite ^/\\.well-known/oauth-protected-resource/mcp$ /.well-known/oauth-protected-resource last;
""",
    SCHEME: """
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-Proto $scheme;
""",
    AUTHORIZATION: """
auth_basic off;
proxy_set_header Authorization $http_authorization;
""",
    BUFFERING: """
proxy_http_version 1.1;
proxy_buffering off;
proxy_read_timeout 1h;
""",
    BOTS: "# look for: if ($http_user_agent ~* …) { return 403; }, ModSecurity, or what stands before nginx",
}

TRAEFIK = {
    WHOLE: """
http:
  routers:
    gatehouse:
      rule: Host(`mcp.example.com`)
      entryPoints: [websecure]
      service: gatehouse
      tls:
        certResolver: letsencrypt
  services:
    gatehouse:
      loadBalancer:
        passHostHeader: true
        servers:
          - url: http://127.0.0.1:8000
""",
    SLASH: """
http:
  middlewares:
    without-slash: # in place of any redirectRegex
      replacePathRegex:
        regex: ^/mcp/$
        replacement: /mcp
""",
    WELL_KNOWN: """
rule: Host(`mcp.example.com`) # without PathPrefix(`/mcp`); or: && (PathPrefix(`/mcp`) || PathPrefix(`/.well-known/`))
""",
    PATH_FORM: """
http:
  middlewares:
    root-form:
      replacePathRegex:
        regex: ^/\\.well-known/oauth-protected-resource/mcp$
        replacement: /.well-known/oauth-protected-resource
""",
    SCHEME: """
entryPoints: # only where another proxy with TLS stands before Traefik
  web:
    forwardedHeaders:
      trustedIPs: [10.0.0.0/8]
""",
    AUTHORIZATION: "# take basicAuth and forwardAuth off the routers of /mcp, /token, /revoke and /.well-known/",
    BUFFERING: "# take the buffering middleware off the router of /mcp; Traefik streams by itself",
    BOTS: "# look for a plugin or middleware that reads User-Agent, or at what stands before Traefik",
}

CLOUDFLARE = {
    WHOLE: """
# cloudflared: config.yml
ingress:
  - hostname: mcp.example.com
    service: http://127.0.0.1:8000
  - service: http_status:404
# dashboard: SSL/TLS mode Full (strict); Security > Bots > Block AI bots off; no Access application over this host
""",
    SLASH: "# Rules > Redirect Rules, Page Rules and Normalization: none that touches /mcp or /mcp/",
    WELL_KNOWN: "# Access, Workers routes and Redirect Rules: none that covers /.well-known/*",
    PATH_FORM: """
# Rules > Transform Rules > Rewrite URL
when:    http.request.uri.path eq "/.well-known/oauth-protected-resource/mcp"
rewrite: /.well-known/oauth-protected-resource
""",
    SCHEME: "# SSL/TLS mode Full (strict), not Flexible: Flexible talks http to your server",
    AUTHORIZATION: "# no Access application over this host; no Transform Rule that removes the request header Authorization",
    BUFFERING: "# nothing to set; send something at least every 100 s, or the stream is cut",
    BOTS: "# Security > Bots: switch Block AI bots and Bot Fight Mode off for this zone; a WAF skip rule does not reach them",
}

SNIPPETS: dict[str, dict[str, str]] = {"caddy": CADDY, "nginx": NGINX, "traefik": TRAEFIK, "cloudflare": CLOUDFLARE}


def snippet(proxy: str, topic: str, host: str = HOST, path: str = PATH) -> str:
    """The lines for one proxy, with the host and path that were checked. The upstream stays 127.0.0.1:8000."""
    text = SNIPPETS[proxy][topic].strip("\n")
    if path != PATH and path != "/":
        text = text.replace("/mcp", path)
    return text.replace(HOST, host)


def is_short(text: str) -> bool:
    return len(text.splitlines()) <= 3
