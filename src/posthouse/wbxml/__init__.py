"""WBXML for ActiveSync: bytes to element tree and back (MS-ASWBXML, W3C WBXML 1.1-1.3).

`decode` and `encode` are pure functions; `tags` holds the constants, `tree` the element.
"""

from posthouse.wbxml.decode import DEFAULT, Document, Limits, decode, decode_document, decode_steps
from posthouse.wbxml.encode import Encoder, encode
from posthouse.wbxml.tree import SECRET_TAGS, E, Element, Utf8, to_xml

__all__ = [
    "DEFAULT",
    "SECRET_TAGS",
    "Document",
    "E",
    "Element",
    "Encoder",
    "Limits",
    "Utf8",
    "decode",
    "decode_document",
    "decode_steps",
    "encode",
    "to_xml",
]
