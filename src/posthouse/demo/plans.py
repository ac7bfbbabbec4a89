"""What the demo's messages are made of, kind by kind. Deterministic: everything is drawn from the given generator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from attrs import frozen

from posthouse.demo import files, pages, texts
from posthouse.demo.cast import FRIENDS, LISTS, SHOPS, Person
from posthouse.demo.letters import Part, address, leaf, message, multipart
from posthouse.model import FolderType

__all__ = [
    "DAY",
    "Plan",
    "attached",
    "domain_of",
    "invitations",
    "junk",
    "letters",
    "lists",
    "long",
    "newsletters",
    "notes",
    "pictures",
    "threads",
    "welcome",
]

DAY = 86_400_000
SPAN = 210 * DAY  # how far back the oldest message lies


@frozen
class Plan:
    """A message before its place in time is worked out: ``part`` and the header values."""

    part: Part
    sender: Person
    subject: str
    age: int
    charset: str = "utf-8"
    message_id: str = ""
    references: tuple[str, ...] = ()
    cc: str = ""
    extra: tuple[str, ...] = ()
    folder: FolderType | None = FolderType.INBOX
    from_header: str = ""


def domain_of(person: Person) -> str:
    """The domain of a person's address."""
    return person.address.rpartition("@")[2]


def _age(random: Random) -> int:
    """Milliseconds back; more of them recent, as in real mailboxes."""
    return int(SPAN * random.random() ** 1.6) + random.randrange(DAY // 4)


def _prose(random: Random, count: int) -> str:
    return " ".join(random.choice(texts.SENTENCES) for _ in range(count))


def _text(random: Random, body: str) -> Part:
    """Plain text in one of the transfer encodings that are seen in the world."""
    wrapped = pages.wrap(body)
    encoding = random.choice(("7bit", "7bit", "quoted-printable", "base64"))
    return leaf("text/plain", wrapped, encoding=encoding if wrapped.isascii() else "quoted-printable")


def _both(boundary: str, plain: str, html: str) -> Part:
    return multipart(
        "alternative",
        boundary,
        leaf("text/plain", plain, encoding="quoted-printable"),
        leaf("text/html", html, encoding="quoted-printable"),
    )


def threads(random: Random, owner: Person, other: Person) -> Iterator[Plan]:
    """Conversations that go back and forth, with quotes."""
    for number, (topic, first) in enumerate(texts.TOPICS):
        starter = random.choice(FRIENDS)
        company = [starter, random.choice(FRIENDS), other, owner]
        age = _age(random) + 9 * DAY
        references: tuple[str, ...] = ()
        previous = ""
        for turn in range(random.randrange(3, 9)):
            who = starter if turn == 0 else random.choice(company)
            ident = f"thread-{number}-{turn}@{domain_of(who)}"
            said = first if turn == 0 else random.choice(texts.REPLIES)
            greeting = random.choice(texts.OPENINGS).format(name=owner.name.split()[0])
            body = f"{greeting}\n\n{said}\n\n{_prose(random, random.randrange(1, 4))}\n\n"
            body += f"{random.choice(texts.CLOSINGS)}\n{who.name.split()[0]}\n"
            quoted = pages.quote(previous, company[turn % 3].name) if previous else ""
            if turn % 3 == 2:
                part = _both(f"=_thread_{number}_{turn}", body + quoted, pages.reply(body, previous))
            else:
                part = _text(random, body + quoted)
            mine = who is owner
            yield Plan(
                part,
                who,
                topic if turn == 0 else f"Re: {topic}",
                age,
                message_id=ident,
                references=references,
                cc=address(starter.name, starter.address) if mine or turn % 4 == 1 else "",
                folder=FolderType.SENT if mine else FolderType.INBOX,
            )
            references += (ident,)
            previous = body
            age -= random.randrange(DAY // 12, DAY)


def newsletters(random: Random) -> Iterator[Plan]:
    """Letters of shops, in HTML."""
    for number in range(40):
        shop = SHOPS[number % len(SHOPS)]
        items = random.sample(texts.ITEMS, 4)
        title = f"{items[0][0]} and three other things"
        plain = f"{shop.name}\n\n" + "\n\n".join(f"{head}\n{text}" for head, text in items) + "\n"
        yield Plan(
            _both(f"=_news_{number}", plain, pages.newsletter(shop.name, title, items, number)),
            shop,
            title if number % 3 else f"{shop.name} – No. {number + 1}",
            _age(random),
            extra=(
                f"List-Unsubscribe: <mailto:leave-{number}@{domain_of(shop)}>",
                "Precedence: bulk",
            ),
        )


def notes(random: Random) -> Iterator[Plan]:
    """Short plain messages of machines."""
    for number in range(46):
        subject, body = texts.NOTES[number % len(texts.NOTES)]
        values = {"number": 10_000 + number * 317, "place": random.choice(texts.PLACES)}
        sender = Person(
            f"{values['place']} Service", f"no-reply@{str(values['place']).lower().replace(' ', '')}.example"
        )
        yield Plan(
            _text(random, body.format(**values)),
            sender,
            subject.format(**values),
            _age(random),
            extra=("Auto-Submitted: auto-generated",)
            + (("Importance: high", "X-Priority: 1") if number % 15 == 4 else ()),
        )


def attached(random: Random, other: Person) -> Iterator[Plan]:
    """Messages with files."""
    lines = [
        "Estimate",
        "",
        "Cleaning and oiling   120.00",
        "New mainspring         48.00",
        "Total                 168.00",
    ]
    kinds = (
        (
            "the estimate",
            lambda n: leaf("application/pdf", files.pdf([f"No. {n}", *lines]), name=f"estimate-{n}.pdf"),
        ),
        ("the measurements", lambda n: leaf("text/csv", files.table(200, n), name=f"drift-{n}.csv")),
        (
            "a picture of the dial",
            lambda n: leaf("image/png", files.picture(160, 160, n), name="Zifferblatt größer.png"),
        ),
        (
            "everything in one archive",
            lambda n: leaf(
                "application/zip",
                files.zipped(
                    {"drift.csv": files.table(900, n).encode(), "read me.txt": b"Second shelf.\r\n"}
                ),
                name=f"archive-{n}.zip",
            ),
        ),
        (
            "the letter I mentioned",
            lambda n: Part(
                ("Content-Type: message/rfc822", 'Content-Disposition: attachment; filename="letter.eml"'),
                message(
                    leaf("text/plain", _prose(Random(n), 3) + "\n", encoding="7bit"),
                    sender=address("A. Clockmaker", "a.clockmaker@lantern.example"),
                    to=address(other.name, other.address),
                    subject="The missing pendulum",
                    date=1_700_000_000_000 + n * DAY,
                    message_id=f"inner-{n}@lantern.example",
                ),
            ),
        ),
    )
    for number in range(30):
        what, make = kinds[number % len(kinds)]
        who = other if number % 6 == 0 else random.choice(FRIENDS)
        body = f"Hello,\n\nhere comes {what}.\n\n{_prose(random, 2)}\n\n{who.name.split()[0]}\n"
        parts = [leaf("text/plain", pages.wrap(body), encoding="quoted-printable"), make(number)]
        if number % 7 == 3:
            parts.append(leaf("image/png", files.picture(96, 96, number + 1), name=f"detail-{number}.png"))
        yield Plan(
            multipart("mixed", f"=_files_{number}", *parts), who, f"{what[0].upper()}{what[1:]}", _age(random)
        )


def pictures(random: Random) -> Iterator[Plan]:
    """Messages with pictures in their text."""
    for number in range(16):
        who = random.choice(FRIENDS)
        cid = f"dial-{number}@{domain_of(who)}"
        caption = random.choice(texts.SENTENCES)
        related = multipart(
            "related",
            f"=_rel_{number}",
            leaf("text/html", pages.postcard(caption, cid), encoding="quoted-printable"),
            leaf(
                "image/png",
                files.picture(200, 150, number),
                name=f"dial-{number}.png",
                content_id=cid,
                inline=True,
            ),
        )
        body = multipart(
            "alternative",
            f"=_alt_{number}",
            leaf("text/plain", caption + "\n", encoding="quoted-printable"),
            related,
        )
        yield Plan(
            body,
            who,
            random.choice(("Look at this", "A dial for you", "Seen on my walk", "Which tone?")),
            _age(random),
        )


def letters(random: Random) -> Iterator[Plan]:
    """Letters in many languages and charsets."""
    for turn in range(2):
        for number, letter in enumerate(texts.LETTERS):
            name, _, mail = letter.sender.partition(" <")
            sender = Person(name, mail.rstrip(">"))
            body = letter.text if turn == 0 else letter.text + "\n" + letter.text
            part = leaf(
                "text/plain; format=flowed" if number % 5 == 2 else "text/plain",
                body,
                encoding=letter.encoding,
                charset=letter.charset,
            )
            subject = letter.subject if turn == 0 else f"Re: {letter.subject}"
            yield Plan(part, sender, subject, _age(random), charset=letter.charset)


def invitations(random: Random, now: int, owner: Person, other: Person) -> Iterator[Plan]:
    """An invitation with its update, another one, and a cancelled one."""
    day = datetime.fromtimestamp(now / 1000, UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    events = (
        (
            "REQUEST",
            "bird@lantern.example",
            6,
            "Visit of Mr. Tanaka: the mechanical bird",
            "Workshop, ground floor",
            0,
            2 * DAY,
        ),
        (
            "REQUEST",
            "bird@lantern.example",
            7,
            "Visit of Mr. Tanaka: the mechanical bird",
            "Workshop, upstairs",
            1,
            DAY,
        ),
        ("REQUEST", "course@lantern.example", 30, "Summer course: planning", "Canal House", 0, 5 * DAY),
        ("CANCEL", "boat@northpier.example", 3, "Boat trip", "North Pier", 1, DAY // 2),
    )
    for number, (method, uid, days, summary, place, turn, age) in enumerate(events):
        who = other if number < 2 else FRIENDS[number]
        start = day + timedelta(days=days)
        text = files.calendar(
            method, uid, start, summary, place, [who.address, owner.address, FRIENDS[0].address], turn
        )
        plain = f"{summary}\nWhen: {start:%A, %d %B %Y, %H:%M} UTC\nWhere: {place}\n"
        part = multipart(
            "alternative",
            f"=_cal_{number}",
            leaf("text/plain", plain, encoding="7bit"),
            leaf("text/html", pages.paragraphs(plain), encoding="7bit"),
            leaf(f"text/calendar; method={method}", text, encoding="8bit"),
        )
        prefix = {"CANCEL": "Cancelled: ", "REQUEST": "Updated: " if turn else ""}[method]
        yield Plan(part, who, prefix + summary, age)


def long(random: Random) -> Iterator[Plan]:
    """Texts that take a while to read."""
    for number in range(6):
        body = "\n\n".join(_prose(random, 6) for _ in range(30 + 40 * number))
        part = (
            leaf("text/plain", pages.wrap(body), encoding="7bit")
            if number % 2
            else _both(f"=_long_{number}", pages.wrap(body), pages.paragraphs(body))
        )
        yield Plan(
            part,
            FRIENDS[number],
            f"The story of the missing pendulum, part {number + 1}",
            (60 - number * 9) * DAY,
        )


def lists(random: Random) -> Iterator[Plan]:
    """Mailing lists."""
    for number in range(20):
        one = LISTS[number % len(LISTS)]
        who = random.choice(FRIENDS)
        body = "On Monday somebody wrote:\n> " + "\n> ".join(random.sample(texts.SENTENCES, 2)) + "\n\n"
        body += f"{random.choice(texts.REPLIES)}\n\n-- \n{who.name}\n"
        name = one.address.partition("@")[0]
        yield Plan(
            _text(random, body),
            who,
            f"[{name}] {random.choice(texts.TOPICS)[0]}",
            _age(random),
            extra=(
                f"List-Id: <{one.address.replace('@', '.')}>",
                f"List-Post: <mailto:{one.address}>",
                "Precedence: list",
            ),
        )


def junk(random: Random) -> Iterator[Plan]:
    """What nobody asked for."""
    for number in range(5):
        sender = Person("PRIZE DEPARTMENT", f"winner{number}@lottery.example")
        html = pages.paragraphs(
            "YOU WON A GRANDFATHER CLOCK!!!\n\nIt ticks only for you. Answer within one (1) hour."
        )
        yield Plan(
            leaf("text/html", html, encoding="base64"),
            sender,
            "YOU WON!!! " + "!" * number,
            _age(random) // 4,
            folder=None,
        )


def welcome(other: Person) -> Plan:
    """The newest message."""
    plain = (
        "Hello,\n\nthis mailbox is yours to play with. Mail between the two users of the demo is delivered\n"
        "at once; mail to anybody else is caught and never leaves this machine.\n\n"
        "The lines that the server printed at its start show how to send more and how\n"
        "to connect a phone.\n\nHave a good time!\n"
    )
    return Plan(_both("=_welcome", plain, pages.paragraphs(plain)), other, "Welcome to Posthouse", 60_000)
