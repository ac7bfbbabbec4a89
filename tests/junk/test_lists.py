"""Block lists: the question for every kind of address, and what answers count."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.junk.lists import Zone, is_error, parse_zone, question, weighs

ZEN = Zone("zen.example", ((2, 3), (10, 11)), 5.0)


class ListTests(SynchronousTestCase):
    def test_zones_as_they_are_written(self) -> None:
        self.assertEqual(parse_zone("zen.example"), Zone("zen.example", ((2, 255),), 4.0))
        self.assertEqual(parse_zone("Zen.Example=2-3,127.0.0.10-11:5"), ZEN)
        self.assertEqual(parse_zone("zen.example:1.5").points, 1.5)
        for wrong in (
            "",
            "zen",
            "zen.example=",
            "zen.example=0",
            "zen.example=9-2",
            "zen.example=256",
            "a..b",
            "zen.example:",
            "zen.example=1.2.3.4",
            "zen example",
            "x" * 500 + ".example",
        ):
            self.assertRaises(ValueError, parse_zone, wrong)

    def test_the_question(self) -> None:
        self.assertEqual(question("8.1.2.3", ZEN), "3.2.1.8.zen.example")
        self.assertEqual(
            question("2a00:1450::1", ZEN),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.4.1.0.0.a.2.zen.example",
        )
        self.assertEqual(question("::ffff:8.1.2.3", ZEN), "3.2.1.8.zen.example")

    def test_nobody_is_asked_about_what_is_not_public(self) -> None:
        for address in (
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "::1",
            "fe80::1%eth0",
            "fd00::1",
            "nonsense",
            "",
        ):
            self.assertIsNone(question(address, ZEN), address)

    def test_only_wanted_codes_count(self) -> None:
        for record, expected in (
            ("127.0.0.2", True),
            ("127.0.0.11", True),
            ("127.0.0.4", False),
            ("127.0.1.2", False),
            ("93.184.216.34", False),
            ("127.255.255.2", False),
        ):
            self.assertIs(weighs((record,), ZEN), expected, record)
        self.assertTrue(weighs(("127.0.0.4", "127.0.0.10"), ZEN))
        self.assertFalse(weighs((), ZEN))

    def test_a_list_that_does_not_serve_us_is_known(self) -> None:
        self.assertTrue(is_error(("127.255.255.254",)))
        self.assertFalse(is_error(("127.0.0.2",)))
        self.assertFalse(weighs(("127.255.255.254",), parse_zone("zen.example")))
