"""Frozen dataclasses from YAML: strict keys, plain types, and a clear line when something does not fit."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from gritcodec.errors import ConfigError

T = TypeVar("T")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one YAML mapping.

    Raises:
        ConfigError: the file is missing, is not YAML or is not a mapping.
    """
    import yaml

    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(f"{path} is not valid YAML: {first}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not a {type(data).__name__}")
    return data


def write_yaml(path: str | Path, config: Any) -> None:
    """Write a config dataclass as YAML, fields in their declared order; whole, or not at all.

    Raises:
        OSError: it cannot be written; a file that was there before stays.
    """
    import yaml

    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        part.write_text(yaml.safe_dump(to_dict(config), sort_keys=False), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain YAML types (tuples become lists)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    return plain(dataclasses.asdict(config))


def from_dict(cls: type[T], data: dict[str, Any], where: str) -> T:
    """Build the dataclass `cls` from a mapping, checking every key and type.

    Args:
        cls: a dataclass whose fields are bool, int, float, str, tuples of those, optionals, or dataclasses.
        data: the mapping read from YAML.
        where: name shown in errors, such as the file's path.

    Raises:
        ConfigError: an unknown key (the nearest valid name is given), a wrong type, or a value that the
            dataclass itself refuses.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    values = {}
    for key, value in data.items():
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.0)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{where}: unknown key '{key}'{hint}")
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a mapping, got {value!r}")
        return from_dict(kind, value, where)
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = [option for option in typing.get_args(kind) if option is not type(None)]
        lists = [option for option in inner if typing.get_origin(option) is tuple]
        return _convert(lists[0] if lists and isinstance(value, list | tuple) else inner[0], value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where} must be a list, got {value!r}")
        item = typing.get_args(kind)[0]
        return tuple(_convert(item, entry, where) for entry in value)
    if kind is float and isinstance(value, str):
        # YAML 1.1 reads 1e-3 (no dot) as a string; people write learning rates that way.
        try:
            return float(value)
        except ValueError:
            pass
    if kind is str and value is False:
        return "no"  # which YAML 1.1 reads as a truth value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be a {kind.__name__}, got {value!r}")
    return value
