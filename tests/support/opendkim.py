"""OpenDKIM, unpacked from Debian's package: what it makes of our signatures, and signatures of its own."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from tests.support.unpacked import FOLDER, free_port

_LEADING_SPACE = 0x100000  # the space behind the colon belongs to the value, in both directions


def program() -> str:
    """:raises SkipTest: it is not there, or lacks a library."""
    path = Path(os.environ.get("POSTHOUSE_DEBIAN", FOLDER), "opendkim/usr/sbin/opendkim")
    if not path.exists():
        raise SkipTest(f"opendkim is not unpacked in {path} (.ci/debian-programs does it)")
    if subprocess.run([path, "-V"], capture_output=True).returncode:
        raise SkipTest("opendkim does not run here")
    return str(path)


def verified(message: bytes, records: dict[str, str]) -> str:
    """What it says about a message. :param records: the TXT records, by name."""
    with tempfile.TemporaryDirectory(prefix="posthouse-") as name:
        directory = Path(name)
        (directory / "message").write_bytes(message)
        (directory / "records").write_text("".join(f"{key} {text}\n" for key, text in records.items()))
        (directory / "conf").write_text(f"Mode v\nTestDNSData file:{directory}/records\n")
        done = subprocess.run(
            [program(), "-x", str(directory / "conf"), "-vv", "-t", str(directory / "message")],
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.stdout + done.stderr


def signed(message: bytes, domain: str, selector: str, pem: bytes, algorithm: str, forms: str) -> bytes:
    """The message with the field that its filter adds. :param forms: canonicalization, such as "relaxed/simple"."""
    with tempfile.TemporaryDirectory(prefix="posthouse-") as name:
        directory = Path(name)
        (directory / "key").write_bytes(pem)
        (directory / "key").chmod(0o600)
        port = free_port()
        (directory / "conf").write_text(
            f"Mode s\nSocket inet:{port}@127.0.0.1\nDomain {domain}\nSelector {selector}\n"
            f"KeyFile {directory}/key\nSignatureAlgorithm {algorithm}\nCanonicalization {forms}\n"
            "InternalHosts 127.0.0.1\nBackground no\nSyslog no\nRequireSafeKeys no\n"
        )
        process = subprocess.Popen([program(), "-x", str(directory / "conf"), "-f"], stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    line = socket.create_connection(("127.0.0.1", port), timeout=20)
                    break
                except OSError:
                    assert process.poll() is None, process.communicate()[1]
                    assert time.monotonic() < deadline, "opendkim does not listen"
                    time.sleep(0.05)
            with line:
                field = _asked(line, message)
        finally:
            process.kill()
            process.communicate()
    return b"DKIM-Signature:" + field.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n" + message


def _asked(line: socket.socket, message: bytes) -> bytes:
    """The milter protocol, version 6, as far as one message takes."""
    stream = line.makefile("rb")

    def say(command: bytes, data: bytes = b"") -> None:
        line.sendall(struct.pack(">I", len(data) + 1) + command + data)

    def hear() -> tuple[bytes, bytes]:
        (length,) = struct.unpack(">I", stream.read(4))
        found = stream.read(length)
        return found[:1], found[1:]

    def ask(command: bytes, data: bytes = b"") -> None:
        say(command, data)
        answer, more = hear()
        assert answer == b"c", (command, answer, more)

    say(b"O", struct.pack(">III", 6, 0x1FF, _LEADING_SPACE))
    hear()
    ask(b"C", b"client.example\0" + b"4" + struct.pack(">H", 25) + b"127.0.0.1\0")
    ask(b"H", b"client.example\0")
    ask(b"M", b"<ann@there.example>\0")
    ask(b"R", b"<bob@here.example>\0")
    head, _, body = message.partition(b"\r\n\r\n")
    for field in re.split(rb"\r\n(?![ \t])", head):
        name, _, value = field.partition(b":")
        ask(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
    ask(b"N")
    ask(b"B", body)
    say(b"E")
    added = b""
    while True:
        answer, data = hear()
        if answer in b"ih":
            name, _, value = (data[4:] if answer == b"i" else data).partition(b"\0")
            if name.lower() == b"dkim-signature":
                added = value.rstrip(b"\0")
        elif answer in b"acrt":
            return added
