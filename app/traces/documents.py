"""The verdicts on clients that describe themselves at a URL, and on clients that did not prove who they are (CIMD draft §4,
RFC 7523 §3); pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from app.protocol.client_document import host_of
from app.traces.attempts import Attempt
from app.traces.states import ADD_AGAIN, FAILED, Verdict
from app.traces.step import Step

BY_HAND = "or register the client by hand (gatehouse client add) and type its id in"
MAKER = "This is for the maker of the client to mend"
COPIES = ("kept copy", "shipped copy")


def refused(step: Step) -> Verdict | None:
    """When the client's document is why; None when it is something else."""
    say = DOCUMENT.get(step.fact("document"))
    return say(step) if say is not None and not step.well else None


def is_unproven(step: Step) -> bool:
    """Whether it is about who the client is, or about what that would be seen from, which could not be had."""
    return step.error == "invalid_client" or bool(step.fact("keys_why")) or refused(step) is not None


def unproven(step: Step) -> Verdict:
    """`invalid_client` and what could not be read, wherever a client has to prove itself."""
    said = step.description or "it did not say who it is"
    name = step.client_name or step.client_id or "The client"
    document = refused(step)
    if document is not None:
        return document
    if step.fact("keys_why"):
        uri, why = step.fact("keys_uri"), step.fact("keys_why")
        sentence = f"{name} signs instead of sending a secret, and its public keys at {uri} could not be read: {why}."
        return Verdict(FAILED, sentence, _cure(why, uri))
    for words, what_to_do in SECRET.items():
        if words in said:
            return Verdict(FAILED, f"{name} did not prove who it is: {said}.", what_to_do)
    for words, cure in ASSERTION.items():
        if words in said:
            its = "its " if said.startswith("client_assertion") else ""
            return Verdict(FAILED, f"{name} did not prove who it is: {its}{said}.", cure(step))
    return Verdict(
        FAILED,
        f"{name} did not prove who it is: {said} (client id {step.client_id or 'missing'}, "
        f"authentication {step.fact('client_auth') or 'missing'}).",
        f"The client was removed here, or its secret is another. {ADD_AGAIN}",
    )


def with_copy(attempt: Attempt, judged: Verdict) -> Verdict:
    """The same verdict; and that a copy stood in for the client's document, since that may be why, or soon will be."""
    last = next((step for step in reversed(attempt.steps) if step.fact("document")), None)
    if last is None or last.fact("document") not in COPIES:
        return judged
    said = f"{judged.sentence} {copy_used(last)}."
    cure = f"A copy may be out of date. {_cure(last.fact('document_why'), last.client_id or '')}"
    return replace(judged, sentence=said, next_step=f"{judged.next_step} {cure}" if judged.next_step else cure)


def copy_used(step: Step) -> str:
    host, why = _host(step.client_id or ""), step.fact("document_why")
    kept = "the copy from the last time was used"
    shipped = f"the copy of {step.fact('document_as_of')} that comes with Gatehouse was used"
    used = shipped if step.fact("document") == "shipped copy" else kept
    return f"The client's document at {host} could not be fetched ({why}), so {used}"


def _host(url: str) -> str:
    """Host and port; all of what is no URL, since a stranger wrote it, or it was cut to be kept."""
    try:
        return urlsplit(url).netloc or url
    except ValueError:
        return url


def _unwelcome(step: Step) -> Verdict:
    host, why = host_of(step.client_id or ""), step.fact("document_why")
    if "has not listed" in why:
        cure = f"If you trust it, add {host} to GATEHOUSE_CLIENT_DOCUMENT_HOSTS and start the server anew."
        return Verdict(FAILED, f"The client describes itself at {host}, a host that is not on your list.", cure)
    if "registered clients only" in why:
        cure = f"GATEHOUSE_CLIENT_DOCUMENTS is off here. Set it to any or listed, {BY_HAND}."
        return Verdict(FAILED, f"The client describes itself at {host}, which is switched off here.", cure)
    return Verdict(FAILED, f"The client's id is {step.client_id}, which {why}.", f"{MAKER}, {BY_HAND}.")


def _unread(step: Step) -> Verdict:
    url, why = step.client_id or "", step.fact("document_why")
    said = f"The client describes itself at {url}, and that could not be read: {why}."
    return Verdict(FAILED, said, _cure(why, url))


def _invalid(step: Step) -> Verdict:
    said = (
        f"The client describes itself at {step.client_id}, and what is there will not do: {step.fact('document_why')}."
    )
    return Verdict(FAILED, said, f"{MAKER}, and works as soon as it is mended; {BY_HAND}.")


def _removed(step: Step) -> Verdict:
    said = f"The client at {step.client_id} was removed here with `gatehouse client revoke`, and stays so."
    return Verdict(FAILED, said, "Register it by hand if it may come again: gatehouse client add.")


DOCUMENT: dict[str, Callable[[Step], Verdict]] = {
    "unwelcome": _unwelcome,
    "unread": _unread,
    "invalid": _invalid,
    "removed": _removed,
}


def _cure(why: str, url: str) -> str:
    """What the operator can do about an address that could not be read from here."""
    host = _host(url)
    if "status 401" in why or "status 403" in why or "status 429" in why or "status 503" in why:
        return f"{host} may take this server for a robot: ask them to let its address through, {BY_HAND}."
    if "public internet" in why:
        return (
            f"Only public addresses are fetched from: is {host} resolved within your own network? Else: {BY_HAND[3:]}."
        )
    if "certificate" in why:
        return "If your network opens TLS to look inside, name its certificate authority in GATEHOUSE_CA_FILE."
    if "not known" in why or "no address" in why:
        name = shlex.quote(host_of(url) or url)
        return f"Can this machine look up names of the internet? Try here: getent hosts {name}"
    if "not answer" in why or "took longer" in why:
        return f"Is outbound https blocked here (HTTPS_PROXY is not used)? Try on this machine: curl -sI {shlex.quote(url)}"
    if "too much at once" in why:
        return "Try again in a moment. If it stays so: are names of the internet looked up slowly on this machine?"
    return f"{MAKER}; {BY_HAND[3:]}."


def _clock(step: Step) -> str:
    left = step.facts.get("assertion_expires_in")
    said = f", and by its own word it {_in_words(left)}" if isinstance(left, int) else ""
    return f"Compare the clocks: here it was {step.at:%H:%M:%S} UTC{said}. An assertion is good for an hour at most."


def _in_words(seconds: int) -> str:
    return f"had expired {-seconds} s before" if seconds < 0 else f"was to expire {seconds} s later"


def _audience(step: Step) -> str:
    return (
        f"It is meant for {step.fact('assertion_audience') or 'nobody'}, and must name GATEHOUSE_PUBLIC_URL, or that with "
        "/token behind it, and nothing else. Is the address in the client right, and was that setting changed?"
    )


def _key(step: Step) -> str:
    return (
        f"It names the key {step.fact('assertion_key') or '(none)'} ({step.fact('assertion_alg')}), which is not among the "
        "keys that the client publishes or registered. After a change of keys, wait a minute and try again."
    )


SECRET = {
    "client is public": (
        "Take the secret out of the client's settings: here its id alone is enough. Was it meant to have one? gatehouse client "
        "add (without --public) makes an id with a secret to type in."
    ),
    "has a secret, and none was sent": (
        "Type the secret in beside the id, in the client's settings. If nobody knows it any more, an admin makes a new one at "
        "/admin/clients; a client that cannot keep one is added with gatehouse client add --public."
    ),
}
ASSERTION: dict[str, Callable[[Step], str]] = {
    "authenticates with a client_assertion": lambda step: (
        "It registered to sign (private_key_jwt), and sent a secret or nothing. Update the client; if it cannot sign, it "
        "has to register another token_endpoint_auth_method."
    ),
    "client_assertion expired": _clock,
    "client_assertion is not valid yet": _clock,
    "client_assertion is valid for longer": _clock,
    "client_assertion is meant for another audience": _audience,
    "client_assertion is not signed with a key": _key,
    "client_assertion was used before": lambda step: (
        "A client makes a new one (a new jti) for each request. Do two programs share one, or does something between send "
        "requests twice?"
    ),
    "client_assertion": lambda step: f"{MAKER}: RFC 7523 says what an assertion has to look like.",
}
