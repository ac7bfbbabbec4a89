"""XML in, XML out."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.autodiscover.pox import MOBILESYNC, Question, answer, nobody, parse, refusal
from posthouse.errors import Malformed, TooLarge
from tests.support.eas_checker import check_autodiscover

REQUEST = f"""<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006">
  <Request>
    <EMailAddress> ann@example.org </EMailAddress>
    <AcceptableResponseSchema>{MOBILESYNC}</AcceptableResponseSchema>
  </Request>
</Autodiscover>"""


class ParseTests(SynchronousTestCase):
    def test_a_request_in_any_encoding(self) -> None:
        for body in (
            REQUEST.encode(),
            b"\xef\xbb\xbf" + REQUEST.encode(),
            REQUEST.replace("utf-8", "utf-16").encode("utf-16"),
            REQUEST.replace("utf-8", "iso-8859-1").encode("latin-1"),
        ):
            self.assertEqual(parse(body), Question("ann@example.org", MOBILESYNC))

    def test_namespaces_may_be_missing_or_prefixed(self) -> None:
        bare = "<Autodiscover><Request><EMailAddress>a@b</EMailAddress>"
        bare += "<AcceptableResponseSchema>s</AcceptableResponseSchema></Request></Autodiscover>"
        self.assertEqual(parse(bare.encode()), Question("a@b", "s"))
        prefixed = bare.replace("<", "<x:").replace("<x:/", "</x:").replace("r>", 'r xmlns:x="u">', 1)
        self.assertEqual(parse(prefixed.encode()), Question("a@b", "s"))

    def test_more_than_one_request_is_invalid(self) -> None:
        # MS-ASCMD_R3799
        inner = REQUEST[REQUEST.index("<Request>") : REQUEST.index("</Autodiscover>")]
        self.assertRaises(Malformed, parse, REQUEST.replace(inner, inner * 2).encode())
        self.assertRaises(Malformed, parse, REQUEST.replace(inner, "").encode())

    def test_address_and_schema_are_required(self) -> None:
        for name in ("EMailAddress", "AcceptableResponseSchema"):
            self.assertRaises(Malformed, parse, REQUEST.replace(name, "Other").encode())

    def test_document_types_and_entities_are_refused(self) -> None:
        for doctype in (
            "<!DOCTYPE a>",
            '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
            '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]>',
            '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        ):
            body = REQUEST.replace("?>\n", f"?>\n{doctype}\n").replace("ann@", "&b;@")
            self.assertRaises(Malformed, parse, body.encode())

    def test_large_requests_are_refused(self) -> None:
        for body in (
            b"<a>" * 100,
            b"<Autodiscover>" + b"<a/>" * 100 + b"</Autodiscover>",
            b"<a>" + b"x" * 5000 + b"</a>",
            b" " * 70_000,
        ):
            self.assertRaises(TooLarge, parse, body)

    @settings(max_examples=100)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=100).map(lambda t: REQUEST.replace("ann", t).encode("utf-8", "replace")),
        )
    )
    def test_any_bytes_are_a_question_or_malformed(self, body: bytes) -> None:
        try:
            self.assertTrue(parse(body).schema)
        except Malformed:
            pass


class AnswerTests(SynchronousTestCase):
    def test_the_namespaces_are_those_that_phones_look_for(self) -> None:
        check_autodiscover(answer("ann@example.org", "Ann", "https://a/eas"))
        check_autodiscover(nobody("ann@example.org"))
        root = ElementTree.fromstring(answer("ann@example.org", "Ann", "https://a/eas"))
        self.assertEqual(
            root.tag, "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}Autodiscover"
        )
        tags = [element.tag for element in root.iter()][1:]
        self.assertEqual({tag.partition("}")[0][1:] for tag in tags}, {MOBILESYNC})
        self.assertEqual(
            [tag.partition("}")[2] for tag in tags],
            re.findall(
                r"\w+", "Response Culture User DisplayName EMailAddress Action Settings Server Type Url Name"
            ),
        )
        found = {element.tag.partition("}")[2]: element.text for element in root.iter()}
        self.assertEqual((found["Type"], found["Url"], found["Name"]), ("MobileSync", *["https://a/eas"] * 2))

    def test_an_error_is_in_the_frames_namespace(self) -> None:
        check_autodiscover(refusal(600, "a.example", 1_790_000_000_000))
        root = ElementTree.fromstring(refusal(600, "a.example", 1_790_000_000_000))
        frame = "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}"
        self.assertEqual({element.tag.partition("}")[0] + "}" for element in root.iter()}, {frame})
        self.assertEqual(root.findtext(f"{frame}Response/{frame}Error/{frame}ErrorCode"), "600")

    @settings(max_examples=80)
    @given(st.text(max_size=60))
    def test_any_name_makes_a_document(self, name: str) -> None:
        ElementTree.fromstring(answer("a@b", name + "<&>\"'\x00\ud800\ufffe", "https://a/?a&b"))
