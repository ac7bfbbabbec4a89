"""Microsoft's tables of requirements, as values: what lies in ``ms-eas/requirements`` beside the checkout."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache

from attrs import field, frozen

from tests.support.citations import DOCUMENTS
from tests.support.shared import shared_path

__all__ = ["DOCUMENTS", "Requirement", "requirements"]

_NS = "{http://schemas.microsoft.com/windows/ProtocolsTest/2007/07/RequirementTable}"
#: A row of MS-ASHTTP has no id; some have a line break before it.
_ID = re.compile(r"(MS-AS[A-Z]+)_R(\d+)$")


#: Documents without a table of their own: the rows stand in the tables of those that build upon them.
_SPREAD = ("MS-ASWBXML", "MS-ASDTYPE")


@frozen
class Requirement:
    """One row of Microsoft's table."""

    document: str
    number: int
    section: str
    scope: str
    verification: str
    normative: bool
    text: str = field(repr=False)

    @property
    def id(self) -> str:
        return f"R{self.number}"

    @property
    def binds(self) -> bool:
        """Whether the server has to keep it and somebody can see that it does."""
        return self.scope in ("Server", "Both") and self.verification in ("Test Case", "Adapter")

    @property
    def order(self) -> tuple[tuple[int, ...], int]:
        return tuple(int(one) for one in re.findall(r"\d+", self.section)), self.number


@cache
def _rows(table: str) -> list[ET.Element]:
    path = shared_path("ms-eas", "requirements", f"{table}_RequirementSpecification.xml")
    return list(ET.parse(path).getroot().iter(f"{_NS}Requirement"))


@cache
def requirements(document: str) -> dict[int, Requirement]:
    """The requirements of a document by their numbers.

    :raises SkipTest: where the tables are not at hand.
    """
    tables = [document]
    if document in _SPREAD:
        tables = [one for one in DOCUMENTS if one not in _SPREAD]
    found: dict[int, Requirement] = {}
    for row in (row for table in tables for row in _rows(table)):

        def value(name: str, row: ET.Element = row) -> str:
            return (row.findtext(f"{_NS}{name}") or "").strip()

        named = _ID.match(value("REQ_ID"))
        if named is None or named[1] != document:
            continue
        found[int(named[2])] = Requirement(
            document,
            int(named[2]),
            value("Doc_Sect"),
            value("Scope"),
            value("Verification"),
            value("IsNormative") == "Normative",
            " ".join(value("Description").split()),
        )
    return found
