"""What MIME costs: microseconds per 10 KB message for scan, summary and structure; MB/s for big ones.

Run: ``PYTHONPATH=src python bench/mime.py [rounds]``. Messages are distinct and of mixed shapes, so that
no cache can help.
"""

from __future__ import annotations

import base64
import random
import resource
import sys
import time
from collections.abc import Callable

from posthouse.mime import bodies, html, summary, threads
from posthouse.mime.scan import Scanner, dump_structure, load_structure, scan

WORDS = [
    "meeting",
    "report",
    "invoice",
    "Tuesday",
    "budget",
    "draft",
    "please",
    "find",
    "attached",
    "the",
    "numbers",
    "for",
    "next",
    "quarter",
    "regards",
    "thanks",
    "order",
    "delivery",
    "question",
    "about",
    "project",
    "timeline",
    "customer",
    "feedback",
    "Grüße",
    "naïve",
    "café",
    "review",
]


def _head(rng: random.Random, number: int) -> str:
    received = "".join(
        f"Received: from mx{i}.example.net (mx{i}.example.net [192.0.2.{i}])\r\n\t"
        f"by in.example.org (Postfix) with ESMTPS id {rng.getrandbits(40):010X}\r\n\t"
        f"for <anna@example.org>; Mon, 6 Oct 2025 10:{i:02d}:00 +0200\r\n"
        for i in range(1, 4)
    )
    subject = rng.choice(
        [
            "Re: " + " ".join(rng.choices(WORDS[:10], k=5)),
            "=?utf-8?B?" + base64.b64encode(f"Grüße aus Köln {number}".encode()).decode() + "?=",
            "AW: [team] " + " ".join(rng.choices(WORDS[:10], k=4)),
        ]
    )
    return (
        f"Return-Path: <bob{number}@example.com>\r\n{received}"
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=k1;\r\n\t"
        f"bh={'A' * 43}=;\r\n\tb={'B' * 172}\r\n"
        f'From: "Müller, Bob" <bob{number}@example.com>\r\nTo: Anna Example <anna@example.org>, '
        f"carl{number}@example.org\r\nCc: =?utf-8?q?J=C3=B6rg?= <joerg@example.net>\r\nSubject: {subject}\r\n"
        f"Date: Mon, 6 Oct 2025 10:{number % 60:02d}:00 +0200\r\n"
        f"Message-ID: <{number}.{rng.getrandbits(60):x}@example.com>\r\n"
        f"In-Reply-To: <{number - 1}.aa@example.com>\r\n"
        f"References: <1.aa@example.com> <{number - 1}.aa@example.com>\r\n"
        "MIME-Version: 1.0\r\nX-Mailer: Example 1.0\r\nList-Id: <team.example.com>\r\n"
    )


def _prose(rng: random.Random, size: int) -> str:
    lines = []
    length = 0
    while length < size:
        line = " ".join(rng.choices(WORDS, k=rng.randint(6, 12)))
        lines.append(line)
        length += len(line) + 2
    return "\r\n".join(lines) + "\r\n"


def make_message(number: int, size: int = 10_000) -> bytes:
    """One of four shapes, distinct for each number: plain, alternative, mixed with attachment, HTML alone."""
    rng = random.Random(number)
    head = _head(rng, number)
    shape = number % 4
    if shape == 0:
        text = (
            head
            + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + _prose(rng, size - 1800)
        )
        return text.encode()
    rich = "<html><head><style>p{margin:0}</style></head><body>" + "".join(
        f'<p class="x{i}">{line}<br></p>\r\n' for i, line in enumerate(_prose(rng, size // 3).split("\r\n"))
    ) + "</body></html>\r\n"  # fmt: skip
    if shape == 3:
        return (head + "Content-Type: text/html; charset=utf-8\r\n\r\n" + rich * 2).encode()
    b = f"----=_Part_{rng.getrandbits(64):x}"
    alternative = (
        f'Content-Type: multipart/alternative; boundary="{b}"\r\n\r\n--{b}\r\n'
        'Content-Type: text/plain; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{_prose(rng, size // 4)}\r\n--{b}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{rich}\r\n--{b}--\r\n"
    )
    if shape == 1:
        return (head + alternative).encode()
    outer = f"=_outer_{rng.getrandbits(64):x}"
    data = base64.encodebytes(rng.randbytes(size // 4)).decode().replace("\n", "\r\n")
    return (
        head + f'Content-Type: multipart/mixed; boundary="{outer}"\r\n\r\n'
        f"--{outer}\r\n{alternative}\r\n--{outer}\r\n"
        f'Content-Type: application/pdf; name="report{number}.pdf"\r\nContent-Disposition: attachment; '
        f'filename="report{number}.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n{data}\r\n--{outer}--\r\n'
    ).encode()


def _each(name: str, items: list[bytes], work: Callable[[bytes], object]) -> None:
    begin = time.process_time()
    for item in items:
        work(item)
    spent = time.process_time() - begin
    print(f"{name:<44}{spent / len(items) * 1e6:>10.1f} us each")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    messages = [make_message(number) for number in range(rounds)]
    print(f"{rounds} distinct messages, {sum(map(len, messages)) / rounds:.0f} bytes on average")

    def summarise(data: bytes) -> object:
        root = scan(data)
        return summary.summarise(root, data[: root.body_start], lambda a, b: data[a:b])

    def everything(data: bytes) -> object:
        root = scan(data)
        made = summary.summarise(root, data[: root.body_start], lambda a, b: data[a:b])
        return dump_structure(root), threads.thread_keys(made)

    for shape, name in enumerate(("plain", "alternative", "mixed with PDF", "HTML alone")):
        _each(f"scan + summarise, {name}", messages[shape::4], summarise)
    _each("scan", messages, scan)
    _each("scan + summarise", messages, summarise)
    _each("scan + summarise + structure + thread keys", messages, everything)
    structures = [dump_structure(scan(data)) for data in messages]
    _each("load_structure", structures, load_structure)
    _each("index text", messages, lambda data: summary.index_text(scan(data), lambda a, b: data[a:b]))

    big = make_message(2)
    head, _, rest = big.partition(b"base64\r\n\r\n")
    tail = rest[rest.index(b"\r\n--=_outer") :]
    attachment = base64.encodebytes(random.Random(1).randbytes(18_500_000)).replace(b"\n", b"\r\n")
    big = head + b"base64\r\n\r\n" + attachment + tail
    for name, block in (("whole", len(big)), ("in blocks of 64 KB", 65536)):
        begin = time.process_time()
        scanner = Scanner()
        for position in range(0, len(big), block):
            scanner.feed(big[position : position + block])
        root = scanner.close()
        spent = time.process_time() - begin
        print(
            f"scan {len(big) / 1e6:.1f} MB {name:<28}{spent * 1e3:>10.1f} ms {len(big) / spent / 1e6:>8.0f} MB/s"
        )
    part = next(part for part in root.walk() if part.cte == "base64")
    begin = time.process_time()
    size = sum(map(len, bodies.decode_iter(part, lambda a, b: big[a:b])))
    spent = time.process_time() - begin
    print(
        f"decode {size / 1e6:.1f} MB of base64 in pieces {'':<8}{spent * 1e3:>10.1f} ms {size / spent / 1e6:>8.0f} MB/s"
    )
    rich = "<div><p>Hello <b>world</b> and <a href='https://example.org/'>a link</a></p></div>\n" * 5000
    begin = time.process_time()
    html.text_from_html(rich)
    spent = time.process_time() - begin
    print(f"text from {len(rich) / 1e3:.0f} KB of HTML {'':<19}{spent * 1e3:>10.1f} ms")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
