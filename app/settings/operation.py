"""The settings that only an operator of several processes thinks of: stopping without a lost request, metrics, traces."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

STOP_SECONDS = 25  # from SIGTERM to the end, whatever is still open


class Operation(BaseSettings):
    """Part of `Settings`."""

    auto_migrate: bool = Field(False, description="Apply migrations at start instead of refusing to start.")
    drain_notice: float = Field(
        5, ge=0, le=15, description="Seconds that /readyz says no, after SIGTERM, before nothing more is accepted."
    )
    metrics_token: SecretStr | None = Field(
        None, min_length=16, description="What /metrics asks for as a bearer token; without one there is no /metrics."
    )
    metrics_dir: Path | None = Field(None, description="Where the processes of one server add their numbers up.")
    otel: bool = Field(False, description="Send traces by OpenTelemetry (gatehouse-mcp[otel], OTEL_EXPORTER_OTLP_…).")

    @field_validator("otel")
    @classmethod
    def _is_installed(cls, otel: bool) -> bool:
        if otel and not all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ValueError("needs more packages: pip install 'gatehouse-mcp[otel]'")
        return otel

    @property
    def drain_seconds(self) -> int:
        """How long requests may go on once nothing more is accepted."""
        return int(STOP_SECONDS - self.drain_notice - 2)
