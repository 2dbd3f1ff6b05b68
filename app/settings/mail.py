"""The settings of mail: which server takes it, and who it comes from."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from app.settings.smtp_url import checked_sender, smtp_server


class MailSettings(BaseSettings):
    """Part of `Settings`."""

    smtp_url: SecretStr | None = Field(
        None,
        description="The server that takes mail: smtp://user:password@host:587 (STARTTLS) or smtps://…; without: no mail.",
    )
    mail_from: str | None = Field(
        None, validate_default=True, description="Who mail comes from: Gatehouse <no-reply@example.com>."
    )
    smtp_timeout: int = Field(10, ge=1, le=60, description="Seconds that handing over one mail may take.")

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            smtp_server(url.get_secret_value())
        return url

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, sender: str | None, others: ValidationInfo) -> str | None:
        if sender is None and others.data.get("smtp_url") is not None:
            raise ValueError("must be set where GATEHOUSE_SMTP_URL is, such as: Gatehouse <no-reply@example.com>")
        return sender if sender is None else checked_sender(sender)
