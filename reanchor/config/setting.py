"""What a section of `params.yaml` is made of: settings with a default, a meaning and allowed values."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

Section = TypeVar("Section", bound=type)


@dataclasses.dataclass(frozen=True)
class Setting:
    """All that is known of one setting."""

    default: Any = None  # or a function that gives it
    meaning: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    kind: Any = None  # its type; of a nested section its class


def setting(default: Any, meaning: str = "", *, low: float | None = None, high: float | None = None,
            choices: tuple[str, ...] = ()) -> Any:
    """A setting whose value must lie in [low, high] or among `choices`; of a list, each of its elements."""
    return Setting(default, meaning, low, high, choices)


def nested(kind: type) -> Any:
    """A section within a section."""
    return Setting(kind, inspect.getdoc(kind) or "", kind=kind)


@dataclass_transform()
def section(cls: Section) -> Section:
    """A pydantic dataclass of a class's settings, which allows no other key.

    A value without annotation gives a setting of the base class another default.
    """
    annotated = inspect.get_annotations(cls)
    settings = dict(settings_of(cls))
    for name in settings.keys() & vars(cls).keys() - annotated.keys():
        settings[name] = dataclasses.replace(settings[name], default=vars(cls)[name])
    for name, kind in annotated.items():
        given = vars(cls)[name]
        settings[name] = dataclasses.replace(given, kind=given.kind or kind)
    cls.__settings__ = settings
    cls.__annotations__ = {name: _checked(each) for name, each in settings.items()}
    for name, each in settings.items():
        default: dict[str, Any] = {"default_factory" if callable(each.default) else "default": each.default}
        setattr(cls, name, Field(**default, description=each.meaning or None))
    made: Any = dataclass(config=ConfigDict(extra="forbid", coerce_numbers_to_str=True))(cls)
    return made


def extended(settings: Mapping[str, Setting]) -> Callable[[Section], Section]:
    """Settings that are known only at run time, behind those that a class names; stands below `section`."""
    def extend(cls: Section) -> Section:
        cls.__annotations__ = inspect.get_annotations(cls) | {name: each.kind for name, each in settings.items()}
        for name, each in settings.items():
            setattr(cls, name, each)
        return cls
    return extend


def settings_of(kind: Any) -> dict[str, Setting]:
    """The settings of a section by name; none of what is no section."""
    return getattr(kind, "__settings__", {})


def _checked(each: Setting) -> Any:
    """The setting's type with its bounds, as pydantic reads them."""
    if settings_of(each.kind):
        return each.kind
    (element,) = typing.get_args(each.kind) or (each.kind,)
    if each.choices:
        checked: Any = Literal[each.choices]
    elif element in _NUMBERS:
        finite: dict[str, Any] = {"allow_inf_nan": False} if element is float else {}
        checked = Annotated[element, Field(ge=each.low, le=each.high, **finite), BeforeValidator(_NUMBERS[element])]
    else:
        checked = element
    return list[checked] if typing.get_origin(each.kind) is list else checked


def _number(value: Any) -> Any:
    """Not true for 1, which pydantic would take."""
    if isinstance(value, bool):
        raise ValueError(value)
    return value


def _whole(value: Any) -> Any:
    """Nor 2.0 for 2."""
    if isinstance(value, float):
        raise ValueError(value)
    return _number(value)


_NUMBERS = {int: _whole, float: _number}
