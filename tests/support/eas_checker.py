"""Checks every ActiveSync response against Microsoft's own schemas.

The schemas (``shared/ms-eas/xsd``) are read by this small interpreter of the part of XML Schema that they
use: sequence, choice, all, group, element with occurrences, and the simple types. Beyond them it knows what
the text of MS-ASCMD says of the order inside a Collection.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from unittest import SkipTest

from posthouse.wbxml.tree import Element
from tests.support.shared import shared_path

_XS = "{http://www.w3.org/2001/XMLSchema}"
_MANY = 1 << 30

#: iOS crashed on the one, Outlook on the other.
_NEVER_BLANK = ("Email2:ConversationId", "AirSyncBase:Data", "AirSync:ServerId", "FolderHierarchy:ServerId")
_NEVER_EMPTY = ("AirSync:Responses", "AirSync:Collections", "AirSync:Commands")


class SchemaError(AssertionError):
    """A response that breaks its schema."""


class _Schemas:
    """All schema files, their global declarations by (namespace, name)."""

    def __init__(self, folder: Path) -> None:
        self.elements: dict[tuple[str, str], tuple[ET.Element, _File]] = {}
        self.groups: dict[tuple[str, str], tuple[ET.Element, _File]] = {}
        self.types: dict[tuple[str, str], tuple[ET.Element, _File]] = {}
        self.roots: dict[str, tuple[ET.Element, _File]] = {}
        for path in sorted(folder.glob("*.xsd")):
            if not path.name.startswith("Autodiscover"):
                self._load(path)

    def _load(self, path: Path) -> None:
        prefixes: dict[str, str] = {}
        for _, (prefix, uri) in ET.iterparse(path, ["start-ns"]):
            prefixes[prefix] = uri
        root = ET.parse(path).getroot()
        file = _File(root.get("targetNamespace", ""), prefixes)
        for child in root:
            key = file.namespace, child.get("name", "")
            if child.tag == f"{_XS}element":
                self.elements[key] = child, file
                if path.name.endswith("Response.xsd"):
                    self.roots[f"{key[0]}:{key[1]}"] = child, file
            elif child.tag == f"{_XS}group":
                self.groups[key] = child, file
            elif child.tag in (f"{_XS}simpleType", f"{_XS}complexType"):
                self.types[key] = child, file


class _File:
    """Where a declaration stands: what its prefixes mean."""

    def __init__(self, namespace: str, prefixes: dict[str, str]) -> None:
        self.namespace = namespace
        self.prefixes = prefixes

    def resolve(self, name: str) -> tuple[str, str]:
        prefix, colon, local = name.rpartition(":")
        return self.prefixes.get(prefix, self.namespace if not colon else prefix), local


@cache
def _schemas() -> _Schemas:
    return _Schemas(shared_path("ms-eas", "xsd"))


def available() -> bool:
    """Whether the schemas are at hand."""
    try:
        shared_path("ms-eas", "xsd")
    except SkipTest:
        return False
    return True


def check_response(root: Element, version: tuple[int, int] | None = None) -> None:
    """Compare a response with its schema; nothing happens where the schemas are not present.

    :raises SchemaError: naming the element and what is wrong with it.
    """
    _check_text_rules(root, version)
    if not available():
        return
    declared = _schemas().roots.get(root.tag)
    if declared is None:
        raise SchemaError(f"no schema for {root.tag}")
    _element(root, *declared, root.tag)


def _check_text_rules(root: Element, version: tuple[int, int] | None) -> None:
    order = ["SyncKey", "CollectionId", "Status", "MoreAvailable", "Commands", "Responses"]
    for element in root.iter():
        name = element.tag.partition(":")[2]
        if element.tag in _NEVER_EMPTY and not element.children:
            raise SchemaError(f"empty {element.tag}")
        if element.tag == "AirSync:Collection":
            found = [child.tag.partition(":")[2] for child in element.children]
            if version is not None and version < (14, 0):
                found = [one for one in found if one != "Class"]
            if any(one not in order for one in found):
                raise SchemaError(f"unexpected element in Collection: {found}")
            if found != sorted(found, key=order.index):
                raise SchemaError(f"Collection out of order: {found}")
            if "Status" not in found or "CollectionId" not in found:
                raise SchemaError(f"Collection without its names: {found}")
        if name == "SyncKey" and not 1 <= len(element.value) <= 64:
            raise SchemaError(f"SyncKey of {len(element.value)} characters")
        if element.tag in _NEVER_BLANK and not element.content:
            raise SchemaError(f"empty {element.tag}")


def _element(element: Element, declared: ET.Element, file: _File, path: str) -> None:
    """One element against its declaration."""
    if declared.get("ref"):
        declared, file = _global(declared.get("ref", ""), file, path)
    kind = declared.get("type")
    complex_type = declared.find(f"{_XS}complexType")
    simple_type = declared.find(f"{_XS}simpleType")
    if kind:
        _simple(element, kind, file, path)
    elif simple_type is not None:
        _restricted(element, simple_type, file, path)
    elif complex_type is not None:
        _children(element, complex_type, file, path)


def _global(name: str, file: _File, path: str) -> tuple[ET.Element, _File]:
    found = _schemas().elements.get(file.resolve(name))
    if found is None:
        raise SchemaError(f"{path}: the schema refers to {name}, which is declared nowhere")
    return found


def _children(element: Element, declared: ET.Element, file: _File, path: str) -> None:
    if element.content and declared.get("mixed") != "true":
        raise SchemaError(f"{path} has text {element.value[:40]!r}")
    model = next((child for child in declared if child.tag != f"{_XS}annotation"), None)
    tags = [child.tag for child in element.children]
    if model is None:
        if tags:
            raise SchemaError(f"{path} has children {tags}")
        return
    matches: dict[int, tuple[ET.Element, _File]] = {}
    ends = _match(model, file, tags, 0, matches)
    if len(tags) not in ends:
        reached = max(ends, default=0)
        wrong = tags[reached] if reached < len(tags) else "the end"
        raise SchemaError(f"{path}: {wrong} is not expected after {tags[:reached]}")
    for position, child in enumerate(element.children):
        _element(child, *matches[position], f"{path}/{child.tag.partition(':')[2]}")


def _occurs(particle: ET.Element) -> tuple[int, int]:
    most = particle.get("maxOccurs", "1")
    return int(particle.get("minOccurs", "1")), _MANY if most == "unbounded" else int(most)


def _match(
    particle: ET.Element,
    file: _File,
    tags: list[str],
    start: int,
    matches: dict[int, tuple[ET.Element, _File]],
) -> set[int]:
    """Where a particle may end when it begins at ``start``."""
    least, most = _occurs(particle)
    ends = {start} if least == 0 else set()
    reached = {start}
    count = 0
    while reached and count < min(most, len(tags) + 1 + least):
        count += 1
        following: set[int] = set()
        for position in reached:
            following |= _once(particle, file, tags, position, matches)
        if count >= least:
            if following <= ends:
                break
            ends |= following
        reached = following
    return ends


def _once(
    particle: ET.Element,
    file: _File,
    tags: list[str],
    start: int,
    matches: dict[int, tuple[ET.Element, _File]],
) -> set[int]:
    kind = particle.tag.removeprefix(_XS)
    if kind == "element":
        if particle.get("ref"):
            namespace, name = file.resolve(particle.get("ref", ""))
        else:
            namespace, name = file.namespace, particle.get("name", "")
        if start < len(tags) and tags[start] == f"{namespace}:{name}":
            matches.setdefault(start, (particle, file))
            return {start + 1}
        return set()
    if kind == "group":
        found = _schemas().groups.get(file.resolve(particle.get("ref", "")))
        if found is None:
            return {start}
        inside, of = found
        return _match(next(iter(inside)), of, tags, start, matches)
    parts = [child for child in particle if child.tag != f"{_XS}annotation"]
    if kind == "sequence":
        reached = {start}
        for part in parts:
            reached = {end for position in reached for end in _match(part, file, tags, position, matches)}
        return reached
    if kind == "choice":
        return {end for part in parts for end in _match(part, file, tags, start, matches)}
    if kind == "all":
        return _all(parts, file, tags, start, matches)
    raise SchemaError(f"the schema uses {kind}, which is not known here")


def _all(
    parts: list[ET.Element],
    file: _File,
    tags: list[str],
    start: int,
    matches: dict[int, tuple[ET.Element, _File]],
) -> set[int]:
    left = list(parts)
    position = start
    while position < len(tags):
        for part in left:
            if _once(part, file, tags, position, matches):
                left.remove(part)
                position += 1
                break
        else:
            break
    return {position} if all(_occurs(part)[0] == 0 for part in left) else set()


_PATTERNS = {
    "boolean": r"0|1|true|false",
    "integer": r"-?\d+",
    "unsignedByte": r"\d{1,3}",
    "unsignedShort": r"\d{1,5}",
    "unsignedInt": r"\d{1,10}",
    "dateTime": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    "double": r"-?\d+(\.\d+)?",
    "string": r"[\s\S]*",
    "base64Binary": r"[A-Za-z0-9+/=\s]*",
}


def _simple(element: Element, kind: str, file: _File, path: str) -> None:
    if element.children:
        raise SchemaError(f"{path} has children")
    namespace, name = file.resolve(kind)
    if kind.startswith("xs:"):
        if not re.fullmatch(_PATTERNS[name], element.value):
            raise SchemaError(f"{path} is no {name}: {element.value[:60]!r}")
        return
    found = _schemas().types.get((namespace, name))
    if found is None:
        raise SchemaError(f"{path}: type {kind} is declared nowhere")
    _restricted(element, found[0], found[1], path)


def _restricted(element: Element, declared: ET.Element, file: _File, path: str) -> None:
    if element.children:
        raise SchemaError(f"{path} has children")
    union = declared.find(f"{_XS}union")
    if union is not None:
        _one_of(element, (union.get("memberTypes") or "").split(), file, path)
        return
    restriction = declared.find(f"{_XS}restriction")
    if restriction is None:
        return
    base = restriction.get("base", "")
    if base:
        _simple(element, base, file, path)
    value = element.value
    allowed = []
    for facet in restriction:
        limit = facet.get("value", "")
        name = facet.tag.removeprefix(_XS)
        if name == "enumeration":
            allowed.append(limit)
        broken = (
            (name == "maxLength" and len(value) > int(limit))
            or (name == "minLength" and len(value) < int(limit))
            or (name == "minInclusive" and int(value or 0) < int(limit))
            or (name == "maxInclusive" and int(value or 0) > int(limit))
            or (name == "pattern" and not re.fullmatch(limit, value))
        )
        if broken:
            raise SchemaError(f"{path} breaks {name} {limit}: {value[:60]!r}")
    if allowed and value not in allowed:
        raise SchemaError(f"{path} is none of {allowed}: {value[:60]!r}")


def _one_of(element: Element, kinds: Iterable[str], file: _File, path: str) -> None:
    problems = []
    for kind in kinds:
        try:
            _simple(element, kind, file, path)
            return
        except SchemaError as error:
            problems.append(str(error))
    raise SchemaError("; ".join(problems))
