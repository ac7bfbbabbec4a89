"""A query in, JSON out."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.autodiscover.v2 import find

PROTOCOLS = {"ActiveSync": "https://a/eas", "AutodiscoverV1": "https://a/pox"}


class FindTests(SynchronousTestCase):
    def test_names_and_protocols_in_any_case(self) -> None:
        for name in (b"Email", b"email", b"EMAIL"):
            for protocol in (b"ActiveSync", b"activesync", b"ACTIVESYNC"):
                found = find({name: [b"a@b.example"], b"pRotocol": [protocol]}, [], PROTOCOLS)
                self.assertEqual(found.code, 200)
                self.assertEqual(found.body, {"Protocol": "ActiveSync", "Url": "https://a/eas"})

    def test_the_address_may_stand_in_the_path(self) -> None:
        found = find({b"Protocol": [b"AutodiscoverV1"]}, [b"V1.0", b"a@b.example"], PROTOCOLS)
        self.assertEqual(found.body, {"Protocol": "AutodiscoverV1", "Url": "https://a/pox"})
        self.assertEqual(find({b"Protocol": [b"ActiveSync"]}, [b"v9", b"a@b"], PROTOCOLS).code, 404)

    def test_what_is_missing_is_named(self) -> None:
        for query in (
            {},
            {b"Email": [b"nobody"], b"Protocol": [b"ActiveSync"]},
            {b"Email": [b"x" * 999 + b"@b"]},
        ):
            found = find(query, [], PROTOCOLS)
            self.assertEqual((found.code, found.body["ErrorCode"]), (400, "MandatoryParameterMissing"))
            self.assertIn("smtp address", found.body["ErrorMessage"])
        found = find({b"Email": [b"a@b"]}, [], PROTOCOLS)
        self.assertEqual((found.code, found.body["ErrorCode"]), (400, "MandatoryParameterMissing"))
        self.assertIn("Protocol", found.body["ErrorMessage"])

    def test_other_protocols(self) -> None:
        for protocol, code in ((b"Ews", "ProtocolNotSupported"), (b"<script>", "InvalidProtocol")):
            found = find({b"Email": [b"a@b"], b"Protocol": [protocol]}, [], PROTOCOLS)
            self.assertEqual((found.code, found.body["ErrorCode"]), (400, code))
            self.assertNotIn("<", json.dumps(found.body))

    def test_the_first_of_two_values_counts(self) -> None:
        query = {b"Email": [b"a@b"], b"Protocol": [b"ActiveSync", b"x"], b"protocol": [b"y"]}
        self.assertEqual(find(query, [], PROTOCOLS).code, 200)

    @settings(max_examples=100)
    @given(
        st.dictionaries(
            st.sampled_from([b"Email", b"PROTOCOL", b"x"]), st.lists(st.binary(max_size=20), max_size=2)
        ),
        st.lists(st.binary(max_size=10), max_size=3),
    )
    def test_any_query_is_answered(self, query: dict[bytes, list[bytes]], path: list[bytes]) -> None:
        found = find(query, path, PROTOCOLS)
        self.assertIn(found.code, (200, 400, 404))
        json.dumps(found.body)
