"""The version of mab: that of the installed package, the only place that states it."""

from importlib.metadata import PackageNotFoundError, version

NOT_INSTALLED = "0+not-installed"


def mab_version() -> str:
    """Return the version; `0+not-installed` if the packages were never installed."""
    try:
        return version("mab")
    except PackageNotFoundError:
        return NOT_INSTALLED
