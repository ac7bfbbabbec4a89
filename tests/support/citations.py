"""Where tests and modules cite Microsoft's numbered requirements: the grammar of a citation, and its finding.

A citation stands in a docstring or a comment. A document's name (``MS-ASAIRS``, ``ASAIRS``) holds for the numbers
behind it until another document is named, a ``;`` comes, or the text ends; the numbers before any name, and those
behind a ``;``, belong to the default: MS-ASCMD, or what the docstring of the class or module says with the sentence
"Bare numbers are MS-ASAIRS."::

    MS-ASAIRS R346, R10030; R765          two of MS-ASAIRS, one of MS-ASCMD
    MS-ASCMD_R955, R961                   the name may be glued to the number
    R2066-R2069, R2066-2069, R12 to R15   every requirement that exists between the two (110 numbers at most)

A docstring or comment inside a function belongs to the function, as does a comment right above it; one inside a
class to the class, and what remains to the module.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]

#: The documents whose requirements bind the house today.
DOCUMENTS = (
    "MS-ASHTTP",
    "MS-ASWBXML",
    "MS-ASDTYPE",
    "MS-ASCMD",
    "MS-ASPROV",
    "MS-ASAIRS",
    "MS-ASEMAIL",
    "MS-ASCON",
)
DEFAULT = "MS-ASCMD"

_OTHERS = ("CAL", "CNTC", "DOC", "NOTE", "RM", "TASK")
_NAMES = "|".join([one.removeprefix("MS-AS") for one in DOCUMENTS] + list(_OTHERS))
_TOKEN = re.compile(
    rf"(?:MS-)?AS(?P<document>{_NAMES})(?=_R\d|[^A-Za-z0-9_]|$)"
    r"|(?P<end>;)"
    r"|(?<![A-Za-z0-9])R(?P<first>\d{1,8})(?:\s?(?:-|–|to\s)\s?(?P<full>R?)(?P<last>\d{1,8}))?(?![\w])"
)
_BARE = re.compile(r"Bare\s+numbers\s+are\s+(?:those\s+of\s+)?(MS-AS[A-Z]+)")
_LONGEST_RANGE = 110


@frozen
class Span:
    """Numbers cited: those of ``document`` from ``first`` to ``last``."""

    document: str
    first: int
    last: int


@frozen
class Citation:
    """Where (file, line, dotted name inside the file; "" for the module) something is cited."""

    span: Span
    path: str
    line: int
    name: str


class CitationError(ValueError):
    """Text that looks like a citation and is none."""


def spans(text: str, default: str = DEFAULT) -> Iterator[Span]:
    """The requirements that a text cites.

    :raises CitationError: for a range that runs backwards or is too long to be meant.
    """
    document = default
    for found in _TOKEN.finditer(text):
        if found["document"]:
            document = f"MS-AS{found['document']}"
        elif found["end"]:
            document = default
        else:
            first = int(found["first"])
            written = found["last"] or found["first"]
            last = int(written)
            if last < first and not found["full"]:  # R10032018 to 19
                last = int(found["first"][: -len(written)] + written)
            if not first <= last <= first + _LONGEST_RANGE:
                raise CitationError(f"no range: {found[0]}")
            yield Span(document, first, last)


def citations(path: Path) -> Iterator[Citation]:
    """All citations in a Python file.

    :raises CitationError: naming file and line.
    """
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    name = path.relative_to(ROOT).as_posix()
    scopes = list(_scopes(tree, "", default_of(tree, DEFAULT)))
    for scope in scopes:
        if scope.text:
            yield from _cited(scope.text, scope.default, name, scope.text_line, scope.name)
    comments: dict[int, str] = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and re.search(r"\dR?|R\d", token.string)
    }
    own_line = {number for number in comments if source.splitlines()[number - 1].lstrip().startswith("#")}
    for number, text in comments.items():
        below = number
        while below in own_line:
            below += 1
        inner = [one for one in scopes if one.first <= number <= one.last or one.first == below]
        scope = max(inner, key=lambda one: one.first, default=scopes[0])
        yield from _cited(text, scope.default, name, number, scope.name)


@frozen
class _Scope:
    name: str
    default: str
    first: int
    last: int
    text: str
    text_line: int


def default_of(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, above: str) -> str:
    """Which document a bare number means in there."""
    found = _BARE.search(ast.get_docstring(node, clean=False) or "")
    return found[1] if found else above


def _scopes(node: ast.AST, name: str, default: str) -> Iterator[_Scope]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        default = default_of(node, default)
        first = 1
        if not isinstance(node, ast.Module):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        last = getattr(node, "end_lineno", None) or 1 << 30
        text = ast.get_docstring(node, clean=False) or ""
        yield _Scope(name, default, first, last, text, node.body[0].lineno if node.body else 1)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inside = f"{name}.{child.name}".lstrip(".")
            # A function inside a test is the test's own.
            yield from _scopes(child, name if _is_function(node) else inside, default)
        elif not isinstance(child, ast.expr):
            yield from _scopes(child, name, default)


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _cited(text: str, default: str, path: str, line: int, name: str) -> Iterator[Citation]:
    try:
        for span in spans(text, default):
            yield Citation(span, path, line, name)
    except CitationError as error:
        raise CitationError(f"{path}:{line}: {error}") from None


def test_files() -> Iterator[Path]:
    """Every file of tests; the meta tests prove nothing of a protocol."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.parent.name != "meta":
            yield path


def source_files() -> Iterator[Path]:
    """Every module of the product."""
    yield from sorted((ROOT / "src" / "posthouse").rglob("*.py"))
