"""What a client wants of mail: the Options of Sync, ItemOperations and GetItemEstimate.

Promise: an Options block replaces the one before it whole; what is stored between requests is read back as
it was. MS-ASCMD 2.2.3.125, MS-ASAIRS 2.2.2.11 and 2.2.2.12 (with the checks R348-R351).
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve, frozen

from posthouse.eas.grammar import flag, number
from posthouse.eas.statuses import Status, StatusError
from posthouse.wbxml.tags import AirSync, AirSyncBase
from posthouse.wbxml.tree import Element

PLAIN, HTML, RTF, MIME = 1, 2, 3, 4

#: MS-ASCMD 2.2.3.111: bytes of MIME for each value, None for all of it.
_MIME_TRUNCATION: tuple[int | None, ...] = (0, 4096, 5120, 7168, 10240, 20480, 51200, 102400, None)

_MEANT_AS_ZERO = ("cut", "conflict", "mime")

_PREFERENCE_ORDER = (
    AirSyncBase.Type,
    AirSyncBase.TruncationSize,
    AirSyncBase.AllOrNone,
    AirSyncBase.Preview,
)


@frozen
class BodyPreference:
    """One form of body that the client takes.

    :ivar truncation: most bytes of UTF-8, None for all. :ivar preview: most characters of a preview, 0 for
        none.
    """

    type: int
    truncation: int | None = None
    all_or_none: bool = False
    preview: int = 0


@frozen
class MailOptions:
    """:ivar class_name: "Email", "SMS", ...; "" when the client did not say.
    :ivar filter_type: MS-ASCMD 2.2.3.68.2, 0 for no filter.
    :ivar conflict: 1 when the server's change wins, the default (MS-ASCMD 2.2.3.34).
    :ivar mime_support: 0 never, 1 for S/MIME only, 2 for all mail; None when the client did not say.
    """

    class_name: str = ""
    filter_type: int = 0
    conflict: int = 1
    mime_support: int | None = None
    mime_truncation: int | None = None
    bodies: tuple[BodyPreference, ...] = ()
    body_part: BodyPreference | None = None
    max_items: int = 0
    rights_management: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the store; what is at its default is left out."""
        value: dict[str, Any] = {
            "class": self.class_name,
            "filter": self.filter_type,
            "conflict": self.conflict if self.conflict != 1 else None,
            "mime": self.mime_support,
            "cut": self.mime_truncation,
            "bodies": [_dump(preference) for preference in self.bodies],
            "part": _dump(self.body_part) if self.body_part is not None else None,
            "max": self.max_items,
            "rights": self.rights_management,
        }
        # For these 0 means something, unlike the other zeros.
        return {name: item for name, item in value.items() if item or (name in _MEANT_AS_ZERO and item == 0)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> MailOptions:
        """What `to_json` gave."""
        part = value.get("part")
        return cls(
            class_name=value.get("class", ""),
            filter_type=value.get("filter", 0),
            conflict=value.get("conflict", 1),
            mime_support=value.get("mime"),
            mime_truncation=value.get("cut"),
            bodies=tuple(_load(item) for item in value.get("bodies", ())),
            body_part=_load(part) if part is not None else None,
            max_items=value.get("max", 0),
            rights_management=bool(value.get("rights")),
        )

    def without_bodies(self) -> MailOptions:
        """The same, with nothing of a body but its size and its preview."""
        preferences = self.bodies or (BodyPreference(PLAIN),)
        return evolve(
            self,
            bodies=tuple(evolve(one, truncation=0, all_or_none=False) for one in preferences),
            body_part=evolve(self.body_part, truncation=0) if self.body_part is not None else None,
        )

    def dumps(self) -> str:
        """`to_json` as compact text."""
        return json.dumps(self.to_json(), separators=(",", ":"))


def _dump(preference: BodyPreference) -> list[Any]:
    return [preference.type, preference.truncation, int(preference.all_or_none), preference.preview]


def _load(value: list[Any]) -> BodyPreference:
    return BodyPreference(value[0], value[1], bool(value[2]), value[3])


def read_options(options: Element | None, status: int = Status.INVALID_XML) -> MailOptions:
    """Read an Options element.

    :param options: None gives the defaults. :param status: what a violation is: 4 in Sync, 2 in
        ItemOperations.
    :raises StatusError: with ``status``; 164 for a BodyPartPreference of a type that has no parts.
    """
    found: dict[str, Any] = {}
    bodies: list[BodyPreference] = []
    for child in options.children if options is not None else ():
        tag = child.tag
        if tag == AirSyncBase.BodyPreference:
            preference = _preference(child, status)
            # MS-ASAIRS R349: one for each type.
            if any(preference.type == other.type for other in bodies):
                raise StatusError(status, f"two body preferences of type {preference.type}")
            bodies.append(preference)
        elif tag == AirSyncBase.BodyPartPreference:
            preference = _preference(child, status)
            if preference.type != HTML:
                raise StatusError(Status.BODY_PART_TYPE_NOT_SUPPORTED, f"body part of type {preference.type}")
            _once(found, "body_part", preference, status)
        # Of these the last one counts, and more than one is no error (R938, R2075, R3075, R3280, R3404, R3432).
        elif tag == AirSync.MIMETruncation:
            found["mime_truncation"] = _MIME_TRUNCATION[number(child, 0, 8, status)]
        elif tag == AirSync.Class:
            found["class_name"] = child.value[:40]
        elif tag in _NUMBERS:
            name, low, high = _NUMBERS[tag]
            found[name] = number(child, low, high, status)
        elif tag == _RIGHTS:
            _once(found, "rights_management", flag(child), status)
    return MailOptions(bodies=tuple(bodies), **found)


#: Which FilterTypes a class of items has (R3035-3061); those not named here take any, without effect (R3079).
_FILTERS = {
    "Email": frozenset((0, 1, 2, 3, 4, 5)),
    "Calendar": frozenset((0, 4, 5, 6, 7)),
    "Tasks": frozenset((0, 8)),
}


def filter_fits(item_class: str, filter_type: int) -> bool:
    """Whether a FilterType (0 to 8) means something for items of that class."""
    return filter_type in _FILTERS.get(item_class, (filter_type,))


_RIGHTS = "RightsManagement:RightsManagementSupport"
_NUMBERS = {
    # 9 and above are refused by the command, with a status of its own.
    AirSync.FilterType: ("filter_type", 0, 255),
    AirSync.Conflict: ("conflict", 0, 1),
    AirSync.MIMESupport: ("mime_support", 0, 2),
    AirSync.MaxItems: ("max_items", 1, 0xFFFFFFFF),
}


def _once(found: dict[str, Any], name: str, value: Any, status: int) -> None:
    if name in found:
        raise StatusError(status, f"{name} twice")
    found[name] = value


def _preference(element: Element, status: int) -> BodyPreference:
    last = -1
    values: dict[str, Element] = {}
    for child in element.children:
        if child.tag not in _PREFERENCE_ORDER:
            if child.tag.startswith("AirSyncBase:"):
                raise StatusError(
                    status, f"{child.tag} in {element.tag}"
                )  # MS-ASAIRS R10032: in a wrong place
            continue
        # MS-ASAIRS R348 (order), R351 (once each).
        position = _PREFERENCE_ORDER.index(child.tag)
        if position <= last:
            raise StatusError(status, f"{child.tag} is out of order in {element.tag}")
        last = position
        values[child.tag] = child
    kind = values.get(AirSyncBase.Type)
    if kind is None:
        raise StatusError(status, f"{element.tag} without Type")
    size, whole = values.get(AirSyncBase.TruncationSize), values.get(AirSyncBase.AllOrNone)
    preview = values.get(AirSyncBase.Preview)
    if whole is not None and whole.value.strip().lower() not in ("", "0", "1", "true", "false"):
        raise StatusError(status, "AllOrNone is no boolean")  # MS-ASAIRS R350
    return BodyPreference(
        type=number(kind, 1, 4, status),
        truncation=number(size, 0, 0xFFFFFFFF, status) if size is not None else None,
        # MS-ASAIRS R75: nothing without TruncationSize.
        all_or_none=size is not None
        and whole is not None
        and whole.value.strip().lower() not in ("0", "false"),
        preview=number(preview, 0, 255, status) if preview is not None else 0,
    )
