"""What MS-ASCMD 2.2.1.1 and 2.2.3.120.1 to 2.2.3.177.1 ask of an Autodiscover answer."""

from __future__ import annotations

from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from posthouse.autodiscover.pox import MOBILESYNC
from tests.autodiscover.test_pox import REQUEST
from tests.autodiscover.test_resources import GOOD, _wire
from tests.support.eas_checker import check_autodiscover

FRAME = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"


class AnswerTests(SynchronousTestCase):
    def post(self, body: str, kind: str = "text/xml") -> ElementTree.Element:
        wire = _wire().get(
            "/Autodiscover/Autodiscover.xml", f"Content-Type: {kind}", GOOD, method="POST", body=body.encode()
        )
        self.assertEqual(wire.status, 200)
        check_autodiscover(wire.body)
        return ElementTree.fromstring(wire.body)

    def test_success_names_the_server_and_says_no_status(self) -> None:
        """R3482, R3484 (Name is the URL of a MobileSync server), R4001, R5823 (en:us)."""
        root = self.post(REQUEST)
        tags = [element.tag.partition("}")[2] for element in root.iter()]
        self.assertNotIn("Status", tags)
        self.assertNotIn("Error", tags)
        found = {element.tag.partition("}")[2]: element.text for element in root.iter()}
        self.assertEqual(found["Type"], "MobileSync")
        self.assertEqual(found["Name"], "https://mail.example.org/Microsoft-Server-ActiveSync")
        self.assertEqual(found["Culture"], "en:us")

    def test_both_types_of_content_are_taken(self) -> None:
        """R5718, R5123."""
        for kind in ("text/xml", "text/html", "text/xml; charset=utf-8"):
            root = self.post(REQUEST, kind)
            self.assertIsNotNone(root.find(f"{{{MOBILESYNC}}}Response"), kind)

    def test_an_address_of_nobody_is_an_error_with_a_status_that_is_no_success(self) -> None:
        """R3818, R4001, as Microsoft's case asks it."""
        root = self.post(REQUEST.replace("ann@", "nobody@"))
        error = root.find(f"{{{MOBILESYNC}}}Response/{{{MOBILESYNC}}}Action/{{{MOBILESYNC}}}Error")
        assert error is not None
        self.assertEqual(error.findtext(f"{{{MOBILESYNC}}}Status"), "2")

    def test_an_error_of_the_frame_stands_in_its_response(self) -> None:
        """R3818."""
        for body in ("<broken", REQUEST.replace("mobilesync/responseschema", "nobody/responseschema")):
            response = self.post(body).find(f"{{{FRAME}}}Response")
            assert response is not None
            self.assertEqual([one.tag for one in response], [f"{{{FRAME}}}Error"])
