"""Services whose addresses and peculiarities need not be looked up: each is a value, with the page of theirs that says so (RFC 6749 §3)."""

from __future__ import annotations

from app.protocol.provider import BASIC, POST, Profile, Provider, Revocation, Way

OPENID = ("openid", "email", "profile")
# Nothing but a client_id and a secret is missing. What anybody can change in their own definition is in provider_definition.py.
KNOWN_PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            "github",
            "GitHub",
            token_endpoint_auth_method=POST,
            realm="https://github.com",
            sign_in=Way(
                ("read:user", "user:email"),
                "https://github.com/login/oauth/authorize",
                "https://github.com/login/oauth/access_token",
            ),
            connect=Way(
                ("read:user",),
                "https://github.com/login/oauth/authorize",
                "https://github.com/login/oauth/access_token",
            ),
            profile=Profile(
                "https://api.github.com/user",
                subject="id",
                verified=None,
                names=("name", "login"),
                emails_url="https://api.github.com/user/emails",
            ),
            revocation=Revocation("https://api.github.com/applications/{client_id}/grant", "github"),
            documentation="https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps",
        ),
        Provider(
            "google",
            "Google",
            token_endpoint_auth_method=POST,
            issuer="https://accounts.google.com",
            sign_in=Way(OPENID),
            # Without `offline` there is no refresh token, and without `consent` only the first time.
            connect=Way(
                OPENID,
                extra=(("access_type", "offline"), ("include_granted_scopes", "true"), ("prompt", "consent")),
            ),
            documentation="https://developers.google.com/identity/protocols/oauth2/web-server",
        ),
        Provider(
            "microsoft",
            "Microsoft",
            token_endpoint_auth_method=POST,
            issuer="https://login.microsoftonline.com/common/v2.0",
            issuer_template="https://login.microsoftonline.com/{tenantid}/v2.0",
            sign_in=Way(OPENID),
            connect=Way((*OPENID, "offline_access", "User.Read")),
            # Whoever runs a tenant can write any address into `email`; this claim says that the domain is proven.
            profile=Profile(verified="xms_edov"),
            documentation="https://learn.microsoft.com/en-us/entra/identity-platform/id-token-claims-reference",
        ),
        Provider(
            "gitlab",
            "GitLab",
            issuer="https://gitlab.com",
            sign_in=Way(OPENID),
            connect=Way((*OPENID, "read_user")),
            documentation="https://docs.gitlab.com/integration/openid_connect_provider",
        ),
        Provider(
            "slack",
            "Slack",
            token_endpoint_auth_method=BASIC,
            issuer="https://slack.com",
            sign_in=Way(OPENID),
            connect=Way(
                ("users.profile:read",),
                "https://slack.com/oauth/v2/authorize",
                "https://slack.com/api/oauth.v2.access",
                scope_parameter="user_scope",
                separator=",",
                member="authed_user",
            ),
            revocation=Revocation("https://slack.com/api/auth.revoke", "bearer"),
            documentation="https://docs.slack.dev/reference/methods/oauth.v2.access",
        ),
        Provider(
            "discord",
            "Discord",
            realm="https://discord.com",
            sign_in=Way(
                ("identify", "email"),
                "https://discord.com/oauth2/authorize",
                "https://discord.com/api/oauth2/token",
            ),
            connect=Way(
                ("identify",),
                "https://discord.com/oauth2/authorize",
                "https://discord.com/api/oauth2/token",
            ),
            profile=Profile(
                "https://discord.com/api/users/@me",
                subject="id",
                verified="verified",
                names=("global_name", "username"),
            ),
            revocation=Revocation("https://discord.com/api/oauth2/token/revoke"),
            documentation="https://discord.com/developers/docs/topics/oauth2",
        ),
        Provider(
            "tidal",
            "TIDAL",
            realm="https://tidal.com",
            sign_in=Way(
                ("user.read",),
                "https://login.tidal.com/authorize",
                "https://auth.tidal.com/v1/oauth2/token",
            ),
            connect=Way(
                ("user.read",),
                "https://login.tidal.com/authorize",
                "https://auth.tidal.com/v1/oauth2/token",
            ),
            profile=Profile(
                "https://openapi.tidal.com/v2/users/me",
                subject="data.id",
                email="data.attributes.email",
                verified="data.attributes.emailVerified",
                names=("data.attributes.firstName", "data.attributes.username"),
                accept="application/vnd.api+json",
            ),
            documentation="https://developer.tidal.com/documentation/api-sdk/api-sdk-authorization",
        ),
    )
}
