"""The decoder: grammar, leniency and limits."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed, TooLarge
from posthouse.wbxml import (
    Document,
    E,
    Element,
    Limits,
    decode,
    decode_document,
    decode_steps,
    encode,
)
from posthouse.wbxml.tags import AirSync, AirSyncBase, Contacts, Email

HEADER = bytes.fromhex("03016A00")


def hexed(text: str, header: bytes = HEADER) -> bytes:
    return header + bytes.fromhex(text)


class GrammarTests(SynchronousTestCase):
    """Each kind of token, inside a Sync element (0x45) as a rule."""

    def check(self, text: str, tree: Element, header: bytes = HEADER) -> Document:
        document = decode_document(hexed(text, header))
        self.assertEqual(document.root, tree)
        return document

    def test_root_without_content(self) -> None:
        self.check("05", E(AirSync.Sync))

    def test_root_with_nothing_in_its_content(self) -> None:
        self.check("45 01", E(AirSync.Sync))

    def test_root_of_text_alone(self) -> None:
        self.check("45 03 61 00 01", E(AirSync.Sync, "a"))

    def test_empty_string_is_no_content(self) -> None:
        root = decode(hexed("45 4E 03 00 01 4E C3 00 01 01"))
        self.assertEqual([child.content for child in root.children], [None, None])

    def test_empty_string_before_a_page_switch(self) -> None:
        self.check("45 4E 03 00 00 11 06 01 01", E(AirSync.Sync, E(AirSync.Status, E(AirSyncBase.Type))))

    def test_text_of_one_byte_before_a_child(self) -> None:
        self.check("45 47 03 61 00 0E 01 01", E(AirSync.Sync, E(AirSync.Add, "a", E(AirSync.Status))))

    def test_pieces_of_content_are_joined_around_children(self) -> None:
        self.check(
            "45 47 03 61 00 03 62 00 4E 03 31 00 03 32 00 01 03 63 00 01 03 64 00 01",
            E(AirSync.Sync, "d", E(AirSync.Add, "abc", E(AirSync.Status, "12"))),
        )

    def test_opaque_is_bytes_and_may_hold_any_token(self) -> None:
        self.check(
            "45 5D C3 05 00 01 03 C3 45 01 01", E(AirSync.Sync, E(AirSync.ApplicationData, b"\0\1\3\xc3\x45"))
        )

    def test_text_beside_opaque_becomes_bytes(self) -> None:
        self.check("45 03 61 00 C3 01 FF C3 01 FE 01", E(AirSync.Sync, b"a\xff\xfe"))

    def test_entities_are_characters(self) -> None:
        self.check("45 02 81 20 02 26 02 87 E8 08 01", E(AirSync.Sync, "\xa0&\U0001f408"))

    def test_entities_that_are_no_characters_are_replaced(self) -> None:
        # NUL, the surrogate D800, and one beyond U+10FFFF.
        self.check("45 02 00 02 83 B0 00 02 C4 80 00 01", E(AirSync.Sync, "\ufffd\ufffd\ufffd"))

    def test_string_table_references(self) -> None:
        header = bytes.fromhex("03016A07") + b"one\0tw\0"
        self.check("45 83 00 83 04 83 01 01", E(AirSync.Sync, "onetwne"), header)

    def test_string_table_reference_to_nothing_is_malformed(self) -> None:
        for header in (bytes.fromhex("03016A00"), bytes.fromhex("03016A03") + b"abc"):
            with self.assertRaises(Malformed):
                decode(hexed("45 83 00 01", header))

    def test_literals_are_skipped_with_content_and_attributes(self) -> None:
        header = bytes.fromhex("03016A04") + b"own\0"
        document = self.check(
            "45 04 00  44 00 4E 03 31 00 01 01  84 00 05 01  C4 00 05 01 03 61 00 01  0E 01",
            E(AirSync.Sync, E(AirSync.Status)),
            header,
        )
        self.assertEqual(document.skipped, ("literal 'own'",))

    def test_attributes_are_dropped(self) -> None:
        # Attribute start, value, inline string, entity, table reference, extensions, opaque, page switch.
        header = bytes.fromhex("03016A02") + b"a\0"
        attributes = "05 85 03 61 00 02 26 83 00 04 00 40 61 00 80 07 C0 C3 02 01 01 00 07 06 01"
        self.check(
            f"C5 {attributes} 8E {attributes} CE {attributes} 03 31 00 01 01",
            E(AirSync.Sync, E(AirSync.Status), E(AirSync.Status, "1")),
            header,
        )

    def test_attribute_page_is_apart_from_the_tag_page(self) -> None:
        self.check("45 8E 00 11 05 01 0E 01", E(AirSync.Sync, E(AirSync.Status), E(AirSync.Status)))

    def test_structure_among_attributes_is_malformed(self) -> None:
        for token in ("43", "44", "84", "C4"):
            with self.assertRaises(Malformed):
                decode(hexed(f"C5 05 {token} 00 01 01"))

    def test_processing_instructions_are_passed_over(self) -> None:
        pi = "43 05 03 61 00 01"
        self.check(f"{pi} 45 {pi} 0E {pi} 01 {pi}", E(AirSync.Sync, E(AirSync.Status)))

    def test_extension_tokens_are_passed_over(self) -> None:
        self.check(
            "45 40 61 00 41 00 42 00 80 00 81 81 00 82 7F C0 C1 C2 0E 01", E(AirSync.Sync, E(AirSync.Status))
        )

    def test_page_switch_before_the_root_and_twice(self) -> None:
        self.check("00 02 00 01 45 01", E(Contacts.Anniversary))

    def test_invalid_utf8_is_replaced(self) -> None:
        # "a", a stray byte, an encoded surrogate.
        self.check(
            "45 4E 03 61 FF 00 01 4E 03 FF 00 01 01",
            E(AirSync.Sync, E(AirSync.Status, "a\ufffd"), E(AirSync.Status, "\ufffd")),
        )
        self.assertEqual(decode(hexed("45 03 ED A0 80 00 01")).content, "\ufffd" * 3)

    def test_unexpected_tokens_are_malformed(self) -> None:
        for text in ("01", "03 61 00", "C3 00", "45 01 45 01", "45 01 01"):
            with self.assertRaises(Malformed, msg=text):
                decode(hexed(text))


class HeaderTests(SynchronousTestCase):
    def test_versions_and_public_identifiers(self) -> None:
        for version in (1, 2, 3):
            document = decode_document(bytes((version, 1, 0x6A, 0, 5)))
            self.assertEqual(document, Document(E(AirSync.Sync), (), (1, version), 1))
        self.assertEqual(decode_document(bytes.fromhex("03 8F 51 6A 00 05")).public_id, 0x7D1)

    def test_public_identifier_by_string(self) -> None:
        document = decode_document(bytes.fromhex("03 00 00 6A 03") + b"-x\0" + b"\x05")
        self.assertEqual((document.root, document.public_id), (E(AirSync.Sync), 0))

    def test_public_identifier_outside_the_table_is_malformed(self) -> None:
        with self.assertRaises(Malformed):
            decode(bytes.fromhex("03 00 03 6A 03") + b"-x\0" + b"\x05")

    def test_unknown_versions_are_malformed(self) -> None:
        for version in (0, 4, 0x13, 0x3C, 0xFF):
            with self.assertRaises(Malformed):
                decode(bytes((version, 1, 0x6A, 0, 5)))

    def test_charsets(self) -> None:
        for charset, text in ((0, "ü"), (3, "ü"), (106, "ü"), (4, "Ã¼")):
            data = bytes((3, 1, charset, 0)) + b"\x45\x03\xc3\xbc\0\x01"
            self.assertEqual(decode(data), E(AirSync.Sync, text))

    def test_other_charsets_are_malformed(self) -> None:
        # 1000 is UCS-2, whose strings do not end with one NUL.
        for charset in ("87 68", "11"):
            with self.assertRaises(Malformed):
                decode(bytes.fromhex(f"0301 {charset} 00 05"))

    def test_string_table_cut_off_is_malformed(self) -> None:
        with self.assertRaises(Malformed):
            decode(bytes.fromhex("03016A20") + b"abc\0\x05")


class UnknownTests(SynchronousTestCase):
    """What other protocol versions know is skipped with its content."""

    def test_unknown_token(self) -> None:
        # 0x11 is the Version of protocol 1.0; its content is known, but goes with it.
        document = decode_document(hexed("45 0E 51 4E 03 31 00 01 03 61 00 01 11 91 05 01 0E 01"))
        self.assertEqual(document.root, E(AirSync.Sync, E(AirSync.Status), E(AirSync.Status)))
        self.assertEqual(document.skipped, ("AirSync:0x11",))

    def test_unknown_pages(self) -> None:
        # Page 254 occurs from Microsoft's own clients; 3 is obsolete.
        document = decode_document(hexed("45 00 FE 45 46 03 61 00 01 01 00 03 05 00 00 0E 01"))
        self.assertEqual(document.root, E(AirSync.Sync, E(AirSync.Status)))
        self.assertEqual(document.skipped, ("page 254:0x05", "page 254:0x06", "AirNotify:0x05"))

    def test_page_switch_inside_skipped_content_stays(self) -> None:
        root = decode(hexed("45 51 00 02 0F 01 0F 01"))
        self.assertEqual(root, E(AirSync.Sync, E(Email.DateReceived)))

    def test_unknown_root_is_malformed(self) -> None:
        for text in ("11", "51 01", "00 FE 45 01", "00 03 05"):
            with self.assertRaises(Malformed) as caught:
                decode(hexed(text))
            self.assertIn("unknown document element", caught.exception.cause)

    def test_the_list_of_skipped_things_is_bounded(self) -> None:
        body = b"".join(bytes((0, page, token)) for page in range(100, 150) for token in range(5, 60))
        document = decode_document(HEADER + b"\x45" + body + b"\x01")
        self.assertEqual(len(document.skipped), 64)


class LimitTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        data = hexed("45 03 61 00 01")
        decode(data, Limits(max_bytes=len(data)))
        with self.assertRaises(TooLarge):
            decode(data, Limits(max_bytes=len(data) - 1))

    def test_depth(self) -> None:
        for depth, opened in ((64, b"\x45"), (64, b"\x51")):
            data = HEADER + b"\x45" + opened * (depth - 1) + b"\x01" * depth
            decode(data)
            with self.assertRaises(TooLarge):
                decode(HEADER + b"\x45" + opened * depth + b"\x01" * (depth + 1))

    def test_tokens(self) -> None:
        data = HEADER + b"\x45" + b"\x0e" * 99 + b"\x01"
        decode(data, Limits(max_tokens=100))
        with self.assertRaises(TooLarge):
            decode(data, Limits(max_tokens=99))

    def test_string_table(self) -> None:
        data = bytes.fromhex("03016A05") + b"abcd\0\x05"
        decode(data, Limits(max_string_table=5))
        with self.assertRaises(TooLarge):
            decode(data, Limits(max_string_table=4))

    def test_attributes_of_the_whole_document(self) -> None:
        data = HEADER + b"\x45" + b"\x8e\x05\x85\x01" * 30 + b"\x01"
        decode(data, Limits(max_attributes=90))
        with self.assertRaises(TooLarge):
            decode(data, Limits(max_attributes=89))
        with self.assertRaises(TooLarge):
            decode(HEADER + b"\x43\x05\x01" * 10_000 + b"\x05")

    def test_page_switches_before_the_root(self) -> None:
        decode(HEADER + b"\x00\x00" * 99 + b"\x05")
        with self.assertRaises(TooLarge):
            decode(HEADER + b"\x00\x00" * 100 + b"\x05")

    def test_string_table_cannot_blow_a_document_up(self) -> None:
        table = b"x" * 60_000 + b"\0"
        header = bytes.fromhex("03016A83D461") + table
        data = header + b"\x45" + b"\x83\x00" * 1000 + b"\x01"
        with self.assertRaises(TooLarge):
            decode(data)

    def test_declared_lengths_are_not_believed(self) -> None:
        # 1 GB of opaque data, and the largest number there is.
        for text in ("45 C3 84 80 80 80 00 61 01", "45 C3 8F FF FF FF 7F 61 01", "45 4E C3 8F FF FF FF 7F"):
            with self.assertRaises(Malformed):
                decode(hexed(text))

    def test_integers_beyond_32_bits_are_malformed(self) -> None:
        for text in ("90 80 80 80 00", "80 80 80 80 80 00", "FF FF FF FF FF FF FF 7F"):
            for token in ("C3", "02", "83", "80"):
                with self.assertRaises(Malformed) as caught:
                    decode(hexed(f"45 {token} {text} 01"))
                self.assertIn("32 bits", caught.exception.cause)

    def test_integers_with_leading_zeros_are_accepted(self) -> None:
        self.assertEqual(decode(hexed("45 C3 80 80 80 80 01 61 01")), E(AirSync.Sync, b"a"))

    def test_many_pieces_of_text_take_linear_time(self) -> None:
        data = HEADER + b"\x45" + b"\x03aaaaaaaa\0" * 200_000 + b"\x01"
        started = time.process_time()
        root = decode(data)
        self.assertEqual(len(root.value), 1_600_000)
        # About 0.1 s; each added to the one before would take minutes.
        self.assertLess(time.process_time() - started, 10)


class TrailerTests(SynchronousTestCase):
    def test_padding_of_nuls_is_ignored(self) -> None:
        self.assertEqual(decode(hexed("45 0E 01 00 00 00")), E(AirSync.Sync, E(AirSync.Status)))

    def test_anything_else_is_malformed(self) -> None:
        for text in ("45 01 61", "05 05", "45 01 00 00 01"):
            with self.assertRaises(Malformed):
                decode(hexed(text))


class SliceTests(SynchronousTestCase):
    def test_a_large_document_pauses_and_gives_the_same(self) -> None:
        tree = E(AirSync.Sync, [E(AirSync.Add, E(AirSync.ServerId, number)) for number in range(100)])
        data = encode(tree)
        pauses = 0
        steps = decode_steps(data, tokens=10)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                document = finished.value
                break
            pauses += 1
        self.assertEqual(document, decode_document(data))
        self.assertEqual(document.root, tree)
        self.assertEqual(pauses, 30)

    def test_errors_come_through(self) -> None:
        with self.assertRaises(Malformed):
            for _ in decode_steps(HEADER + b"\x45" + b"\x0e" * 100, tokens=10):
                pass

    def test_any_bytes_like_object_is_accepted(self) -> None:
        self.assertEqual(decode(bytearray(HEADER + b"\x05")), E(AirSync.Sync))  # type: ignore[arg-type]
