"""Everything at once, on the real server: phones of one account, mail coming in, and connections that break.

The store with its threads and group commits, which the machines of ``tests.eas`` replace by one that stands still.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from posthouse.wbxml.encode import encode
from posthouse.wbxml.tags import AirSync, Email
from posthouse.wbxml.tree import E, Element
from tests.support.eas import WBXML
from tests.system.house import Background
from tests.system.transcripts.client import (
    DELETED,
    INBOX,
    SENT,
    Client,
    TranscriptCase,
    body_preference,
    read_mark,
)

SECONDS = 4.0


class Worker:
    """One phone and its user, in a thread."""

    def __init__(self, client: Client, seed: int, letter: Callable[[str], bytes], sent: list[str]) -> None:
        self.client = client
        self.chance = random.Random(seed)
        self.letter = letter
        self.sent = sent
        self.serial = 0
        self.mine = [client.folder(kind) for kind in (INBOX, DELETED, SENT)]
        self.stop = False

    def collections(self, commands: dict[str, list[Element]]) -> Element:
        client = self.client
        return E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                [
                    E(
                        AirSync.Collection,
                        client.class_of(),
                        client.key(number),
                        E(AirSync.CollectionId, number),
                        E(AirSync.WindowSize, "7"),
                        E(AirSync.Options, E(AirSync.FilterType, "0"), body_preference(1, 50)),
                        E(AirSync.Commands, commands[number]) if commands.get(number) else None,
                    )
                    for number in self.mine
                ],
            ),
        )

    def sync(self, commands: dict[str, list[Element]] | None = None, lose: bool = False) -> bool:
        """:return: whether something was told. ``lose``: at first nobody is there to hear the answer."""
        request = self.collections(commands or {})
        if lose:
            self.lost("Sync", encode(request))
        found = self.client.tell(request)
        for number, one in found.items():
            assert one.status == 1, f"Sync of {number}: {one.status}"
        return bool(found)

    def lost(self, command: str, body: bytes) -> None:
        """A request whose connection ends at once, or while it is being answered."""
        other = self.client.beside()
        connection = other._connect()
        connection.putrequest("POST", f"/Microsoft-Server-ActiveSync?{other.query(command, {})}")
        for name, value in other.head:
            filled = value.format(
                host="",
                agent="Storm/1",
                basic=self.basic,
                version=other.version,
                key=other.policy_key,
                kind=WBXML,
            )
            if filled and name != "Host":
                connection.putheader(name, filled)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        time.sleep(self.chance.choice((0, 0.002, 0.02)))
        other.close()

    @property
    def basic(self) -> str:
        from base64 import b64encode

        return b64encode(f"{self.client.user}:{self.client.password}".encode()).decode()

    def step(self) -> None:
        client, chance = self.client, self.chance
        inbox = self.mine[0]
        held = sorted(client.mirror[inbox])
        lose = chance.random() < 0.3
        what = chance.choice(("sync", "read", "delete", "move", "send", "ping"))
        if what == "sync" or (what in ("read", "delete", "move") and not held):
            self.sync(lose=lose)
        elif what == "read":
            item, value = chance.choice(held), chance.choice("01")
            client.mirror[inbox][item][Email.Read] = E(Email.Read, value)
            self.sync({inbox: [read_mark(item, value)]}, lose)
        elif what == "delete":
            item = chance.choice(held)
            client.mirror[inbox].pop(item)
            self.sync({inbox: [E(AirSync.Delete, E(AirSync.ServerId, item))]}, lose)
        elif what == "move":
            item = chance.choice(held)
            ((status, _),) = client.move_items((item, inbox, chance.choice(self.mine[1:])))
            assert status in ("1", "3"), status
            client.mirror[inbox].pop(item)
        elif what == "send" and client.numbers >= (14, 0):
            self.serial += 1
            subject = f"{client.device_id} {self.serial}"
            mime = self.letter(subject)
            status = client.compose("SendMail", f"{self.serial}", mime)
            again = client.compose("SendMail", f"{self.serial}", mime) if lose else 118
            assert (status, again) == (0, 118), (status, again)
            self.sent.append(subject)
        elif what == "ping":
            client.wait_for(self.mine)

    def run(self) -> None:
        while not self.stop:
            self.step()

    def rest(self) -> None:
        for _ in range(100):
            if not self.sync():
                return
        raise AssertionError("it never comes to rest")


class Lenient(Client):
    """A Delete of what it moved itself is no surprise, nor is a Change of it."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.check = False

    def _apply(self, command, items, result, apply):  # type: ignore[no-untyped-def]
        if command.tag == AirSync.Change and command.text(AirSync.ServerId) not in items:
            return
        super()._apply(command, items, result, apply)


class StormTests(TranscriptCase):
    kind = Lenient

    def test_phones_and_mailbox_are_equal_afterwards_and_every_letter_left_once(self) -> None:
        for number in range(20):
            self.mail(f"Before {number}")
        sent: list[str] = []
        workers: list[Worker] = []
        for seed, version in enumerate(("16.1", "14.1", "12.1")):
            client = self.client(
                version, device_id=f"STORM{seed}", device_type="Phone", user_agent="Storm/1", timeout=30
            )
            client.two_phases()
            client.folder_sync("0")
            worker = Worker(client, seed, self.letter, sent)
            client.begin(*worker.mine)
            workers.append(worker)
        running = [Background(worker.run) for worker in workers]
        until = time.monotonic() + SECONDS
        number = 0
        while time.monotonic() < until:
            number += 1
            self.mail(f"During {number}")
            time.sleep(0.02)
        for worker in workers:
            worker.stop = True
        for one in running:
            one.result(60)
        for _ in range(2):
            for worker in workers:
                worker.rest()
        for worker in workers:
            self.assertEqualToStore(worker.client)
        arrived = self.subjects(INBOX, self.friend)
        for subject in sent:
            self.assertEqual(arrived.count(subject), 1, subject)
        everywhere = [subject for box in self.look().values() for subject, _ in box.items.values()]
        for one in range(1, number + 1):
            self.assertEqual(everywhere.count(f"During {one}"), 1, one)
