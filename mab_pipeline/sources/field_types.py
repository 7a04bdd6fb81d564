"""The texts in a source's fields: each type rejects what no source of it can use."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mab_pipeline.sources.url_secrets import fault_of_url

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,254}")
PLACE = re.compile(r"\{([^{}]*)\}")
_BIND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # as SQLAlchemy finds a bound value
_SCHEMES = {"", "file", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,199}", value):
        raise ValueError("must be the name of an environment variable, not the secret itself")
    return value


def _query(value: str) -> str:
    names = set(_BIND.findall(value))
    if "day" not in names:
        raise ValueError("must contain :day, which is bound to the day that is pulled")
    if others := sorted(names - {"day"}):
        raise ValueError(f"must bind :day alone, not :{others[0]}; write \\: for a plain colon")
    return value


def _identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError("must be a plain name; for any other one write a query")
    return value


def _table(value: str) -> str:
    parts = value.split(".")
    if len(parts) > 3 or not all(map(_IDENTIFIER.fullmatch, parts)):
        raise ValueError(
            "must be TABLE, SCHEMA.TABLE or DATABASE.SCHEMA.TABLE in plain names; for any other "
            "one write a query"
        )
    return value


def _literal_url(value: str) -> str:
    if fault := fault_of_url(value):
        raise ValueError(fault)
    return value


def _template(value: str) -> str:
    for place in PLACE.findall(value):
        if place != "day" and not re.fullmatch(r"day:(%[YmdjyGVu]|[-/._])+", place):
            raise ValueError("may contain {day} or {day:%Y/%m/%d}, and no other braces")
    if "{" in PLACE.sub("", value) or "}" in PLACE.sub("", value):
        raise ValueError("has a brace without its counterpart")
    return value


def _path(value: str) -> str:
    scheme = value.partition("://")[0] if "://" in value else ""
    if scheme not in _SCHEMES:
        raise ValueError("must be a path, or begin with s3://, gs://, az:// or abfs://")
    return value


def _http_url(value: str) -> str:
    if not re.match(r"https?://[^/?#\s]", value):
        raise ValueError("must begin with https:// or http://")
    return value


Variable = Annotated[str, AfterValidator(_variable)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
LiteralUrl = Annotated[Text, AfterValidator(_literal_url)]
Query = Annotated[Text, AfterValidator(_query)]
Identifier = Annotated[Text, AfterValidator(_identifier)]
TableName = Annotated[Text, AfterValidator(_table)]
PathTemplate = Annotated[LiteralUrl, AfterValidator(_template), AfterValidator(_path)]
UrlTemplate = Annotated[LiteralUrl, AfterValidator(_template), AfterValidator(_http_url)]
