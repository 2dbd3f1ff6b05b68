"""The URL table: every address, and the room that answers it. RFC numbers are in the README's table."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route
from starlette.types import ASGIApp

from app import landing
from app.account import api_keys, apps, browsers, leave, profile, usage
from app.account.export.page import export
from app.account.spending import pages as spending
from app.admin import plain_pages
from app.admin.api_keys import pages as admin_keys
from app.admin.attempts import pages as admin_attempts
from app.admin.budgets import pages as admin_budgets
from app.admin.clients import pages as admin_clients
from app.admin.connections import pages as admin_connections
from app.admin.entry import refused
from app.admin.frame import deed
from app.admin.frame import page as admin_page
from app.admin.log import pages as admin_log
from app.admin.overview import pages as admin_overview
from app.admin.projects import pages as admin_projects
from app.admin.providers import pages as admin_providers
from app.admin.spending import pages as admin_spending
from app.admin.users import invitations as admin_invitations
from app.admin.users import pages as admin_users
from app.agents import table as agents
from app.api_keys.callers import Callers
from app.api_keys.exchange import exchange
from app.clients.registration import manage
from app.clients.registration.register import register
from app.gate.forward_auth import forward_auth
from app.oauth import well_known
from app.oauth.authorize import authorize, authorize_by_form, resume
from app.oauth.consent import decide, show_consent
from app.oauth.device import pages as device
from app.oauth.device.authorization import device_authorization
from app.oauth.introspect import introspect
from app.oauth.par import push
from app.oauth.revoke import revoke
from app.oauth.token import token
from app.oauth.userinfo import userinfo
from app.operate import health
from app.operate.metrics import metrics
from app.selling import receipt_page
from app.upstream import callback, connect, depart, link, services
from app.users import by_mail, links, login, new_email, second, security, sign_in_link, sign_up
from app.users.invitations import pages as invitations
from app.users.offers import own_way
from app.users.passkeys import pages as passkeys
from app.users.passkeys.sign_in import sign_in as sign_in_by_passkey
from app.users.totp import pages as totp
from app.web.http import Door, Endpoint
from app.web.pages import page_refusal
from app.web.static import FILES, brand_css, logo, static
from app.world import World


def resource_table(world: World, guards: Mapping[str, ASGIApp]) -> Mapping[str, ASGIApp]:
    """The addresses of each resource: its own, with and without a slash, and where clients look for what it says of itself
    and of this server (RFC 9728 §3.1, RFC 8414 §3.1, OIDC Discovery §4)."""
    metadata = Door(world, cors=True, GET=well_known.authorization_server)
    openid = Door(world, cors=True, GET=well_known.openid_provider)
    table: dict[str, ASGIApp] = {}
    for path in (one.path for one in world.resources):
        if path in guards:
            table |= {path: guards[path], f"{path}/": guards[path]}
        table |= {
            f"/.well-known/oauth-protected-resource{path}": Door(world, cors=True, GET=well_known.resource_at(path)),
            f"/.well-known/oauth-authorization-server{path}": metadata,
            f"/.well-known/openid-configuration{path}": openid,
            f"{path}/.well-known/openid-configuration": openid,
        }
    return table


def url_table(world: World, callers: Callers) -> Mapping[str, ASGIApp]:
    """Every address but those of the resources, /api-keys and /admin/api, which FastAPI serves (`api_app`), and `patterns`. No
    CORS where people are."""
    metadata = Door(world, cors=True, GET=well_known.authorization_server)
    openid = Door(world, cors=True, GET=well_known.openid_provider)
    resource = Door(world, cors=True, GET=well_known.resource_at(None))
    page = page_refusal
    return {
        "/token": Door(world, cors=True, POST=token),
        "/auth/token": Door(world, cors=True, POST=exchange),
        "/register": Door(world, cors=True, POST=register),
        "/revoke": Door(world, cors=True, POST=revoke),
        "/introspect": Door(world, POST=introspect),
        "/.well-known/oauth-authorization-server": metadata,
        "/.well-known/openid-configuration": openid,
        "/.well-known/oauth-protected-resource": resource,
        "/.well-known/jwks.json": Door(world, cors=True, GET=well_known.jwks),
        "/userinfo": userinfo(world, callers),
        "/forward-auth": forward_auth(world, callers),
        "/par": Door(world, cors=True, POST=push),
        "/device_authorization": Door(world, POST=device_authorization),
        "/device": Door(world, page, GET=device.show, POST=device.enter),
        "/device/decision": Door(world, page, POST=device.decide),
        "/authorize": Door(world, page, GET=authorize, POST=authorize_by_form),
        "/authorize/continue": Door(world, page, GET=resume),
        "/login": Door(world, page, GET=login.show_login, POST=own_way(login.log_in)),
        "/login/second": Door(world, page, GET=second.show_second, POST=second.second),
        "/login/passkey": Door(world, page, POST=own_way(sign_in_by_passkey)),
        "/login/provider": Door(world, page, POST=depart.sign_in_with),
        "/logout": Door(world, page, POST=login.log_out),
        "/consent": Door(world, page, GET=show_consent, POST=decide),
        "/setup": Door(world, page, GET=links.show_setup, POST=links.set_up),
        "/password": Door(world, page, GET=links.show_password, POST=links.set_password),
        "/account": Door(world, page, GET=apps.show),
        "/account/connections/revoke": Door(world, page, POST=apps.revoke),
        "/account/allowed": Door(world, page, GET=apps.show_allowed),
        "/account/allowed/forget": Door(world, page, POST=apps.forget),
        "/account/api-keys": Door(world, page, GET=api_keys.show, POST=api_keys.create),
        "/account/api-keys/rotate": Door(world, page, GET=api_keys.show_rotate, POST=api_keys.rotate),
        "/account/api-keys/revoke": Door(world, page, GET=api_keys.show_revoke, POST=api_keys.revoke),
        "/account/link": Door(world, page, GET=link.show_proof, POST=link.prove),
        "/account/services": Door(world, page, GET=services.show),
        "/account/services/disconnect": Door(world, page, POST=services.disconnect),
        "/account/services/link": Door(world, page, POST=link.begin),
        "/account/services/unlink": Door(world, page, POST=link.unlink),
        "/account/sessions": Door(world, page, GET=browsers.show),
        "/account/sessions/end": Door(world, page, POST=browsers.sign_out),
        "/account/sessions/end-others": Door(world, page, POST=browsers.sign_out_others),
        "/account/usage": Door(world, page, GET=usage.show),
        "/account/spending": Door(world, page, GET=spending.show),
        "/account/spending/give-up": Door(world, page, POST=spending.give_up),
        "/account/spending/receipt": Door(world, page, GET=spending.receipt),
        "/account/spending/file": Door(world, page, GET=spending.file),
        "/account/profile": Door(world, page, GET=profile.show, POST=profile.save),
        "/account/security": Door(world, page, GET=security.show),
        "/account/security/password": Door(world, page, POST=security.change_password),
        "/account/security/devices": Door(world, page, POST=security.forget_devices),
        "/account/security/totp": Door(world, page, GET=totp.show, POST=totp.turn_on),
        "/account/security/totp/remove": Door(world, page, POST=totp.turn_off),
        "/account/security/recovery": Door(world, page, POST=totp.new_recovery_codes),
        "/account/security/passkeys": Door(world, page, GET=passkeys.show, POST=passkeys.register),
        "/account/security/passkeys/remove": Door(world, page, POST=passkeys.remove),
        "/account/export": Door(world, page, POST=export),
        "/account/delete": Door(world, page, GET=leave.show, POST=leave.delete),
        "/receipt": Door(world, receipt_page.refused, GET=receipt_page.show, POST=receipt_page.check),
        "/goodbye": Door(world, page, GET=leave.goodbye),
        "/password/forgot": Door(world, page, GET=own_way(by_mail.show_forgot), POST=own_way(by_mail.forgot)),
        "/login/link": Door(world, page, GET=own_way(by_mail.show_link), POST=own_way(by_mail.send_link)),
        "/login/link/open": Door(
            world, page, GET=own_way(sign_in_link.show_open), POST=own_way(sign_in_link.open_link)
        ),
        "/sign-up": Door(world, page, GET=own_way(sign_up.show_sign_up), POST=own_way(sign_up.sign_up)),
        "/sign-up/verify": Door(world, page, GET=own_way(sign_up.show_verify), POST=own_way(sign_up.verify)),
        "/invitation": Door(world, page, GET=invitations.show_invitation, POST=invitations.accept),
        "/account/email": Door(world, page, GET=new_email.show_email, POST=new_email.ask_for_email),
        "/account/email/verify": Door(world, page, GET=new_email.show_verify, POST=new_email.verify),
        "/": Door(world, page, GET=landing.landing),
        "/metrics": Door(world, GET=metrics),
        **admin_table(world),
        **agents.addresses(world, callers),
        **{f"/static/{name}": Door(world, GET=static(name, media_type)) for name, media_type in FILES.items()},
        "/static/logo": Door(world, GET=logo),
        "/static/brand.css": Door(world, GET=brand_css),
        "/healthz": Door(world, GET=health.healthz),
        "/readyz": Door(world, GET=health.readyz),
    }


def patterns(world: World, callers: Callers) -> list[Route]:
    """The addresses with a name in them, which no exact path finds, and those that need the FastAPI app."""
    client = Door(world, manage.refused, cors=True, GET=manage.read, PUT=manage.replace, DELETE=manage.end)
    one = {
        "/register/{client_id}": client,
        "/callback/{provider}": Door(world, page_refusal, GET=callback.come_back),
        "/connect/{provider}": Door(world, page_refusal, GET=connect.show, POST=connect.begin),
        "/admin/users/{user_id}": Door(world, refused, GET=admin_page(admin_users.somebody)),
        "/admin/clients/{client}": Door(world, refused, GET=admin_page(admin_clients.one)),
        "/admin/projects/{project}": Door(world, refused, GET=admin_page(admin_projects.project)),
        "/admin/budgets/{budget}": Door(world, refused, GET=admin_page(admin_budgets.budget)),
        "/admin/attempts/{attempt}": Door(world, refused, GET=admin_page(admin_attempts.attempt)),
        "/docs": Door(world, refused, GET=admin_page(plain_pages.docs)),
        "/openapi.json": Door(world, refused, GET=plain_pages.openapi(callers)),
    }
    named = one | {path: Door(world, refused, POST=perform) for path, perform in _deeds_of_one().items()}
    return [*agents.patterns(world), *(Route(path, door) for path, door in named.items())]


def _deeds_of_one() -> Mapping[str, Endpoint]:
    """What admins do to one user, app, project or budget."""
    user, app, project, budget = admin_users, admin_clients, admin_projects, admin_budgets
    return {
        "/admin/users/{user_id}/disable": deed(user.disable, user.somebody),
        "/admin/users/{user_id}/enable": deed(user.enable, user.somebody),
        "/admin/users/{user_id}/promote": deed(user.promote, user.somebody),
        "/admin/users/{user_id}/demote": deed(user.demote, user.somebody),
        "/admin/users/{user_id}/sign-out": deed(user.sign_out, user.somebody),
        "/admin/users/{user_id}/disconnect": deed(user.disconnect, user.somebody),
        "/admin/users/{user_id}/reset-factors": deed(user.reset_factors, user.somebody),
        "/admin/users/{user_id}/password-link": deed(user.give_link, user.somebody),
        "/admin/users/{user_id}/delete": deed(user.delete, user.somebody),
        "/admin/clients/{client}/block": deed(app.block, app.one),
        "/admin/clients/{client}/unblock": deed(app.unblock, app.one),
        "/admin/clients/{client}/lifetimes": deed(app.set_lifetimes, app.one),
        "/admin/clients/{client}/secret": deed(app.rotate_secret, app.one),
        "/admin/clients/{client}/disconnect": deed(app.disconnect, app.one),
        "/admin/clients/{client}/remove": deed(app.remove, app.one),
        "/admin/projects/{project}/change": deed(project.change, project.project),
        "/admin/projects/{project}/pause": deed(project.pause, project.project),
        "/admin/projects/{project}/resume": deed(project.go_on, project.project),
        "/admin/projects/{project}/remove": deed(project.remove, project.project),
        "/admin/budgets/{budget}/give": deed(budget.give, budget.budget),
        "/admin/budgets/{budget}/take-away": deed(budget.take_away, budget.budget),
    }


def admin_table(world: World) -> Mapping[str, ASGIApp]:
    """What admins have, and others are told nothing of."""
    pages = {
        "/admin": admin_page(admin_overview.overview),
        "/admin/users": admin_page(admin_users.everybody),
        "/admin/invitations": admin_page(admin_invitations.open_ones),
        "/admin/clients": admin_page(admin_clients.apps),
        "/admin/clients/new": admin_page(admin_clients.new),
        "/admin/connections": admin_page(admin_connections.connections),
        "/admin/api-keys": admin_page(admin_keys.keys),
        "/admin/providers": admin_page(admin_providers.services),
        "/admin/projects": admin_page(admin_projects.projects),
        **{path: admin_page(show) for path, show in admin_spending.PAGES.items()},
        "/admin/budgets": admin_page(admin_budgets.budgets),
        "/admin/attempts": admin_page(admin_attempts.attempts),
        "/admin/signing-keys": admin_page(plain_pages.keys),
        "/admin/audit": admin_page(admin_log.events),
        "/admin/audit/file": admin_page(admin_log.file),
        "/admin/settings": admin_page(plain_pages.settings),
    }
    deeds = {
        "/admin/backup": deed(admin_overview.confirm_backup, admin_overview.overview),
        "/admin/users/add": deed(admin_users.add, admin_users.everybody),
        "/admin/invitations/add": deed(admin_invitations.add, admin_invitations.open_ones),
        "/admin/invitations/again": deed(admin_invitations.again, admin_invitations.open_ones),
        "/admin/invitations/take-back": deed(admin_invitations.take_back, admin_invitations.open_ones),
        "/admin/clients/new/add": deed(admin_clients.add, admin_clients.new),
        "/admin/connections/revoke": deed(admin_connections.revoke, admin_connections.connections),
        "/admin/api-keys/revoke": deed(admin_keys.revoke, admin_keys.keys),
        "/admin/providers/save": deed(admin_providers.save, admin_providers.services),
        "/admin/providers/remove": deed(admin_providers.remove, admin_providers.services),
        "/admin/projects/add": deed(admin_projects.add, admin_projects.projects),
        "/admin/signing-keys/rotate": deed(plain_pages.rotate, plain_pages.keys),
    }
    doors = {path: Door(world, refused, GET=show) for path, show in pages.items()}
    return doors | {path: Door(world, refused, POST=perform) for path, perform in deeds.items()}
