"""Which of Microsoft's requirements the house keeps, and what proves it: the pages of ``docs/protocols``.

::

    python -m tests.support.requirements                                write the pages, count what is unexplained
    python -m tests.support.requirements --missing MS-ASCMD 2.2.3.177   unexplained ids with their sections
    python -m tests.support.requirements --missing --text MS-ASCMD      ... with the text of each, to work from
    python -m tests.support.requirements --missing --adapter MS-ASCMD   those left to the checker of answers
    python -m tests.support.requirements --all --text MS-ASCON 3.2.5    all that bind the server, and who keeps them

(with ``PYTHONPATH=src:.`` from the top of the checkout; a section stands for those below it; several may be named).

A requirement that binds the server (Scope Server or Both), verified by ``Test Case`` or ``Adapter``, is explained by

- a test that cites it: how is told in `tests.support.citations`;
- a reason why it does not apply, in ``docs/protocols/reasons/*.toml`` (as many files as people write them)::

      document = "MS-ASCMD"

      [[reason]]
      why = "It binds the client: the server never sends this element."
      ids = ["R12", "R20-R25"]
      tags = ["AirSync:Partial"]    # may be left out; the checker of answers fails when one of these is sent after all

- a rule of the checker through which the tests pass every answer (`tests.support.eas_checker`), for ``Adapter``:
  most of these are sentences that the checker reads and asks (`tests.support.eas_text`); the rest are listed in
  ``docs/protocols/checked/*.toml``, ``[[rule]]`` with ``name`` (one of the checker's ``RULES``) and ``ids``.

What is both cited and excused is an error, as is an id that the document does not have. The pages hold ids and
sections alone: the words are Microsoft's, and lie beside the checkout (`tests.support.shared`).
"""

from __future__ import annotations

import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import define, field

from tests.support.citations import (
    DOCUMENTS,
    ROOT,
    CitationError,
    Span,
    citations,
    source_files,
    spans,
    test_files,
)
from tests.support.eas_checker import RULES
from tests.support.eas_text import claims
from tests.support.requirement_modules import modules_of
from tests.support.requirement_rows import Requirement, requirements

PAGES = ROOT / "docs" / "protocols"


@define
class Proof:
    """What explains a requirement."""

    tests: list[str] = field(factory=list)
    modules: list[str] = field(factory=list)
    reasons: list[str] = field(factory=list)
    rules: list[str] = field(factory=list)

    @property
    def explained(self) -> bool:
        return bool(self.tests or self.reasons or self.rules)


class Table:
    """All that is known, read once. ``errors`` are citations of nothing, and contradictions."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.proofs: dict[tuple[str, int], Proof] = defaultdict(Proof)
        for path in test_files():
            for key, place in self._cited(path):
                _add(self.proofs[key].tests, place)
        for path in source_files():
            module = ".".join(path.relative_to(ROOT / "src" / "posthouse").with_suffix("").parts)
            for key, _ in self._cited(path):
                _add(self.proofs[key].modules, module.removesuffix(".__init__"))
        for path in sorted((PAGES / "reasons").glob("*.toml")):
            for entry, key in self._listed(path, "reason", "why"):
                _add(self.proofs[key].reasons, entry)
        for path in sorted((PAGES / "checked").glob("*.toml")):
            for entry, key in self._listed(path, "rule", "name"):
                if entry not in RULES:
                    self.errors.append(f"{path.name}: the checker has no rule {entry}")
                _add(self.proofs[key].rules, entry)
        for claim in claims():
            if not self.proofs[claim.key].reasons:
                _add(self.proofs[claim.key].rules, claim.rule)
        for (document, number), proof in self.proofs.items():
            if proof.reasons and (proof.tests or proof.rules):
                kept = (proof.tests + proof.rules)[0]
                self.errors.append(f"{document} R{number}: excused ({proof.reasons[0]}) and kept ({kept})")
            if len(proof.reasons) > 1:
                self.errors.append(f"{document} R{number}: two reasons: {' | '.join(proof.reasons)}")

    def _cited(self, path: Path) -> Iterator[tuple[tuple[str, int], str]]:
        try:
            for one in citations(path):
                place = f"{one.path.removeprefix('tests/')} {one.name}".strip()
                for number in self._numbers(one.span, f"{one.path}:{one.line}"):
                    yield (one.span.document, number), place
        except CitationError as error:
            self.errors.append(str(error))

    def _listed(self, path: Path, kind: str, name: str) -> Iterator[tuple[str, tuple[str, int]]]:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            self.errors.append(f"{path.name}: {error}")
            return
        for entry in content.get(kind, []):
            for text in entry["ids"]:
                for span in spans(text, content["document"]):
                    for number in self._numbers(span, path.name):
                        yield entry[name], (content["document"], number)

    def _numbers(self, span: Span, place: str) -> Iterable[int]:
        if span.document not in DOCUMENTS:
            return ()
        known = requirements(span.document)
        ends = {span.first, span.last}
        for end in sorted(ends - set(known)):
            self.errors.append(f"{place}: {span.document} has no R{end}")
        return [number for number in range(span.first, span.last + 1) if number in known]

    def binding(self, document: str, verification: str = "") -> list[Requirement]:
        """What binds the server, in the order of the document."""
        found = (one for one in requirements(document).values() if one.binds)
        chosen = [one for one in found if verification in ("", one.verification)]
        return sorted(chosen, key=lambda one: one.order)

    def missing(self, document: str, verification: str = "") -> list[Requirement]:
        """What nothing explains."""
        return [one for one in self.binding(document, verification) if not self.proof(one).explained]

    def proof(self, requirement: Requirement) -> Proof:
        return self.proofs.get((requirement.document, requirement.number), Proof())


def _add(places: list[str], place: str) -> None:
    if place not in places:
        places.append(place)


def pages(table: Table) -> dict[str, str]:
    """The generated files by name."""
    found = {f"{document.lower()}.rst": _page(table, document) for document in DOCUMENTS}
    found["index.rst"] = _index(table)
    return found


_HEAD = """{title}
{line}

Generated by ``python -m tests.support.requirements``; do not edit. Numbers and sections are those of Microsoft's
requirement specification of {document}.

"""


def _page(table: Table, document: str) -> str:
    lines = [_HEAD.format(title=document, line="=" * len(document), document=document).rstrip(), ""]
    for title, verification in (
        ("Proved by tests", "Test Case"),
        ("Kept by the checker of answers", "Adapter"),
    ):
        lines += [title, "-" * len(title), "", ".. csv-table::", "   :header: Section, Id, Module, Proof"]
        lines += ["   :widths: 12, 10, 28, 50", ""]
        for one in table.binding(document, verification):
            proof = table.proof(one)
            modules = proof.modules or modules_of(one.document, one.section, one.text)
            row = one.section, one.id, ", ".join(sorted(modules)), _explained(proof)
            lines.append("   " + ",".join(_quoted(value) for value in row))
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _explained(proof: Proof) -> str:
    if proof.reasons:
        return proof.reasons[0]
    parts = [f"rule {name}" for name in proof.rules] + sorted(proof.tests)
    return "; ".join(parts) if parts else "unexplained"


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""').replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`") + '"'


def _index(table: Table) -> str:
    title = "Microsoft's requirements"
    lines = [
        title,
        "=" * len(title),
        "",
        "Generated by ``python -m tests.support.requirements``; do not edit.",
        "",
        "Every requirement that binds the server, with the module that keeps it and what proves it: a test that",
        "cites it, a rule of the checker through which the tests pass every answer, or the reason why it does not",
        "apply.",
        "",
        ".. csv-table::",
        "   :header: Document, Test cases, by a test, by a reason, Adapter, by a rule or test, by a reason",
        "",
    ]
    for document in DOCUMENTS:
        row = [f"`{document} <{document.lower()}.rst>`_"]
        for verification in ("Test Case", "Adapter"):
            proofs = [table.proof(one) for one in table.binding(document, verification)]
            kept = sum(bool(one.tests or one.rules) for one in proofs)
            row += [str(len(proofs)), str(kept), str(sum(bool(one.reasons) for one in proofs))]
        lines.append("   " + ", ".join(row))
    lines += ["", "The rules of the checker", "-" * 24, ""]
    for name, says in RULES.items():
        lines += [f"{name}", f"    {says}"]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """See the module's docstring. :return: the exit code: 1 when something is cited that does not exist."""
    flags = {one for one in arguments if one.startswith("--")}
    named = [one for one in arguments if one.startswith("MS-")] or list(DOCUMENTS)
    sections = [one for one in arguments if not one.startswith(("--", "MS-"))]
    table = Table()
    for error in table.errors:
        print(error, file=sys.stderr)
    if flags & {"--missing", "--all"}:
        verification = "Adapter" if "--adapter" in flags else "Test Case"
        find = table.missing if "--missing" in flags else table.binding
        count = 0
        for document in named:
            for one in find(document, verification):
                if sections and not any(_below(one.section, section) for section in sections):
                    continue
                count += 1
                said = f" {_explained(table.proof(one))}" if "--all" in flags else ""
                text = f" {one.text}" if "--text" in flags else ""
                print(f"{document} {one.section} {one.id}{said}{text}")
        print(f"{count} requirements ({verification})", file=sys.stderr)
    else:
        for name, content in pages(table).items():
            (PAGES / name).write_text(content, encoding="utf-8")
        for document in DOCUMENTS:
            counts = [f"{len(table.missing(document, kind))} {kind}" for kind in ("Test Case", "Adapter")]
            print(f"{document}: unexplained: {', '.join(counts)}")
    return 1 if table.errors else 0


def _below(section: str, above: str) -> bool:
    return section == above or section.startswith(above + ".")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
