"""Settings of the service, from the environment (``DETENTE_...``)."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What can be set; each field is the variable ``DETENTE_`` and its name in capitals.

    Attributes:
        host: Address to listen on; only this machine can reach the default.
        port: Port to listen on.
        model: Folder or hub id of the model; None for the weights in the package.
        max_body_bytes: Longest request body.
        max_upload_bytes: Longest file that the demo takes.
        max_statements: Most statements of one request.
        max_batch_tokens: About how many tokens are run at once.
        max_queue_tokens: About how many tokens may wait; beyond, requests are answered with 503.
        timeout_s: Longest time that a request may take, waiting included.
        database_url: Where feedback and keys are kept: ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
        require_key: Whether ``/v1`` asks for an API key.
        requests_per_minute: Most requests of one key, or of one address, in a minute; 0 is no limit.
        log_level: Least severe level that is logged.
    """

    model_config = SettingsConfigDict(env_prefix="DETENTE_", extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    model: str | None = None
    max_body_bytes: int = Field(default=2_000_000, ge=1_000)
    max_upload_bytes: int = Field(default=50_000_000, ge=1_000)
    max_statements: int = Field(default=1_000, ge=1)
    max_batch_tokens: int = Field(default=4_096, ge=1)
    max_queue_tokens: int = Field(default=262_144, ge=1)
    timeout_s: float = Field(default=30.0, gt=0)
    database_url: str = "sqlite:///detente.sqlite"
    require_key: bool = False
    requests_per_minute: int = Field(default=0, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
