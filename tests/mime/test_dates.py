"""Dates of all kinds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from posthouse.mime.dates import format_date, parse_date


class ParseTests(SynchronousTestCase):
    def check(self, value: str, *expected: int) -> None:
        moment = datetime(*expected, tzinfo=UTC)  # type: ignore[arg-type]
        self.assertEqual(parse_date(value), int(moment.timestamp()) * 1000, value)

    def test_forms(self) -> None:
        self.check("Mon, 6 Jun 2005 22:21:22 +0200", 2005, 6, 6, 20, 21, 22)
        self.check("6 Jun 05 22:21 GMT", 2005, 6, 6, 22, 21)
        self.check("Sunday, 06-Nov-94 08:49:37 GMT", 1994, 11, 6, 8, 49, 37)
        self.check("Sun Nov  6 08:49:37 1994", 1994, 11, 6, 8, 49, 37)
        self.check("Tue May 10 11:26:02 EDT 2005", 2005, 5, 10, 15, 26, 2)
        self.check("2005-06-06T22:21:22Z", 2005, 6, 6, 22, 21, 22)
        self.check("2005-06-06 22:21:22.123 +02:00", 2005, 6, 6, 20, 21, 22)
        self.check("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 1997, 11, 21, 15, 55, 6)
        self.check("Tue, 21 Apr 2020 15:40:22 +0200 (CEST)", 2020, 4, 21, 13, 40, 22)
        self.check("Tue, 12 Oct 2010 16.21.05 PST", 2010, 10, 13, 0, 21, 5)
        self.check("12 Oct 2010 4:21:05 PM", 2010, 10, 12, 16, 21, 5)
        self.check("Tue, 1 July 103 10:52:37 -0000", 2003, 7, 1, 10, 52, 37)
        self.check("31 Dec 2016 23:59:60 +0000", 2016, 12, 31, 23, 59, 59)
        self.check("1 Jan 2020 00:00:00 +9999", 2020, 1, 1)
        self.check("1 Jan 2020", 2020, 1, 1)

    def test_garbage_is_none(self) -> None:
        for value in (
            "", "<HR>", "yesterday", "32 Jan 2020 10:00:00 +0000", "30 Feb 2020 1:00", "1 Foo 2020 10:00",
            "1 Jan 1066 10:00:00", "1 Jan 2020 25:00:00", "9" * 10_000, "1 Jan" * 1000, "\x00\xff",
        ):  # fmt: skip
            self.assertIsNone(parse_date(value), value[:40])

    @given(
        st.binary(max_size=80) | st.text(st.sampled_from("0129 :+-JanFeb,.()TZ"), max_size=60).map(str.encode)
    )
    @settings(max_examples=100, deadline=None)
    def test_any_bytes_give_a_moment_or_none(self, raw: bytes) -> None:
        moment = parse_date(raw)
        if moment is not None:
            self.assertEqual(moment % 1000, 0)

    @given(st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))
    @settings(max_examples=80, deadline=None)
    def test_what_the_standard_library_writes(self, naive: datetime, minutes: int) -> None:
        moment = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
        self.assertEqual(parse_date(format_datetime(moment)), int(moment.timestamp()) * 1000)


class FormatTests(SynchronousTestCase):
    def test_format(self) -> None:
        self.assertEqual(format_date(1118089282999), "Mon, 06 Jun 2005 20:21:22 +0000")

    @given(st.integers(-2_208_988_800, 253_402_300_799))
    @settings(max_examples=50, deadline=None)
    def test_round_trip(self, seconds: int) -> None:
        self.assertEqual(parse_date(format_date(seconds * 1000)), seconds * 1000)
