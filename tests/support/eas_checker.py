"""Checks every ActiveSync response against Microsoft's own schemas.

The schemas (``shared/ms-eas/xsd``) are read by this small interpreter of the part of XML Schema that they
use: sequence, choice, all, group, element with occurrences, and the simple types. Beyond them it knows what
the text of MS-ASCMD says of the order inside a Collection.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from unittest import SkipTest

from attrs import frozen

from posthouse.wbxml.tree import Element
from tests.support.eas_rules import check_rules
from tests.support.eas_text import SchemaError, check_text
from tests.support.shared import shared_path

#: The rules by name, for the pages of `tests.support.requirements`.
RULES = {
    "parents": "An element stands in one of the parents that the text gives it in answers to its command.",
    "children": "An element holds no children but those that the text gives it.",
    "number": "An element stands once in its parent where the text says so.",
    "types": "The value of an element has the form of its type: container, string, integer, boolean, dateTime, empty.",
    "values": "The value of an element is one of those that the text lists, and no longer than it says.",
    "versions": "An element is sent at no version that does not have it.",
    "presence": "What is required in an element is there; what may not be in an answer is not.",
    "order": "The parts of Body and BodyPart stand in their order.",
    "places": "What is of a message stands in what holds a message; operations and properties have their Status.",
    "together": "Policies, absences, ranges, time zones, recurrences, flags, classes, voice mail: what hangs together.",
    "autodiscover": "Plain XML; an answer has its user, its server of a known type; a refusal its moment and origin.",
    "multipart": "The parts lie where their table says, one behind the other; Part stands in such an answer alone.",
    "headers": "Status line, Content-Length, Content-Type, Retry-After, the challenge and the lists of OPTIONS.",
    "tokens": "The bytes are Microsoft's tokens and code pages: inline strings, opaque byte arrays, nothing else.",
    "schema": "Elements, their order and number, their types and ranges are those of Microsoft's schema.",
    "collection": "A Collection of a Sync response has its names, its status and its parts in their order.",
    "never empty": "Lists, identifiers and bodies, whose emptiness crashes phones; keys have 1 to 64 characters.",
}

_XS = "{http://www.w3.org/2001/XMLSchema}"
_MANY = 1 << 30

#: iOS crashed on the one, Outlook on the other.
_NEVER_BLANK = ("Email2:ConversationId", "AirSyncBase:Data", "AirSync:ServerId", "FolderHierarchy:ServerId")
_NEVER_EMPTY = ("AirSync:Responses", "AirSync:Collections", "AirSync:Commands")


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


def check_response(root: Element, version: tuple[int, int] | None = None, *, multipart: bool = False) -> None:
    """Compare a response with its schema; nothing happens where the schemas are not present.

    :param multipart: the document is the first part of several; nowhere else is there a Part.

    :raises SchemaError: naming the element and what is wrong with it.
    """
    _check_text_rules(root, version)
    if not multipart and any(one.tag == "ItemOperations:Part" for one in root.iter()):
        raise SchemaError("a Part outside a multipart answer")
    check_text(root, version)
    check_rules(root, version)
    if not available():
        return
    declared = _schemas().roots.get(root.tag)
    if declared is None:
        raise SchemaError(f"no schema for {root.tag}")
    if version is not None and version < (14, 0):
        root = _without_class(root)
    if version is not None and version >= (16, 0) and root.tag == "AirSync:Sync":
        root = _without_names(root)
    _element(root, *declared, root.tag)


def check_autodiscover(document: bytes) -> None:
    """Hold the sentences about Autodiscover (MS-ASCMD 2.2.1.1) against an answer, which is plain XML.

    :raises SchemaError: naming the requirement.
    """

    def shown(node: ET.Element) -> Element:
        name = node.tag.rpartition("}")[2]
        return Element(
            f"Autodiscover:{name}", (node.text or "").strip() or None, [shown(one) for one in node]
        )

    root = ET.fromstring(document)
    check_text(shown(root), None)
    names = [node.tag.rpartition("}")[2] for node in root.iter()]
    if names[:2] != ["Autodiscover", "Response"]:
        raise SchemaError(f"a document of {names[:2]}")
    # An answer names its user, and settings their server; a refusal has its error alone.
    for whole, part in (
        ("Action", "User"),
        ("User", "EMailAddress"),
        ("Settings", "Server"),
        ("Server", "Type"),
    ):
        if whole in names and part not in names:
            raise SchemaError(f"{whole} without {part}")
    if not {node.text for node in root.iter() if node.tag.endswith("}Type")} <= {"MobileSync", "CertEnroll"}:
        raise SchemaError("a server of another type")
    for node in root.iter():
        if node.tag.rpartition("}")[2] == "Error" and "Time" in node.attrib:
            if not re.fullmatch(r"\d\d:\d\d:\d\d\.\d{7}", node.attrib["Time"]):
                raise SchemaError(f"Error at {node.attrib['Time']!r}")
            if not node.attrib.get("Id", "").isdigit():
                raise SchemaError(f"Error of {node.attrib.get('Id')!r}")


def _without_names(element: Element) -> Element:
    """The answer to a Change that added attachments tells their names (MS-ASAIRS R1336, R1368), for which the
    schema has no place.
    """
    children = [_without_names(child) for child in element.children]
    if element.tag == "AirSync:Responses":
        for child in children:
            if child.tag == "AirSync:Change":
                child.children = [one for one in child.children if not _is_names(one)]
    return Element(element.tag, element.content, children)


def _is_names(element: Element) -> bool:
    if element.tag != "AirSync:ApplicationData":
        return False
    tags = [one.tag for one in element.iter()][1:]
    names = ["AirSyncBase:Attachment", "AirSyncBase:FileReference", "AirSyncBase:ClientId"]
    return tags[:1] == ["AirSyncBase:Attachments"] and tags[1:] == names * (len(tags) // 3)


def _without_class(element: Element) -> Element:
    """Collection/Class exists at 12.1 and below only (MS-ASCMD R6319); the schemas are those of 16.1."""
    if element.tag == "AirSync:Collection":
        kept = [child for child in element.children if child.tag != "AirSync:Class"]
        return Element(element.tag, element.content, kept)
    if element.tag in ("AirSync:Sync", "AirSync:Collections"):
        return Element(element.tag, element.content, [_without_class(child) for child in element.children])
    return element


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
    tags = tuple(child.tag for child in element.children)
    found, reached = _matched(_Declared(declared, file), tags)
    if found is None:
        wrong = tags[reached] if reached < len(tags) else "the end"
        raise SchemaError(f"{path}: {wrong} is not expected after {tags[:reached]}")
    for child, (declaration, of) in zip(element.children, found, strict=True):
        _element(child, declaration, of, f"{path}/{child.tag.partition(':')[2]}")


@frozen(eq=False)
class _Declared:
    """A complex type and where it stands; equal when it is the same."""

    type: ET.Element
    file: _File

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Declared) and other.type is self.type

    def __hash__(self) -> int:
        return id(self.type)


Matches = list[tuple[ET.Element, _File]]


@lru_cache(maxsize=4096)
def _matched(declared: _Declared, tags: tuple[str, ...]) -> tuple[Matches | None, int]:
    """The declaration of each child, None when they do not fit; and how far they do."""
    model = next((child for child in declared.type if child.tag != f"{_XS}annotation"), None)
    if model is None:
        return (None if tags else []), 0
    matches: dict[int, tuple[ET.Element, _File]] = {}
    ends = _compiled(_Declared(model, declared.file)).match(tags, 0, matches)
    if len(tags) not in ends:
        return None, max(ends, default=0)
    return [matches[position] for position in range(len(tags))], len(tags)


@lru_cache(maxsize=4096)
def _compiled(declared: _Declared) -> _Particle:
    return _Particle(declared.type, declared.file)


class _Particle:
    """A part of a content model, with the tags that it may begin with."""

    def __init__(self, node: ET.Element, file: _File) -> None:
        self.node = node
        self.file = file
        self.least = int(node.get("minOccurs", "1"))
        most = node.get("maxOccurs", "1")
        self.most = _MANY if most == "unbounded" else int(most)
        self.kind = node.tag.removeprefix(_XS)
        self.tag = ""
        self.parts: list[_Particle] = []
        if self.kind == "element":
            namespace, name = file.resolve(node.get("ref") or "") if node.get("ref") else ("", "")
            self.tag = f"{namespace}:{name}" if name else f"{file.namespace}:{node.get('name')}"
        elif self.kind == "group":
            inside, of = _schemas().groups[file.resolve(node.get("ref", ""))]
            self.parts = [_Particle(next(iter(inside)), of)]
        elif self.kind in ("sequence", "choice", "all"):
            self.parts = [_Particle(child, file) for child in node if child.tag != f"{_XS}annotation"]
        else:
            raise SchemaError(f"the schema uses {self.kind}, which is not known here")
        self.optional = self.least == 0 or self._may_be_nothing()
        self.by_tag: dict[str, list[_Particle]] = {}
        for part in self.parts:
            for tag in part.first:
                self.by_tag.setdefault(tag, []).append(part)
        self.first: frozenset[str] = self._first()

    def _may_be_nothing(self) -> bool:
        if self.kind == "element":
            return False
        options = [part.optional for part in self.parts]
        return any(options) if self.kind == "choice" else all(options)

    def _first(self) -> frozenset[str]:
        if self.kind == "element":
            return frozenset((self.tag,))
        found: set[str] = set()
        for part in self.parts:
            found |= part.first
            if self.kind == "sequence" and not part.optional:
                break
        return frozenset(found)

    def match(
        self, tags: tuple[str, ...], start: int, matches: dict[int, tuple[ET.Element, _File]]
    ) -> set[int]:
        """Where this may end when it begins at ``start``."""
        ends = {start} if self.optional else set()
        reached = {start}
        count = 0
        while reached and count < self.most:
            count += 1
            following = {
                end
                for position in reached
                if position < len(tags) and tags[position] in self.first
                for end in self._once(tags, position, matches)
                if end > position
            }
            if count >= self.least:
                if following <= ends:
                    break
                ends |= following
            reached = following
        return ends

    def _once(
        self, tags: tuple[str, ...], start: int, matches: dict[int, tuple[ET.Element, _File]]
    ) -> set[int]:
        if self.kind == "element":
            matches.setdefault(start, (self.node, self.file))
            return {start + 1}
        if self.kind in ("choice", "group"):
            return {end for part in self.by_tag[tags[start]] for end in part.match(tags, start, matches)}
        if self.kind == "sequence":
            reached = {start}
            for part in self.parts:
                reached = {end for position in reached for end in part.match(tags, position, matches)}
            return reached
        left = list(self.parts)
        position = start
        while position < len(tags):
            fitting = next((part for part in left if tags[position] == part.tag), None)
            if fitting is None:
                break
            left.remove(fitting)
            matches.setdefault(position, (fitting.node, fitting.file))
            position += 1
        return {position} if all(part.least == 0 for part in left) else set()


_PATTERNS = {
    "boolean": r"0|1|true|false",
    "int": r"-?\d{1,10}",
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
