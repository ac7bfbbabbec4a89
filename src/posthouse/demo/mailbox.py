"""About 300 varied messages for the first user of the demo: the same ones for the same day of beginning.

Everything is made from the words in ``texts`` and a random generator with a fixed seed: threads that go
back and forth (our user's part lies in Sent Items), newsletters in HTML, attachments of several kinds,
inline pictures, letters in many languages and charsets, an invitation with its update and another one
cancelled, long texts, mailing lists, and a little junk. Dates spread over the past seven months; old
mail is read, some is flagged.
"""

from __future__ import annotations

from random import Random

from attrs import frozen

from posthouse.demo import plans
from posthouse.demo.cast import LISTS, Person
from posthouse.demo.letters import address, message
from posthouse.demo.plans import DAY, Plan, domain_of
from posthouse.model import FolderType

__all__ = ["DemoMessage", "messages"]


@frozen
class DemoMessage:
    """One message and how it lies in the mailbox. ``received`` in milliseconds."""

    raw: bytes
    sender: str
    received: int
    folder: FolderType | None  # None is Junk
    read: bool
    flagged: bool


def messages(now: int, owner: Person, other: Person) -> list[DemoMessage]:
    """The mailbox of ``owner``, oldest first. ``other`` is the demo's second user, who writes, too."""
    random = Random(1904)
    found = [
        *plans.threads(random, owner, other),
        *plans.newsletters(random),
        *plans.notes(random),
        *plans.attached(random, other),
        *plans.pictures(random),
        *plans.letters(random),
        *plans.invitations(random, now, owner, other),
        *plans.long(random),
        *plans.lists(random),
        *plans.junk(random),
        plans.welcome(other),
    ]
    made = []
    for number, plan in enumerate(sorted(found, key=lambda plan: -plan.age)):
        date = now - plan.age
        sent = plan.folder is FolderType.SENT
        who = address(plan.sender.name, plan.sender.address, plan.charset)
        made.append(
            DemoMessage(
                raw=message(
                    plan.part,
                    sender=plan.from_header or who,
                    to=_to(plan, owner, other),
                    subject=plan.subject,
                    date=date - 2000,
                    message_id=plan.message_id
                    or f"{number:04d}.{plan.age % 99991:05d}@{domain_of(plan.sender)}",
                    charset=plan.charset,
                    cc=plan.cc,
                    references=plan.references,
                    extra=plan.extra,
                ),
                sender=plan.sender.address,
                received=date,
                folder=plan.folder,
                read=sent
                or (plan.age > 21 * DAY and number % 11 != 3)
                or (plan.age > 3 * DAY and number % 3 == 0),
                flagged=not sent and number % 23 == 5,
            )
        )
    return made


def _to(plan: Plan, owner: Person, other: Person) -> str:
    if plan.folder is FolderType.SENT:
        return address(other.name, other.address) if not plan.cc else plan.cc
    for one in LISTS:
        if plan.extra and one.address in "".join(plan.extra):
            return address(one.name, one.address)
    return address(owner.name, owner.address)
