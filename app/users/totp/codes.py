"""Time-based codes: six digits, half a minute each, one step early or late (RFC 6238 §5.2, RFC 4226 §4 for the key's length)."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

import pyotp
from pyotp.exceptions import OTPVerificationError

STEPS_OFF = 1  # a phone's clock may be off by half a minute
CODE = re.compile(r"[0-9]{6}\Z")


def new_key() -> str:
    """160 random bits in base32, as an app takes them."""
    return pyotp.random_base32()


def spaced(key: str) -> str:
    """In fours, for people who type it."""
    return " ".join(key[place : place + 4] for place in range(0, len(key), 4))


def normal(typed: str) -> str:
    """As it was meant: full-width digits of an input method, blanks and dashes do not matter."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", typed))


def matching_step(key: str, typed: str, now: datetime) -> int | None:
    """The time step that this code belongs to, or None when it is wrong or too old. Uses nothing up."""
    code = normal(typed)
    if not CODE.match(code):
        return None
    try:
        return pyotp.TOTP(key).verify_and_get_timecode(code, for_time=now, valid_window=STEPS_OFF)
    except OTPVerificationError:
        return None


def uri(key: str, email: str, host: str) -> str:
    """What the QR code says: otpauth://totp/…"""
    return pyotp.TOTP(key).provisioning_uri(name=email, issuer_name=f"Gatehouse {host}")


def picture(text: str) -> str:
    """A QR code as a data: URL of an SVG, dark on light in every theme, since cameras want it so."""
    import segno  # 4 MiB that only this page needs

    return segno.make(text, error="m", micro=False).svg_data_uri(border=4, dark="#000", light="#fff", omitsize=True)
