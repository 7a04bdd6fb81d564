"""Settings: every environment variable that mab reads, typed, with its default and its range.

Nothing reads the environment at import; a program calls `load_settings()` once and passes the
result on.
"""

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import fsspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from upath import UPath

from mab_store.errors import SettingsError
from mab_store.rule_options import PRESETS, Estimate, Preset, Prior, ShortWindow, Switch
from mab_store.snowflake_login import Login, Provider, missing_for_login

# A setting with one of these in its name is never printed.
SECRET_WORDS = ("PASSWORD", "PASSPHRASE", "TOKEN", "KEY", "WEBHOOK", "SECRET")

# Defaults of an engine that differ. Snowflake ends the transaction of a killed run 300 s after its
# last statement or, if a statement was at work, 300 s after that is cancelled.
ENGINES: dict[str, dict[str, object]] = {"snowflake": {"warehouse_lock_timeout_seconds": 660.0}}

Port = Annotated[int, Field(ge=1, le=65535)]


def _digests(value: object) -> object:
    """Read a list of SHA-256 digests: 64 hexadecimal digits each, separated by commas."""
    if not isinstance(value, str):
        return value
    digests = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    # Separators without a key are an error: an empty list of read keys would admit every client.
    if (value and not digests) or not all(
        re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests
    ):
        raise ValueError(
            "must be the SHA-256 of each key in 64 hexadecimal digits, separated by commas "
            "(printf %s KEY | sha256sum)"
        )
    return digests


KeyDigests = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_digests)]


def _origins(value: object) -> object:
    """Read a list of origins as browsers send them, separated by commas."""
    if not isinstance(value, str):
        return value
    origins = tuple(part.strip() for part in value.split(",") if part.strip())
    if not all(re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin) for origin in origins):
        raise ValueError(
            "must be exact origins in lower case without a path, such as https://www.example.com, "
            "separated by commas; no wildcard"
        )
    return origins


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Split a URL; an error message never repeats it, as it may be a secret."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # reading it raises for a bad one
    except ValueError:
        parts = urlsplit("")
    is_plain = re.fullmatch(r"[!-~]+", url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or not is_plain:
        raise ValueError("must be https://HOST or https://HOST:PORT, with or without a path")
    return parts.scheme, parts.hostname


def _identifier(value: str) -> str:
    """Accept a name that needs no quotes: it becomes part of statements that cannot bind it."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,254}", value):
        raise ValueError("must be letters, digits and _, not beginning with a digit")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]


class Settings(BaseSettings):
    """All settings, in the order of `.env.example`.

    Each field is the environment variable of the same name in capitals.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    # Paths and engine
    mab_home: Path = Path(".mab")
    mab_inbox: str | None = None
    mab_engine: Literal["duckdb", "snowflake"] = "duckdb"
    mab_start_date: Annotated[date, Field(ge=date(2000, 1, 1))] = date(2025, 1, 1)

    # The rule
    default_window_days: Annotated[int, Field(ge=1, le=365)] = 14
    max_window_days: Annotated[int, Field(ge=1, le=365)] = 30
    min_impressions: Annotated[int, Field(ge=0, lt=2**53)] = 200
    thompson_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    prior_alpha: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] = 1.0
    prior_beta: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)] = 99.0
    allocation_method: Literal["monte_carlo", "multinomial", "exact"] = "monte_carlo"
    mab_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    # Options of the rule; the defaults are the brief's rule
    decision_preset: Preset = "brief"
    burn_in: Switch = "off"
    exploration: Annotated[float, Field(ge=0, le=1)] = 0.0
    control_min_allocation: Annotated[float, Field(ge=0, le=1)] = 0.0
    short_window: ShortWindow = "prior"
    estimate: Estimate = "pooled"
    prior: Prior = "fixed"

    # The daily run
    mab_schedule_hour: Annotated[int, Field(ge=0, le=23)] = 2
    mab_automation: Literal["on", "off"] = "on"
    max_data_gap_days: Annotated[int, Field(ge=1, le=365)] = 3
    max_rejected_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_rejected_share_held: Annotated[float, Field(ge=0, le=1)] = 0.10
    variant_gap_impressions: Annotated[int, Field(ge=0, lt=2**53)] = 20
    stop_loss: Annotated[float, Field(ge=0, le=1)] = 0.005
    inbox_max_file_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    inbox_max_file_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 5_000_000
    warehouse_lock_timeout_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    home_lock_timeout_seconds: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    mab_auto_rebuild: Literal["on", "off"] = "on"

    # Addresses
    api_host: str = "127.0.0.1"
    api_port: Port = 8000
    mab_dagster_port: Port = 3000
    mab_dagster_url: str | None = None
    mab_dashboard_port: Port = 8501
    mab_api_url: str | None = None

    # Alerts
    alert_webhook_url: SecretStr | None = None
    publication_deadline_hours: Annotated[int, Field(ge=1, le=24)] = 2

    # The API
    api_read_keys: KeyDigests = ()
    api_write_keys: KeyDigests = ()
    api_cors_origins: Origins = ()
    api_refresh_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 30.0
    api_shutdown_seconds: Annotated[float, Field(ge=1, le=600)] = 10.0
    api_max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1000
    api_max_header_kb: Annotated[int, Field(ge=1, le=1024)] = 32
    api_read_seconds: Annotated[float, Field(ge=0.1, le=600)] = 20.0
    api_idle_seconds: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    api_write_seconds: Annotated[float, Field(ge=0.1, le=600)] = 60.0

    # Snowflake
    snowflake_account: Account | None = None
    snowflake_user: str | None = None
    snowflake_password: SecretStr | None = None
    snowflake_private_key_path: Path | None = None
    snowflake_private_key_passphrase: SecretStr | None = None
    snowflake_private_key: SecretStr | None = None
    snowflake_token: SecretStr | None = None
    snowflake_token_path: Path | None = None
    snowflake_authenticator: Login | None = None
    snowflake_workload_identity: Provider | None = None
    snowflake_oauth_client_id: str | None = None
    snowflake_oauth_client_secret: SecretStr | None = None
    snowflake_oauth_token_url: str | None = None
    snowflake_connection: str | None = None
    snowflake_role: Identifier | None = None
    snowflake_warehouse: Identifier | None = None
    snowflake_database: Identifier | None = None
    snowflake_schema: Identifier | None = None
    snowflake_url: str | None = None

    @field_validator("mab_inbox")
    @classmethod
    def _inbox_can_be_opened(cls, value: str | None) -> str | None:
        if value:
            try:
                fsspec.get_filesystem_class(UPath(value).protocol)
            except ImportError as error:  # "Install s3fs to access S3"
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="before")
    @classmethod
    def _preset_and_engine_give_defaults(cls, values: dict[str, object]) -> dict[str, object]:
        of_preset = PRESETS.get(str(values.get("decision_preset")), {})
        of_engine = ENGINES.get(str(values.get("mab_engine")), {})
        return {**of_preset, **of_engine, **values}

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        if self.default_window_days > self.max_window_days:
            raise ValueError(
                f"DEFAULT_WINDOW_DAYS={self.default_window_days} is longer than "
                f"MAX_WINDOW_DAYS={self.max_window_days}; the first window must fit in the second"
                f"{self._origin_of_the_window}"
            )
        return self

    @field_validator("snowflake_authenticator", "snowflake_workload_identity", mode="before")
    @classmethod
    def _names_in_small_letters(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("snowflake_url", "snowflake_oauth_token_url", "alert_webhook_url")
    @classmethod
    def _secrets_travel_encrypted(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        if value:
            url = value.get_secret_value() if isinstance(value, SecretStr) else value
            scheme, host = _scheme_and_host(url)
            if scheme == "http" and host not in {"localhost", "127.0.0.1"}:
                raise ValueError("must be https, except for a server on this machine")
        return value

    @field_validator("mab_dagster_url", "mab_api_url")
    @classmethod
    def _people_can_follow_it(cls, value: str | None) -> str | None:
        if value:
            _scheme_and_host(value)
        return value

    @model_validator(mode="after")
    def _snowflake_is_complete(self) -> Self:
        if self.mab_engine != "snowflake":
            return self
        names = [f"snowflake_{name}" for name in ("warehouse", "database", "schema")]
        missing = [name.upper() for name in names if not getattr(self, name)]
        missing += missing_for_login(self)
        if missing:
            raise ValueError(f"MAB_ENGINE=snowflake also needs {', '.join(missing)}")
        return self

    @property
    def _origin_of_the_window(self) -> str:
        preset = PRESETS[self.decision_preset].get("default_window_days")
        if preset != self.default_window_days:
            return ""
        return f" (DECISION_PRESET={self.decision_preset} asks for {preset} days)"

    @property
    def rebuilds_by_itself(self) -> bool:
        """Whether a run restores a lost warehouse first; never on Snowflake."""
        return self.mab_auto_rebuild == "on" and self.mab_engine == "duckdb"

    @property
    def dagster_url(self) -> str:
        """Address under which people open the Dagster UI, without a slash at its end."""
        return (self.mab_dagster_url or f"http://127.0.0.1:{self.mab_dagster_port}").rstrip("/")

    @property
    def api_url(self) -> str:
        """Address at which the dashboard asks the API, without a slash at its end."""
        return (self.mab_api_url or f"http://127.0.0.1:{self.api_port}").rstrip("/")

    @property
    def inbox_root(self) -> UPath:
        """Folder or URL of the inbox; `MAB_HOME/inbox` unless MAB_INBOX is set."""
        root = UPath(self.mab_inbox or self.mab_home / "inbox")
        if root.protocol in {"", "file", "local"}:
            return root
        # A store's package would keep its listings: files of other programs would not be seen.
        return UPath(root, use_listings_cache=False)

    @property
    def warehouse_path(self) -> Path:
        """File of the embedded warehouse."""
        return self.mab_home / "warehouse.duckdb"

    @property
    def published_dir(self) -> Path:
        """Folder of the published copies and the pointer to the newest one."""
        return self.mab_home / "published"

    @property
    def journal_dir(self) -> Path:
        """Folder of the journal."""
        return self.mab_home / "journal"

    @property
    def receipts_dir(self) -> Path:
        """Folder of the receipts of received files."""
        return self.mab_home / "receipts"


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment and `.env`.

    Args:
        **overrides: Values that win over the environment, by field name.

    Returns:
        The settings, with MAB_HOME made absolute.

    Raises:
        SettingsError: A value cannot be used; the message names each such variable.
    """
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]  # checked by pydantic
        home = settings.mab_home.expanduser().absolute()
    except ValidationError as error:
        raise SettingsError(_one_sentence(error)) from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"Settings: .env is not UTF-8 ({error}). Save it as UTF-8.") from None
    except RuntimeError:
        raise SettingsError(
            f"Settings: MAB_HOME={settings.mab_home}: there is no such home folder. Write the full "
            "path."
        ) from None
    return settings.model_copy(update={"mab_home": home})


def _one_sentence(error: ValidationError) -> str:
    """Name every bad variable with its value, but never a secret."""
    faults = []
    for fault in error.errors():
        if not fault["loc"]:
            faults.append(str(fault["msg"]).removeprefix("Value error, "))
            continue
        name = str(fault["loc"][0]).upper()
        is_secret = any(word in name for word in SECRET_WORDS)
        value = "***" if is_secret else fault["input"]
        text = fault["msg"].removeprefix("Value error, ")
        message = text[0].lower() + text[1:]
        faults.append(f"{name}={value}: {message}")
    return "Settings: " + "; ".join(faults) + ". Correct the environment or .env and run it again."
