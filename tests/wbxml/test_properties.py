"""What holds for all trees and all bytes."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.errors import Malformed
from posthouse.wbxml import E, Element, Encoder, Limits, decode, decode_document, encode, to_xml
from posthouse.wbxml.pages import TOKENS
from tests.wbxml.test_examples import EXAMPLES

tags = st.sampled_from(sorted(TOKENS))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\ufffe\uffff")).map(
    lambda text: re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)
)
contents = st.none() | texts | texts.map(lambda text: text * 50) | st.binary(max_size=300)
leaves = st.builds(Element, tags, contents)
trees = st.recursive(
    leaves,
    lambda children: st.builds(Element, tags, st.none() | contents, st.lists(children, max_size=5)),
    max_leaves=30,
)
documents = st.sampled_from([bytes.fromhex(text) for text, _ in EXAMPLES.values()])


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(trees)
    def test_decoding_what_was_encoded_gives_the_same_tree(self, tree: Element) -> None:
        document = decode_document(encode(tree))
        self.assertEqual(document.root, tree)
        self.assertEqual(document.skipped, ())
        # And once more, to the byte.
        self.assertEqual(encode(document.root), encode(tree))

    @settings(max_examples=50, deadline=None)
    @given(trees)
    def test_pieces_and_whole_are_the_same_bytes(self, tree: Element) -> None:
        encoder = Encoder()
        pieces = []

        def write(element: Element) -> None:
            encoder.start(element.tag)
            if isinstance(element.content, str):
                for character in element.content:
                    encoder.text(character)
                    pieces.append(encoder.take())
            elif element.content:
                encoder.opaque(element.content)
            for child in element.children:
                write(child)
            encoder.end()

        write(tree)
        pieces.append(encoder.take())
        self.assertEqual(b"".join(pieces), encode(tree))

    @settings(max_examples=50, deadline=None)
    @given(st.text(st.characters()))
    def test_any_text_arrives_without_forbidden_characters(self, text: str) -> None:
        kept = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", text)
        self.assertEqual(decode(encode(E("Email:Subject", text))).value, kept)

    @settings(max_examples=50, deadline=None)
    @given(trees, st.data())
    def test_every_truncation_is_malformed(self, tree: Element, data: st.DataObject) -> None:
        encoded = encode(tree)
        length = data.draw(st.integers(0, len(encoded) - 1))
        with self.assertRaises(Malformed):
            decode(encoded[:length])

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=200), st.booleans())
    def test_arbitrary_bytes_give_a_tree_or_malformed(self, data: bytes, header: bool) -> None:
        self.survives(b"\x03\x01\x6a\x00\x45" + data if header else data)

    @settings(max_examples=100, deadline=None)
    @given(documents | trees.map(encode), st.data())
    def test_mutations_give_a_tree_or_malformed(self, encoded: bytes, data: st.DataObject) -> None:
        mutant = bytearray(encoded)
        tokens = st.sampled_from(
            [0, 1, 2, 3, 4, 0x11, 0x40, 0x43, 0x44, 0x51, 0x80, 0x83, 0x84, 0xC3, 0xC5, 0xFE]
        )
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(mutant) - 1))
            byte = data.draw(tokens | st.integers(0, 255))
            if data.draw(st.booleans()):
                mutant[place] = byte
            else:
                mutant.insert(place, byte)
        self.survives(bytes(mutant))

    def survives(self, data: bytes) -> None:
        try:
            root = decode(data, Limits(max_depth=20, max_tokens=500))
        except Malformed:
            return
        # What was understood can be shown, written and read again.
        self.assertIsInstance(to_xml(root), str)
        self.assertIsInstance(repr(root), str)
        again = decode(encode(root))
        self.assertEqual(encode(again), encode(root))
