"""Records of config show."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from facecli.records.fields import WrittenBy


class ConfigurationFileRecord(TypedDict):
    """The configuration file."""

    kind: Annotated[Literal["configuration_file"], WrittenBy(("facecli config show",))]
    path: Annotated[str, "where it is looked for"]
    exists: Annotated[bool, "whether it is there"]


class SettingRecord(TypedDict):
    """The value of an option, and where it comes from."""

    kind: Annotated[Literal["setting"], WrittenBy(("facecli config show",))]
    command: Annotated[str | None, "the command or group it is for; null for all commands"]
    key: Annotated[str, "the option, without its dashes"]
    value: Annotated[str | None, "the value as text; null if the model or calibration decides"]
    origin: Annotated[
        str, 'the command line ("flag"), "environment" with its variable, "file" or "default"'
    ]


def configuration_file(path: str, *, there: bool) -> ConfigurationFileRecord:
    """Return the record of the configuration file."""
    return {"kind": "configuration_file", "path": path, "exists": there}


def setting(key: str, value: Any, origin: str, *, command: str | None = None) -> SettingRecord:
    """Return the record of a value."""
    text = None if value is None else _text(value)
    return {"kind": "setting", "command": command, "key": key, "value": text, "origin": origin}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
