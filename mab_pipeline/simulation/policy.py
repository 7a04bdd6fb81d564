"""Policies: a name, and the settings of the rule that it stands for."""

from typing import NamedTuple

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.errors import UsageError
from mab_store.rule_options import PRESETS
from mab_store.settings import Settings

CURRENT = "current"
"""The policy of this installation's own settings."""


class Policy(NamedTuple):
    """A rule under a name.

    Attributes:
        name: As the user wrote it.
        rule: The settings that decide.
    """

    name: str
    rule: RuleSettings


class _GivenSettings(Settings):
    """Settings from arguments alone: neither the environment nor `.env` changes a simulation."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing but the arguments."""
        _ = settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def parse_policy(text: str, current: Settings) -> Policy:
    """Read a policy: a preset, `current`, settings, or a preset and settings, with commas.

    Args:
        text: Such as `robust`, `MIN_IMPRESSIONS=100`, or `brief,PRIOR_ALPHA=2,PRIOR_BETA=38`.
        current: The settings of this installation.

    Raises:
        UsageError: A name is unknown or a value is out of range; the message says which.
    """
    given: dict[str, object] = {}
    for place, part in enumerate(text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and place == 0 and name == CURRENT:
            given.update(_deciding(current))
        elif not equals and place == 0 and name in PRESETS:
            given["decision_preset"] = name
        elif equals and name.lower() in _DECIDING:
            given[name.lower()] = value
        else:
            raise UsageError(
                f"--policy {text}: {part.strip()!r} is none of {', '.join((*PRESETS, CURRENT))}, "
                f"nor NAME=VALUE with one of {', '.join(sorted(_DECIDING)).upper()}."
            )
    try:
        settings = _GivenSettings(**given)  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        fault = error.errors()[0]
        field = f"{str(fault['loc'][0]).upper()}: " if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        raise UsageError(f"--policy {text}: {field}{message}.") from None
    return Policy(text, RuleSettings.of(settings))


def _deciding(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in _DECIDING}


# The seed of a simulation is its own.
_DECIDING = frozenset(RuleSettings.__slots__) & frozenset(Settings.model_fields)
