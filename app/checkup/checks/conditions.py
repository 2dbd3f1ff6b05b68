"""Clock, speed, HSTS, and what cannot be seen without a token (RFC 9110 §6.6.1, RFC 6797 §6.1)."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from statistics import median

from app.checkup.findings import Finding, failed, passed, shown, skipped, warned
from app.checkup.visit import Visit

SKEW, FAR = 5.0, 60.0
SLOW, TOO_SLOW = 2000.0, 5000.0


def clock(visit: Visit) -> Finding:
    """Tokens have a beginning and an end: both clocks have to be right."""
    answer = visit.other("post")
    date = answer.header("date")
    if not date:
        return skipped("the server sends no Date")
    try:
        told = parsedate_to_datetime(date)
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        seconds = (told - (answer.at or visit.now)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return warned(f"Date is {shown(date)}", "Send the time as RFC 9110 §6.6.1 writes it.")
    said = f"the server's is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours"
    cure = "Run NTP on the server and here."
    if abs(seconds) > FAR:
        return failed(said, cure)
    return warned(said, cure) if abs(seconds) > SKEW else passed(f"within {max(1.0, abs(seconds)):.0f} s of ours")


def latency(visit: Visit) -> Finding:
    """Claude gives up on a token endpoint after ten seconds; a document should take none."""
    if not visit.milliseconds:
        return skipped(visit.unreachable or "no document was answered")
    typical = median(visit.milliseconds)
    slowest = max([typical, *(answer.milliseconds for answer in visit.answers.values() if not answer.fault)])
    said = (
        f"a document takes {typical:.0f} ms (median of {len(visit.milliseconds)}), the slowest answer {slowest:.0f} ms"
    )
    cure = "See what the server or the proxy waits for: a cold start, DNS of the upstream, a full pool."
    if typical > TOO_SLOW:
        return failed(said, cure)
    return warned(said, cure) if typical > SLOW or slowest > TOO_SLOW else passed(said)


def hsts(visit: Visit) -> Finding:
    """A hint: browsers then never try plain http, where the sign-in page could be exchanged."""
    if not visit.target.is_https:
        return skipped("only for https")
    answer = visit.other("post")
    if answer.header("strict-transport-security"):
        return passed(answer.header("strict-transport-security"))
    return warned("no Strict-Transport-Security", "Send Strict-Transport-Security: max-age=63072000.")


def buffering(visit: Visit) -> Finding:
    """Only a stream shows it, and streams begin behind the token."""
    return skipped("only a call with a token shows it; a proxy must not buffer /mcp, see docs/reverse-proxies.md")


CHECKS = (clock, latency, hsts, buffering)
