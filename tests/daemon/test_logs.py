"""Log lines: the fields, no secrets, no control characters, never an exception."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.logger._legacy import publishToNewObserver
from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.logs import MAX_VALUE, LineObserver


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class LineObserverTests(SynchronousTestCase):
    def observe(self, form: str = "json", level: str = "info") -> tuple[Logger, io.StringIO]:
        stream = io.StringIO()
        return Logger(namespace="posthouse.smtp", observer=LineObserver(stream, level, form)), stream

    def one(self, **fields: Any) -> dict[str, Any]:
        log, stream = self.observe()
        log.info("said {word}", word="hello", **fields)
        (line,) = stream.getvalue().splitlines()
        result: dict[str, Any] = json.loads(line)
        return result

    def test_names_time_level_system_event_and_connection(self) -> None:
        line = self.one(cid="c17", size=5, tls=True, event="test.said")
        self.assertEqual(line["event"], "test.said")
        self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            (line["level"], line["system"], line["message"]), ("info", "posthouse.smtp", "said hello")
        )
        self.assertEqual((line["cid"], line["size"], line["tls"], line["word"]), ("c17", 5, True, "hello"))

    def test_fields_that_sound_like_secrets_and_objects_stay_out(self) -> None:
        line = self.one(password="p1", authorization="Basic p2", sync_token="p3", thing=object(), data=b"p4")
        self.assertEqual(set(line), {"time", "level", "system", "event", "message", "word"})

    def test_a_line_stays_one_line_and_bounded(self) -> None:
        log, stream = self.observe()
        log.info("{text}", text="a\nb\x1b[31m" + "x" * 100_000)
        (line,) = stream.getvalue().splitlines()
        self.assertLess(len(line), 3 * MAX_VALUE)
        log, stream = self.observe("text")
        log.info("{text}", text="a\nb\x1b[31m")
        self.assertEqual(stream.getvalue().count("\n"), 1)
        self.assertNotIn("\x1b", stream.getvalue())

    def test_a_failure_carries_its_trace(self) -> None:
        log, stream = self.observe()
        try:
            raise ValueError("broken wheel")
        except ValueError:
            log.failure("it failed")
        line = json.loads(stream.getvalue())
        self.assertEqual(line["level"], "critical")
        self.assertIn("broken wheel", line["trace"])

    def test_less_important_events_are_left_out(self) -> None:
        log, stream = self.observe(level="warn")
        log.info("quiet")
        log.warn("loud")
        self.assertEqual(json.loads(stream.getvalue())["message"], "loud")

    def test_nothing_that_is_logged_raises(self) -> None:
        log, stream = self.observe()
        log.info("{thing}", thing=Broken())
        log.info("{missing}")
        self.assertEqual(len(stream.getvalue().splitlines()), 2)
        stream.close()
        log.info("after the end")
        LineObserver(stream)({"log_level": LogLevel.info})

    def test_sockets_of_dns_are_told_of_only_to_who_wants_everything(self) -> None:
        for level, expected in (("info", 1), ("debug", 3)):
            stream = io.StringIO()
            observer = LineObserver(stream, level)
            for text in ("_Datagrams starting on 4711", "(UDP Port 4711 Closed)", "Site starting on 443"):
                event = {"message": (text,), "time": 1.0, "isError": 0, "system": "-"}
                publishToNewObserver(observer, event, lambda event: " ".join(event["message"]))
            self.assertEqual(len(stream.getvalue().splitlines()), expected, level)
