"""sd_notify: the datagram, the abstract name, and silence."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from posthouse.daemon.systemd import notify, watchdog_seconds


class NotifyTests(SynchronousTestCase):
    def listen(self, address: str) -> socket.socket:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(receiver.close)
        receiver.settimeout(2)
        receiver.bind(address)
        return receiver

    def test_sends_all_lines_in_one_datagram(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = f"{directory}/notify"
        receiver = self.listen(path)
        self.assertTrue(notify({"NOTIFY_SOCKET": path}, "READY=1", "STATUS=open"))
        self.assertEqual(receiver.recv(1000), b"READY=1\nSTATUS=open")

    def test_an_at_sign_means_the_abstract_namespace(self) -> None:
        name = f"posthouse-test-{os.getpid()}"
        receiver = self.listen("\0" + name)
        self.assertTrue(notify({"NOTIFY_SOCKET": "@" + name}, "STOPPING=1"))
        self.assertEqual(receiver.recv(1000), b"STOPPING=1")

    def test_without_systemd_nothing_happens(self) -> None:
        self.assertFalse(notify({}, "READY=1"))
        self.assertFalse(notify({"NOTIFY_SOCKET": "relative"}, "READY=1"))
        self.assertFalse(notify({"NOTIFY_SOCKET": "/nonexistent/notify"}, "READY=1"))


class WatchdogSecondsTests(SynchronousTestCase):
    def test_is_half_of_what_systemd_allows(self) -> None:
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "120000000"}, 5), 60.0)
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "5"}, 5), 60.0)

    def test_none_when_it_is_meant_for_another_process_or_is_no_number(self) -> None:
        self.assertIsNone(watchdog_seconds({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "6"}, 5))
        for value in ({}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}):
            self.assertIsNone(watchdog_seconds(value, 5))
