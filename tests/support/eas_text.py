"""What the sentences of Microsoft's requirements say of the elements of an answer, checked in every answer.

Most of the requirements that are left to an adapter have one of a few forms: which parents and children an element
has, how often it stands in its parent, of which type it is, which values it takes, at which versions it exists. They
are read here as they stand (beside the checkout, `tests.support.shared`), and each becomes a `Claim` that the checker
holds against every element of its name. The schema says much of this, too; here it is the text itself that is asked.
What has another form is checked by a rule of its own, and listed in ``docs/protocols/checked``.
"""

from __future__ import annotations

import atexit
import csv
import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest import SkipTest

from attrs import frozen

from posthouse.wbxml.tree import Element
from tests.support.citations import ROOT
from tests.support.requirement_rows import DOCUMENTS, Requirement, requirements
from tests.support.shared import shared_path

Version = tuple[int, int]


class SchemaError(AssertionError):
    """An answer that breaks its schema, or the text."""


#: The code page of each command; an element of a sentence without a prefix is of it when the page has it.
_PAGES = {
    "FolderCreate": "FolderHierarchy",
    "FolderDelete": "FolderHierarchy",
    "FolderSync": "FolderHierarchy",
    "FolderUpdate": "FolderHierarchy",
    "GetHierarchy": "FolderHierarchy",
    "GetItemEstimate": "GetItemEstimate",
    "ItemOperations": "ItemOperations",
    "MeetingResponse": "MeetingResponse",
    "MoveItems": "Move",
    "Ping": "Ping",
    "Provision": "Provision",
    "ResolveRecipients": "ResolveRecipients",
    "Search": "Search",
    "Find": "Find",
    "SendMail": "ComposeMail",
    "Settings": "Settings",
    "SmartForward": "ComposeMail",
    "SmartReply": "ComposeMail",
    "Sync": "AirSync",
    "ValidateCert": "ValidateCert",
    # Not WBXML; its elements are shown to the checker as those of a page of this name.
    "Autodiscover": "Autodiscover",
}
_ELSEWHERE = ("GAL", "AirSync", "Search", "AirSyncBase", "Email", "Email2", "Settings", "MeetingResponse")
#: Names of the text that are of another page than the command's, which has them, too.
_ALIASES = {
    ("Find", "Picture"): "GAL:Picture",
    ("Search", "Picture"): "GAL:Picture",
    ("Find", "Store"): "ItemOperations:Store",
}
_CLASSES = {
    "MS-ASAIRS": ("AirSyncBase",),
    "MS-ASEMAIL": ("Email", "Email2", "Tasks"),
    "MS-ASPROV": ("Provision",),
    "MS-ASCON": ("AirSyncBase", "Email2", "ItemOperations"),
}


#: Where the text says less than it means: in which parent it holds, and of whose children.
_PARENTS = {
    955: frozenset(("Responses",)),
    5701: frozenset(("Commands",)),
    5848: frozenset(("Commands",)),
    4395: frozenset(("DevicePassword",)),
    4391: frozenset(("RightsManagementInformation", "Oof", "DeviceInformation", "UserInformation")),
}
#: What the schema of the same document has beyond the list of the text.
_MORE_CHILDREN = {
    ("ItemOperations", "Fetch"): {"FileReference"},
    # MS-ASEMAIL R1305, R13111; MS-ASCMD R66550801, R69901710, R69901731.
    ("", "MeetingRequest"): {"UID", "Forwardees", "ProposedStartTime", "ProposedEndTime"},
}
#: Sentences that are kept in another way, or contradicted elsewhere; each stands in docs/protocols.
_APART = {
    "MS-ASCMD": frozenset((816, 2499, 3844, 99913)),
}


@frozen(eq=False)
class Claim:
    """One requirement as a check.

    :ivar command: the answers it speaks of; "" for all. :ivar tags: the elements. :ivar parents: local names of
        the parents it is about; empty for any. :ivar broken: what is wrong with an element in its parent at a
        version, "" when nothing is.
    """

    requirement: Requirement
    rule: str
    command: str
    tags: frozenset[str]
    parents: frozenset[str]
    broken: Callable[[Element, Element | None, Version | None], str]

    @property
    def key(self) -> tuple[str, int]:
        return self.requirement.document, self.requirement.number


@cache
def _names() -> dict[str, frozenset[str]]:
    """Code page to the local names on it."""
    found: dict[str, set[str]] = defaultdict(set)
    with shared_path("ms-eas", "codepages.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found[row["namespace"]].add(row["name"])
    return {page: frozenset(names) for page, names in found.items()}


def _tags(name: str, pages: tuple[str, ...], anywhere: bool) -> frozenset[str]:
    """The tags that a name of the text means."""
    alias = _ALIASES.get((pages[0] if pages else "", name))
    if alias:
        return frozenset((alias,))
    prefix, _, local = name.rpartition(":")
    if pages[:1] == ("Autodiscover",):
        return frozenset((f"Autodiscover:{local}",))
    if prefix:
        return frozenset(f"{page}:{local}" for page in _names() if page.lower() == prefix.lower())
    for page in (*pages, *(_ELSEWHERE if anywhere else ())):
        for own in _names().get(page, ()):
            if own.lower() == local.lower():
                return frozenset((f"{page}:{own}",))
    return frozenset()


def local(tag: str) -> str:
    """The name of a tag without its code page."""
    return tag.rpartition(":")[2]


# -- the forms ---------------------------------------------------------------------------------------------------

_ELEMENT = re.compile(
    r"(?:None ?)?\[? ?(?:Element|Ement|ement) (?P<name>[\w:]+) ?(?:\((?P<of>\w+)\))? in "
    r"(?P<command>\w+)(?: \w+)? command "
    r"(?P<kind>[\w ]*?(?:response|reply))s?(?P<context> ?(?:fetch|Move|EmptyFolderContents) operation)?"
    r"(?:, has| has|[^,]*?, ?|\s*,\s*)? ?(?P<rest>.*)$"
)
_LABEL = re.compile(r"\[(?:In )?(?P<name>[\w:]+) ?(?:\((?P<of>[^)]*)\))?\] ?(?P<rest>.*)$")
_TOKEN_ROW = re.compile(
    r"\[In Code Page \d+: (?P<page>\w+)\] \[Tag name\] ?(?P<name>\w+)[^\[]*?(?:\[Token\])? ?0x(?P<token>..)"
    r"(?P<versions>.*)$"
)
_SECTION = re.compile(
    r"\((?:\[[\w-]+\] ?)?(?:\[?\w+[\w-]*\]? )?sections? ?[\d.]+\)|\[[\w/-]+\] section [\d.]+"
)

_TYPES = {
    "string": re.compile(r"[\s\S]*"),
    "integer": re.compile(r"-?\d+"),
    "unsignedint": re.compile(r"\d{1,10}"),
    "unsignedbyte": re.compile(r"\d{1,3}"),
    "unsignedshort": re.compile(r"\d{1,5}"),
    "boolean": re.compile(r"[01]"),
    "datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "compact": re.compile(r"\d{8}T\d{6}Z"),
    "double": re.compile(r"-?\d+(\.\d+)?"),
}
_TYPE = re.compile(
    r"data type is (?:an? )?(?P<a>\w+)|(?:is|are) (?:an? )?(?P<b>\w+) (?:data type|value|type)\b|"
    r"(?:is|are) an? (?P<c>\w+)(?: \(| data|, as|\.)|is an? \w+ child element of type (?P<d>\w+)"
)


_VALUED = (
    r"MUST be one of|[Vv]alid values|one of the (following )?values|lists the (status codes|values)|"
    r"folder type values"
)


def _typed(kind: str) -> Callable[[Element, Element | None, Version | None], str] | None:
    name = kind.lower()
    if name in ("container", "complex"):
        return lambda element, parent, version: "has text" if element.content else ""
    if name == "none":
        return lambda element, parent, version: "is not empty" if element.content else ""
    form = _TYPES.get(name)
    if form is None and name.endswith("orempty"):
        inner = _TYPES.get(name.removesuffix("orempty"))
        form = re.compile(f"(?:{inner.pattern})?") if inner is not None else None
    if form is None:
        return None
    # An element without a value says that there is none: a child is looked at, an empty one is not.
    return lambda element, parent, version: (
        "has children"
        if element.children
        else f"is no {kind}: {element.value[:40]!r}"
        if element.content and not isinstance(element.content, bytes) and not form.fullmatch(element.value)
        else ""
    )


def _common(element: Element) -> bool:
    """A common status (MS-ASCMD 2.2.2) may stand wherever one of the command's own may."""
    return local(element.tag) == "Status" and element.value.isdigit() and 100 < int(element.value) < 200


def _childless(element: Element, parent: Element | None, version: Version | None) -> str:
    return "has children" if element.children else ""


def _once(element: Element, parent: Element | None, version: Version | None) -> str:
    if parent is None:
        return ""
    return "stands twice" if sum(child.tag == element.tag for child in parent.children) > 1 else ""


def _within(names: frozenset[str]) -> Callable[[Element, Element | None, Version | None], str]:
    lower = frozenset(name.lower() for name in names)
    return lambda element, parent, version: (
        f"stands in {parent.tag if parent is not None else 'nothing'}"
        if (local(parent.tag).lower() if parent is not None else "none") not in lower
        else ""
    )


def _holding(names: frozenset[str]) -> Callable[[Element, Element | None, Version | None], str]:
    lower = frozenset(name.lower() for name in names)

    def broken(element: Element, parent: Element | None, version: Version | None) -> str:
        for child in element.children:
            if local(child.tag).lower() not in lower and not (
                parent is None and local(child.tag) == "Status"
            ):
                return f"holds {child.tag}"
        return ""

    return broken


def _valued(values: frozenset[str]) -> Callable[[Element, Element | None, Version | None], str]:
    return lambda element, parent, version: (
        f"is {element.value[:20]!r}, none of {sorted(values)}"
        if element.content and element.value not in values and not _common(element)
        else ""
    )


def _versioned(versions: frozenset[Version]) -> Callable[[Element, Element | None, Version | None], str]:
    return lambda element, parent, version: (
        f"is not of version {version}" if version is not None and version not in versions else ""
    )


def _any_version(element: Element, parent: Element | None, version: Version | None) -> str:
    return ""


def _never(element: Element, parent: Element | None, version: Version | None) -> str:
    return "may not be in an answer"


def _short(element: Element, parent: Element | None, version: Version | None) -> str:
    return f"has {len(element.value)} characters" if len(element.value) > 64 else ""


def _lacking(element: Element, parent: Element | None, version: Version | None, tags: frozenset[str]) -> bool:
    """Whether an element may be without what is required of it."""
    if parent is None:
        # A command that failed as a whole has nothing but its status.
        return any(local(child.tag) == "Status" and child.value != "1" for child in element.children)
    if element.tag == "GetItemEstimate:Collection":
        return parent.text("GetItemEstimate:Status") != "1"
    if element.tag == "AirSyncBase:Attachment":
        # What a draft's attachment is called is told by its names alone (MS-ASAIRS R1336, R1368).
        return element.find("AirSyncBase:ClientId") is not None
    if element.tag == "AirSyncBase:Attachments":
        # The last attachment of a draft was taken away.
        return not element.children and local(parent.tag) == "ApplicationData"
    if element.tag in ("Search:Result", "Find:Result"):
        # The one that says that nothing was found (MS-ASCMD R3850), and people, who are of no class.
        people = any(one.tag.startswith("GAL:") for one in element.iter())
        return not element.children or (people and all(tag.startswith("AirSync:") for tag in tags))
    if element.tag == "Email:MeetingRequest":
        # MS-ASEMAIL R13111: from 16.0 on the one takes the place of the other.
        old, new = tags == {"Email:GlobalObjId"}, tags == {"Calendar:UID"}
        late = version is None or version >= (16, 0)
        recent = version is None or version >= (14, 1)
        return (old and late) or (new and not late) or (tags == {"Email2:MeetingMessageType"} and not recent)
    return False


def _requiring(tags: frozenset[str]) -> Callable[[Element, Element | None, Version | None], str]:
    def broken(element: Element, parent: Element | None, version: Version | None) -> str:
        if any(child.tag in tags for child in element.children):
            return ""
        return "" if _lacking(element, parent, version, tags) else f"has no {sorted(tags)[0]}"

    return broken


def _ordered(names: tuple[str, ...]) -> Callable[[Element, Element | None, Version | None], str]:
    place = {name: number for number, name in enumerate(names)}

    def broken(element: Element, parent: Element | None, version: Version | None) -> str:
        found = [place.get(local(child.tag), -1) for child in element.children]
        return "" if -1 not in found and found == sorted(found) else "is out of order"

    return broken


def _listed(text: str) -> tuple[str, ...]:
    """Names in a list: "A (section 1.2), b:C (2.3) and D"."""
    plain = _SECTION.sub("", text)
    plain = re.sub(r"\([^()]*\)|<\d+>", "", plain)
    plain = re.sub(r"\b(and|elements?|or|the|optional)\b", ",", plain)
    return tuple(one.rpartition(":")[2] for one in re.findall(r"[A-Za-z][\w:]*", plain))


# -- reading -----------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.parents: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.children: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.versions: dict[tuple[str, str, str], set[Version]] = defaultdict(set)
        rows = [one for document in DOCUMENTS for one in requirements(document).values()]
        said = [one for one in rows if one.scope in ("Server", "Both")]
        bound = [one for one in said if one.verification == "Adapter"]
        for one in said:
            self._collect(one)
        for one in bound:
            self._read(one)

    def _collect(self, one: Requirement) -> None:
        """What several sentences say together: all the parents, children and versions of an element."""
        found = self._element(one)
        if found is not None:
            command, name, rest = found
            if re.match(r"(?:the )?parent el\w+ts?\b", rest):
                self.parents[command, name] |= set(_listed(re.sub(r"^.*?(?:is|are)\b:?", "", rest)))
            if re.match(r"(?:the )?child el\w+ts? (?:is|are)\b", rest):
                self.children[command, name] |= set(_listed(re.sub(r"^.*?(?:is|are)\b", "", rest, count=1)))
        version = re.search(r"Protocol version (\d\d)\.(\d) supports? this", one.text)
        label = _LABEL.match(one.text)
        if version and label:
            self.versions[one.document, label["name"], label["of"] or ""].add(
                (int(version[1]), int(version[2]))
            )

    def _element(self, one: Requirement) -> tuple[str, str, str] | None:
        label = _LABEL.match(one.text)
        if one.document != "MS-ASCMD" or label is None:
            return None
        found = _ELEMENT.match(label["rest"])
        if found is None or found["command"] not in _PAGES:
            return None
        return found["command"], found["name"], re.sub(r"^[^a-z]*", "", found["rest"])

    def _read_token(self, one: Requirement) -> None:
        """A row of a code page: its tag is sent at no version that the row does not have."""
        found = _TOKEN_ROW.search(one.text)
        if found is None:
            return
        versions = {
            (int(major), int(minor)) for major, minor in re.findall(r"(\d\d)\.(\d)", found["versions"])
        }
        # The rows do not speak of 12.0, and not all of them of 16.1.
        for known, also in (((12, 1), (12, 0)), ((16, 0), (16, 1))):
            if known in versions:
                versions.add(also)
        broken = _versioned(frozenset(versions)) if versions else _any_version
        self._add(one, "tokens", "", frozenset((f"{found['page']}:{found['name']}",)), broken)

    def _add(
        self,
        one: Requirement,
        rule: str,
        command: str,
        tags: frozenset[str],
        broken: Callable[[Element, Element | None, Version | None], str] | None,
        parents: frozenset[str] = frozenset(),
    ) -> None:
        if tags and broken is not None and one.number not in _APART.get(one.document, ()):
            if one.document == "MS-ASCMD":
                parents = _PARENTS.get(one.number, parents)
            self.claims.append(Claim(one, rule, command, tags, parents, broken))

    def _read(self, one: Requirement) -> None:
        if one.document == "MS-ASWBXML":
            self._read_token(one)
            return
        found = self._element(one)
        if found is not None:
            self._read_command(one, *found)
            return
        label = _LABEL.match(one.text)
        if label is None:
            return
        text, name = label["rest"], label["name"]
        if one.document == "MS-ASCMD":
            command = label["of"] or ""
            command = command if command in _PAGES else ""
            pages = (_PAGES[command],) if command else tuple(dict.fromkeys(_PAGES.values()))
            if command or label["of"] is None:
                self._read_class(one, name, text, command, _tags(name, pages, anywhere=True), frozenset())
            return
        pages = _CLASSES.get(one.document, ())
        of = label["of"] or ""
        above = frozenset((of,)) if re.fullmatch(r"\w+", of) else frozenset()
        command = of if of in _PAGES and of != "Provision" else ""
        if one.document == "MS-ASPROV":
            command = "Provision"
        elif command:
            above = frozenset()
        self._read_class(one, name, text, command, _tags(name, pages, anywhere=False), above)

    def _read_command(self, one: Requirement, command: str, name: str, rest: str) -> None:
        tags = _tags(name, (_PAGES[command],), anywhere=True)
        mixed = name in ("ApplicationData", "Properties")
        if re.match(r"(?:the )?parent el\w+ts?\b", rest):
            if not self.parents[command, name]:
                return
            self._add(one, "parents", command, tags, _within(frozenset(self.parents[command, name])))
        elif re.search(r"no [Pp]arent", one.text):
            self._add(one, "parents", command, tags, _within(frozenset(("None",))))
        elif re.match(r"(?:the )?child el\w+ts? (?:is|are)\b", rest) and not mixed:
            more = _MORE_CHILDREN.get((command, name), set())
            self._add(
                one, "children", command, tags, _holding(frozenset(self.children[command, name] | more))
            )
        elif re.search(r"data ty\w*e is", rest):
            kind = _TYPE.search(rest)
            self._add(one, "types", command, tags, _typed(kind["a"]) if kind else None)
        elif "no child element" in one.text:
            self._add(one, "types", command, tags, _childless)
        elif "no data type" in one.text or "data tye is None" in one.text:
            self._add(one, "types", command, tags, _typed("none"))
        elif re.search(r"number allowed", rest):
            if re.search(r"(?:\.\.\.|…)\s?1|is 1 ", rest):
                self._add(one, "number", command, tags, _once)
            elif re.search(r"[.…][N3]", rest):
                self._add(one, "number", command, tags, _any_version)

    def _read_class(
        self,
        one: Requirement,
        name: str,
        text: str,
        command: str,
        tags: frozenset[str],
        above: frozenset[str],
    ) -> None:
        """The forms of the documents of content, and what MS-ASCMD says outside its tables."""

        def add(rule: str, broken: Callable[..., str] | None, parents: frozenset[str] = above) -> None:
            self._add(one, rule, command, tags, broken, parents)

        label = _LABEL.match(one.text)
        if re.search(r"is a required element in \w+ command requests", text):
            self._add(one, "parents", name if name in _PAGES else "", tags, _within(frozenset(("None",))))
        elif found := re.search(r"^(Each .*?) included in a FolderSync response MUST contain one", text):
            for of in re.findall(r"(\w+) element", found[1]):
                holders = frozenset((f"FolderHierarchy:{of}",))
                self._add(one, "presence", "FolderSync", holders, _requiring(tags))
        elif "is an empty tag element" in text or "distinguished only by the presence" in text:
            add("types", _typed("none"))
        elif re.search(r"has (only )?the following child elements?|can contain the following child el", text):
            listed = text[re.search(r"child elements?", text).end() :]  # type: ignore[union-attr]
            listed = listed[listed.index("[") :] if re.match(r"[^:]*:? ?\[(?!MS-)", listed) else listed
            names = frozenset(_listed(re.sub(r"as specified.*", "", listed)))
            add("children", _holding(names | _MORE_CHILDREN.get(("", name), set())))
        elif re.search(r"Protocol version \d\d\.\d supports? this", text) and label:
            versions = self.versions[one.document, name, label["of"] or ""]
            # 12.0 is no version that these sentences speak of; it has what 12.1 has.
            if (12, 1) in versions:
                versions.add((12, 0))
            add("versions", _versioned(frozenset(versions)))
        elif re.search(
            r"(cannot|MUST) (have|contain)( any| no)? child elements|have no child elements", text
        ):
            add("types", _childless)
        elif re.search(r"no larger than 64|not larger than 64 characters", text):
            add("values", _short)
        elif re.search(r"MUST NOT (be used in|include)", text) and "ommand response" in text:
            add("presence", _never)
        elif re.search(r"in this order|in the following order", text) and "[" in text:
            add("order", _ordered(_listed(text[text.rindex("[") + 1 : text.rindex("]")])))
        elif found := re.search(
            r"(?:[Mm]aximum of one|[Oo]nly one|at most one instance of) .*?(?:per|[Ww]ithin each returned) (\w+)|"
            r"([Mm]aximum of one|at most one instance|[Oo]nly one)", text
        ):  # fmt: skip
            add("number", _once)
        elif re.search(r"One instance of this element is required|This element is required", text):
            child = re.match(r"(?:\[[^\]]*\] ?)?([\w:]+) \(", text)
            if child:
                wanted = _tags(child[1], _CLASSES.get(one.document, ("",)), anywhere=True)
                add("presence", _requiring(wanted) if wanted else None)
        elif found := re.search(r"required (?:\w+ )?child (?:element )?of the (\w+) element", text):
            only = command or next(iter(re.findall(r"in (\w+) command responses", text)), "")
            page = (_PAGES[only],) if only in _PAGES else ()
            of = _tags(found[1], (*_CLASSES.get(one.document, ()), *page), anywhere=True)
            prefixed = re.search(rf"\b(\w+:{re.escape(local(name))}) element", text)
            wanted = _tags(prefixed[1], (), anywhere=False) if prefixed else tags
            if of and wanted and only in ("", *_PAGES):
                self._add(one, "presence", only, of, _requiring(wanted))
        elif found := re.search(r"required child element of the the (Collection .*?) in Sync", text):
            for of in re.findall(r"(\w+) element", found[1]):
                # In Commands there is none: what failed is said in Responses.
                under = frozenset() if of == "Collection" else frozenset(("Responses",))
                self._add(one, "presence", "Sync", frozenset((f"AirSync:{of}",)), _requiring(tags), under)
        elif found := re.search(r"\[([\d, ]+|\d+-\d+)\]", text):
            values = frozenset(re.findall(r"\d+", found[1]))
            if span := re.fullmatch(r"(\d+)-(\d+)", found[1]):
                values = frozenset(map(str, range(int(span[1]), int(span[2]) + 1)))
            if re.search(_VALUED, text):
                of = re.search(r"child (?:element )?of the (\w+) element", text)
                add("values", _valued(values), frozenset((of[1],)) if of else above)
        elif found := _TYPE.search(text):
            kind = next(one for one in found.groups() if one)
            add("types", _typed(kind))
        elif re.search(r"is an? (\w+ )?container \(|is a container", text):
            add("types", _typed("container"))
        elif found := re.search(r"It ?\[[^\]]*\] is a child (?:element )?of the (\w+) element", text):
            add("parents", _within(frozenset((found[1],))))


@cache
def claims() -> tuple[Claim, ...]:
    """All sentences that are checked; none where the tables are not at hand."""
    try:
        return tuple(_Reader().claims)
    except SkipTest:
        return ()


@cache
def _never_sent() -> frozenset[str]:
    """What the reasons of ``docs/protocols`` promise that it is never sent."""
    found: set[str] = set()
    for path in (ROOT / "docs" / "protocols" / "reasons").glob("*.toml"):
        for reason in tomllib.loads(path.read_text(encoding="utf-8")).get("reason", []):
            found.update(reason.get("tags", ()))
    return frozenset(found)


@cache
def _by_tag() -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = defaultdict(list)
    for claim in claims():
        for tag in claim.tags:
            found[tag].append(claim)
    return found


@cache
def _applying(command: str, parent: str, tag: str) -> tuple[Claim, ...]:
    found = tuple(
        one
        for one in _by_tag().get(tag, ())
        if one.command in ("", command) and (not one.parents or local(parent) in one.parents)
    )
    _SEEN.update(one.key for one in found)
    return found


_SEEN: set[tuple[str, int]] = set()


def _write_seen() -> None:
    with Path(os.environ["POSTHOUSE_EAS_SEEN"]).open("a") as file:
        file.writelines(f"{document} R{number}\n" for document, number in sorted(_SEEN))


if os.environ.get("POSTHOUSE_EAS_SEEN"):
    # Which sentences spoke of anything that a run of the tests has seen: the others are about what is never sent.
    atexit.register(_write_seen)


def check_text(root: Element, version: Version | None) -> None:
    """Hold every sentence against an answer.

    :raises SchemaError: naming the requirement.
    """
    command = "GetHierarchy" if root.tag == "FolderHierarchy:Folders" else local(root.tag)
    for element, parent in _walk(root, None):
        if element.tag in _never_sent():
            raise SchemaError(f"{element.tag} is sent, though docs/protocols/reasons says that it never is")
        for claim in _applying(command, parent.tag if parent is not None else "", element.tag):
            if command == "Find" and claim.rule in ("tokens", "versions"):
                continue  # iOS finds at any version what the text has at 16.1 (MS-ASCMD R10032018)
            wrong = claim.broken(element, parent, version)
            if wrong:
                raise SchemaError(
                    f"{claim.requirement.document} {claim.requirement.id}: {element.tag} {wrong}"
                )


def _walk(element: Element, parent: Element | None) -> Iterator[tuple[Element, Element | None]]:
    yield element, parent
    for child in element.children:
        yield from _walk(child, element)
