"""What the ActiveSync benches share: a demo daemon over a prepared database, its figures from /proc, realistic
mail, and a lean client that looks at no more of an answer than it must.

The daemon is the real ``twistd mailserver`` in a process of its own; mailboxes are filled through the store's
functions before it starts, in slices, and counted as indexed, so that full text does not run beside what is
measured.
"""

# ruff: noqa: I001 - the path is set before the package is imported
from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
from base64 import b64encode, encodebytes
from binascii import b2a_qp
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
for _path in (str(ROOT / "src"), str(ROOT)):
    if _path not in sys.path:
        sys.path.insert(0, _path)

from posthouse.auth.passwords import make_app_password  # noqa: E402
from posthouse.demo.setup import DOMAIN, demo_config, prepare  # noqa: E402
from posthouse.mime.draft import draft_from  # noqa: E402
from posthouse.mime.scan import scan  # noqa: E402
from posthouse.model import Account, FolderType, evolve  # noqa: E402
from posthouse.store import accounts, bodies, folders, items  # noqa: E402
from posthouse.store.inline import InlineDatabase  # noqa: E402
from posthouse.wbxml.encode import encode  # noqa: E402
from posthouse.wbxml.tags import Provision as P  # noqa: E402
from posthouse.wbxml.tags import Settings  # noqa: E402
from posthouse.wbxml.tree import E, Element  # noqa: E402
from tests.support.daemon import Daemon  # noqa: E402

__all__ = [
    "Figures",
    "InlineDatabase",
    "Line",
    "Server",
    "Watcher",
    "add_people",
    "fill",
    "letter",
    "options",
    "policy_key",
]

_TEXT = "abcdefghijklmnopqrstuvwxyz"
_WORDS = ["".join(random.Random(n).choices(_TEXT, k=random.Random(n).randint(2, 11))) for n in range(3000)] + [
    "Grüße", "façade", "Straße", "naïve", "über", "señor", "smörgås", "crème",
]  # fmt: skip
#: What all of a mailbox of many small items share.
_NOTE = (
    b"From: Some Sender <s@bench.example>\r\nTo: somebody@bench.example\r\nDate: Mon, 5 Jan 2026 10:00:00 +0100\r\n"
    b"Subject: number\r\n\r\n" + b"A few words that fill a line of a small message.\r\n" * 10
)
#: Ports that the system chooses.
_PORTS = {"https": 0, "smtp": 0, "submission": 0, "submissions": 0}


def options(text: str | None, **more: Any) -> argparse.Namespace:
    """The command line: ``--quick``, ``--directory``, and what a bench adds as name=default."""
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, to see that it runs")
    parser.add_argument("--directory", help="on the disk to be measured (default: the temporary one)")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser.parse_args()


# Mail


def _words(chosen: random.Random, size: int) -> str:
    return " ".join(chosen.choices(_WORDS, k=size // 7))


def _page(chosen: random.Random, size: int) -> str:
    """HTML as mail programs write it: tables, styles, links."""
    parts = ['<html><head><meta charset="utf-8"><style>p{margin:0 0 1em}td{padding:4px}</style></head><body>']
    length = 0
    while length < size:
        text = _words(chosen, 420)
        parts.append(
            f'<table width="100%" cellpadding="0" style="border-collapse:collapse"><tr><td style="font-family:'
            f'Arial,sans-serif;font-size:14px;color:#333333"><p>{text}</p><a href="https://news.example/'
            f'read?id={chosen.getrandbits(64):x}&amp;u=1">{chosen.choice(_WORDS)}</a></td></tr></table>'
        )
        length += len(parts[-1])
    parts.append("</body></html>")
    return "\n".join(parts)


def _text_part(kind: str, text: str, base64: bool) -> bytes:
    data = text.encode()
    head = f"Content-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: ".encode()
    if base64:
        return head + b"base64\n\n" + encodebytes(data)
    return head + b"quoted-printable\n\n" + b2a_qp(data, istext=True) + b"\n"


def letter(number: int, recipient: str) -> bytes:
    """One message of 22 KB on the average: alternatives of text and HTML in quoted-printable or base64, plain
    text, and one in five with a file."""
    chosen = random.Random(number)
    kind = number % 10
    head = (
        f"From: {chosen.choice(_WORDS).title()} Sender <s{number % 97}@bench.example>\n"
        f"To: Somebody <{recipient}>\nMessage-ID: <{number}.{chosen.getrandbits(64):x}@bench.example>\n"
        f"Date: Mon, 5 Jan 2026 10:{number % 60:02}:00 +0100\nSubject: {' '.join(chosen.choices(_WORDS[:900], k=6))}\n"
        "MIME-Version: 1.0\n"
    ).encode()
    if kind == 0:
        body = _text_part("plain", _words(chosen, 3000), False)
    else:
        size = chosen.choice((4000, 6000, 9000, 14000, 22000))
        body = (
            b'Content-Type: multipart/alternative; boundary="=_alt"\n\n--=_alt\n'
            + _text_part("plain", _words(chosen, size // 4), kind in (1, 2, 3))
            + b"--=_alt\n"
            + _text_part("html", _page(chosen, size), kind in (1, 2, 3))
            + b"--=_alt--\n"
        )
    if kind in (4, 7):
        blob = encodebytes(chosen.randbytes(chosen.choice((12_000, 24_000, 40_000))))
        body = (
            b'Content-Type: multipart/mixed; boundary="=_mix"\n\n--=_mix\n'
            + body
            + b'--=_mix\nContent-Type: application/pdf; name="report.pdf"\nContent-Transfer-Encoding: base64\n'
            b'Content-Disposition: attachment; filename="report.pdf"\n\n' + blob + b"--=_mix--\n"
        )
    return (head + body).replace(b"\n", b"\r\n")


def fill(db: InlineDatabase, address: str, count: int, *, small: bool = False) -> int:
    """Put ``count`` letters into an Inbox, an hour apart; ``small`` gives all of them one short body.

    :returns: the bytes of mail.
    """
    now = int(time.time() * 1000)
    total = 0
    for start in range(0, count, 200):
        total += db.write_now(
            lambda tx, start=start: _fill_some(tx, address, range(start, min(count, start + 200)), now, small)
        )
    return total


def _fill_some(tx: Any, address: str, numbers: range, now: int, small: bool) -> int:
    account = accounts.account_by_address(tx, address)
    assert account is not None
    inbox = folders.folder_of_type(tx, account.mailbox_id, FolderType.INBOX)
    total = 0
    for number in numbers:
        received = now - 60_000 * (number + 1)
        raw = _NOTE if small else letter(number, address)
        if not small or number == numbers[0]:
            root = scan(raw)
            draft = draft_from(
                root, raw[: root.body_start], lambda a, b, raw=raw: raw[a:b], len(raw), received
            )
            body = bodies.put_body(tx, bodies.prepare(raw), now)
        if small:
            name = f"<{number}@bench.example>"
            draft = evolve(
                draft, subject=f"number {number}", message_id=name, received=received, thread_keys=()
            )
        trace = b"Return-Path: <s@bench.example>\r\n"
        items.add_item(tx, inbox, evolve(draft, trace=trace, read=number % 3 > 0), body.id, now)
        total += len(raw)
    tx.execute("DELETE FROM to_index")
    return total


def add_people(db: InlineDatabase, count: int) -> list[tuple[str, str]]:
    """Accounts with an app password each: (address, password)."""
    now = int(time.time() * 1000)
    people: list[tuple[str, str]] = []

    def some(tx: Any, numbers: range) -> None:
        for number in numbers:
            address = f"person{number:04}@{DOMAIN}"
            account: Account = accounts.add_account(tx, address, f"Person {number}", "!", False, now)
            text, digest = make_app_password(os.urandom)
            accounts.add_app_password(tx, account.id, "phone", digest, now)
            people.append((address, text))

    for start in range(0, count, 50):
        db.write_now(lambda tx, start=start: some(tx, range(start, min(count, start + 50))))
    return people


# The server


class Figures:
    """What the kernel says about a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def cpu(self) -> float:
        """CPU seconds of all threads so far, to the nanosecond."""
        total = 0
        for task in os.scandir(f"/proc/{self.pid}/task"):
            try:
                total += int(Path(task.path, "schedstat").read_text().split()[0])
            except OSError:
                continue
        return total / 1e9

    def rss(self) -> float:
        """Megabytes in memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


class Watcher:
    """Samples the memory of a process until it is closed. ``samples`` are (seconds, MB)."""

    def __init__(self, figures: Figures, every: float = 0.1) -> None:
        self.samples: list[tuple[float, float]] = []
        self._figures = figures
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(every,), daemon=True)
        self._thread.start()

    def _run(self, every: float) -> None:
        began = time.monotonic()
        while not self._ended.wait(every):
            self.samples.append((time.monotonic() - began, self._figures.rss()))

    def close(self) -> None:
        """Sample no more."""
        self._ended.set()
        self._thread.join()

    @property
    def peak(self) -> float:
        """The most, in MB."""
        return max((megabytes for _, megabytes in self.samples), default=0.0)


class Server:
    """A running daemon. ``https``, ``smtp``: ports; ``owner``: (address, password) of the first account."""

    def __init__(self, daemon: Daemon) -> None:
        assert daemon.process is not None
        self.daemon = daemon
        self.figures = Figures(daemon.process.pid)
        self.https = int(daemon.facts["https"].rpartition(":")[2])
        self.smtp = int(daemon.facts["smtp"])
        self.certificate = str(daemon.facts["certificate"])
        first = daemon.account(0)
        self.owner = (first["address"], first["password"])

    @classmethod
    @contextmanager
    def over(cls, directory: str | None, prepared: Callable[[InlineDatabase], Any]) -> Iterator[Server]:
        """A daemon over a database that ``prepared`` has filled; all of it is gone afterwards."""
        parent = Path(tempfile.mkdtemp(prefix="eas-bench-", dir=directory))
        data = parent / "demo"
        try:
            config = demo_config(data, _PORTS)
            prepare(config)
            db = InlineDatabase(config.database_path).open()
            prepared(db)
            db.write_now(lambda tx: tx.execute("DELETE FROM to_index"))
            db.close()
            daemon = Daemon.demo(data)
            try:
                time.sleep(1.0)
                yield cls(daemon)
            finally:
                daemon.stop()
        finally:
            shutil.rmtree(parent, ignore_errors=True)

    def settle(self) -> None:
        """Wait until the server has nothing to do."""
        for _ in range(60):
            before = self.figures.cpu()
            time.sleep(1.0)
            if self.figures.cpu() - before < 0.02:
                return

    def reactor_held(self) -> float:
        """The longest time, in ms, that the reactor was held since the start."""
        for line in self.daemon.posthouse("status").stdout.splitlines():
            if "reactor" in line:
                return float(line.split()[-1])
        return -1.0


def raise_limit(count: int) -> None:
    """Allow so many open files here and in the processes to come."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))


# The client


@cache
def _context(certificate: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


class Line:
    """One TLS connection of one phone. Requests are made ahead and answers are not decoded."""

    def __init__(
        self, port: int, user: tuple[str, str], device: str, certificate: str, buffer: int = 1 << 20
    ) -> None:
        context = _context(certificate)
        raw = socket.create_connection(("127.0.0.1", port), 120)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="127.0.0.1")
        self.user = user[0]
        self.device = device
        self.key = 0
        self._basic = b64encode(f"{user[0]}:{user[1]}".encode()).decode()
        self._buffer = bytearray(buffer)

    def head(self, command: str, length: int) -> bytes:
        """The head of a request."""
        return (
            f"POST /Microsoft-Server-ActiveSync?Cmd={command}&User={self.user}&DeviceId={self.device}"
            f"&DeviceType=iPhone HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Apple-iPhone15C2/2205.100\r\n"
            f"Authorization: Basic {self._basic}\r\nMS-ASProtocolVersion: 14.1\r\nX-MS-PolicyKey: {self.key}\r\n"
            f"Content-Type: application/vnd.ms-sync.wbxml\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def send(self, command: str, root: Element | bytes | None) -> None:
        """Send one request."""
        body = encode(root) if isinstance(root, Element) else root or b""
        self.socket.sendall(self.head(command, len(body)) + body)

    def receive(self) -> memoryview:
        """The body of one answer; good until the next call. :raises RuntimeError: not HTTP 200."""
        view, filled, end = memoryview(self._buffer), 0, -1
        while end < 0:
            count = self.socket.recv_into(view[filled:])
            if not count:
                raise RuntimeError("the server hung up")
            filled += count
            end = self._buffer.find(b"\r\n\r\n", 0, filled)
        head = bytes(view[: end + 4]).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        whole = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if whole > len(self._buffer):
            view.release()
            self._buffer.extend(bytes(whole - len(self._buffer)))
            view = memoryview(self._buffer)
        while filled < whole:
            count = self.socket.recv_into(view[filled:whole])
            if not count:
                raise RuntimeError("the server hung up")
            filled += count
        return view[end + 4 : whole]

    def ask(self, command: str, root: Element | bytes | None) -> memoryview:
        """One request and its answer."""
        self.send(command, root)
        return self.receive()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def policy_key(line: Line) -> int:
    """Provision, both phases; the key is used from then on."""
    key = ""
    for _ in range(2):
        said = (E(P.PolicyKey, key), E(P.Status, 1)) if key else ()
        model = None if key else E(Settings.DeviceInformation, E(Settings.Set, E(Settings.Model, "Phone")))
        asked = E(P.Policy, E(P.PolicyType, "MS-EAS-Provisioning-WBXML"), *said)
        root = E(P.Provision, model, E(P.Policies, asked))
        answer = bytes(line.ask("Provision", root))
        # PolicyKey is token 0x09 of its page: with content 0x49, then an inline string.
        at = answer.rfind(b"\x49\x03") + 2
        if at < 2:
            raise RuntimeError(f"no policy key in {answer!r}")
        key = answer[at : answer.index(b"\0", at)].decode()
        line.key = int(key)
    return line.key


def sync_key(answer: memoryview) -> bytes:
    """The first SyncKey of a Sync or FolderSync answer (its token is 0x0B on page 0, 0x12 on page 7)."""
    head = bytes(answer[:160])
    for mark in (b"\x4b\x03", b"\x52\x03"):
        at = head.find(mark)
        if at >= 0:
            return head[at + 2 : head.index(b"\0", at + 2)]
    raise RuntimeError(f"no key in {head!r}")


def digest(data: bytes) -> str:
    """A short name for bytes."""
    return hashlib.sha256(data).hexdigest()[:12]
