"""Both forms of the query string."""

from base64 import b64encode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.eas.query import CODES, parse_query
from posthouse.errors import Malformed, TooLarge


class PlainTests(SynchronousTestCase):
    def test_all_parameters_in_any_letter_case(self) -> None:
        query = parse_query(
            b"cmd=smartreply&USER=a%40example.org&deviceID=AB12&DeviceType=iPhone&collectionid=5&ITEMID=7"
            b"&SaveInSent=T&longid=L%2F1&Occurrence=2&AttachmentName=7%3A2.1"
        )
        self.assertEqual(
            (query.command, query.user, query.device_id, query.device_type),
            ("SmartReply", "a@example.org", "AB12", "iPhone"),
        )
        self.assertEqual(
            (query.collection_id, query.item_id, query.long_id, query.occurrence, query.attachment_name),
            ("5", "7", "L/1", "2", "7:2.1"),
        )
        self.assertTrue(query.save_in_sent)
        self.assertFalse(query.encoded)

    def test_save_in_sent_is_off_by_default(self) -> None:
        self.assertFalse(parse_query(b"Cmd=SendMail&DeviceId=a&DeviceType=b").save_in_sent)  # R122
        self.assertFalse(parse_query(b"Cmd=SendMail&SaveInSent=F").save_in_sent)

    def test_an_unknown_command_is_kept_as_it_was_written(self) -> None:
        self.assertEqual(parse_query(b"Cmd=Teleport&DeviceId=a").command, "Teleport")

    def test_the_first_of_two_values_counts(self) -> None:
        self.assertEqual(parse_query(b"Cmd=Sync&DeviceId=a&DeviceId=b").device_id, "a")

    def test_a_plus_sign_stays(self) -> None:
        self.assertEqual(parse_query(b"Cmd=Sync&User=a+b@example.org").user, "a+b@example.org")

    def test_a_missing_device_id_is_not_valid(self) -> None:
        self.assertFalse(parse_query(b"Cmd=Sync").device_id_valid)
        self.assertFalse(parse_query(b"Cmd=Sync&DeviceId=a,b").device_id_valid)
        self.assertFalse(parse_query(b"Cmd=Sync&DeviceId=%3Cb%3E").device_id_valid)
        self.assertTrue(parse_query(b"Cmd=Sync&DeviceId=validateAndroid123").device_id_valid)

    def test_control_characters_are_refused(self) -> None:
        self.assertRaises(Malformed, parse_query, b"Cmd=Sync&User=a%0D%0Ab")

    def test_a_long_query_is_refused(self) -> None:
        self.assertRaises(TooLarge, parse_query, b"Cmd=Sync&User=" + b"a" * 9000)
        self.assertRaises(TooLarge, parse_query, b"Cmd=Sync&User=" + b"a" * 2000)


class EncodedTests(SynchronousTestCase):
    def test_the_example_of_the_specification(self) -> None:
        """MS-ASHTTP R18."""
        query = parse_query(b"jAAJBAp2MTQwRGV2aWNlAApTbWFydFBob25l")
        self.assertEqual(query.version, (14, 0))
        self.assertEqual(query.command, "Sync")
        self.assertEqual(query.locale, 0x0409)
        self.assertEqual((query.device_id, query.device_type), ("v140Device", "SmartPhone"))
        self.assertIs(query.policy_key, None)
        self.assertTrue(query.encoded)

    def encoded(self, tail: bytes = b"", key: bytes = b"\0", code: int = 19) -> bytes:
        data = bytes([161, code, 9, 4, 2]) + b"d1" + key + b"\x06iPhone" + tail
        return b64encode(data)

    def test_policy_key_and_parameters(self) -> None:
        tail = (
            b"\x00\x03a:1"
            + b"\x01\x015"
            + b"\x03\x017"
            + b"\x04\x01L"
            + b"\x06\x012"
            + b"\x07\x01\x03"
            + b"\x08\x01u"
        )
        query = parse_query(self.encoded(tail, b"\x04\x2a\0\0\x80"))
        self.assertEqual(query.version, (16, 1))
        self.assertEqual(query.command, "ItemOperations")
        self.assertEqual(query.policy_key, 0x8000002A)
        self.assertEqual(
            (query.attachment_name, query.collection_id, query.item_id, query.long_id, query.occurrence),
            ("a:1", "5", "7", "L", "2"),
        )
        self.assertEqual(query.user, "u")
        self.assertTrue(query.save_in_sent)
        self.assertTrue(query.accept_multipart)

    def test_a_guid_is_shown_as_digits(self) -> None:
        data = bytes([141, 0, 9, 4, 16]) + bytes(range(240, 256)) + b"\0\x02PP"
        self.assertEqual(parse_query(b64encode(data)).device_id, bytes(range(240, 256)).hex())

    def test_padding_may_be_missing_or_escaped(self) -> None:
        full = self.encoded()
        self.assertEqual(parse_query(full.rstrip(b"=")), parse_query(full))
        self.assertEqual(parse_query(full.replace(b"=", b"%3D").replace(b"/", b"%2F")), parse_query(full))
        self.assertEqual(parse_query(full.replace(b"+", b"-").replace(b"/", b"_")), parse_query(full))

    def test_a_policy_key_of_another_size_is_refused(self) -> None:
        self.assertRaises(Malformed, parse_query, self.encoded(key=b"\x02\0\0"))

    def test_every_truncation_is_refused_or_shorter(self) -> None:
        data = bytes([161, 0, 9, 4, 2]) + b"d1\0\x06iPhone"
        for size in range(1, len(data)):
            self.assertRaises(Malformed, parse_query, b64encode(data[:size]))

    def test_an_unknown_code_is_no_command(self) -> None:
        self.assertNotIn(parse_query(self.encoded(code=99)).command, CODES.values())


class FuzzTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=300))
    def test_any_bytes_give_a_query_or_malformed(self, data: bytes) -> None:
        for raw in (data, b64encode(data), b"Cmd=" + data):
            try:
                query = parse_query(raw)
            except Malformed:
                continue
            self.assertLessEqual(len(query.user), 1024)
