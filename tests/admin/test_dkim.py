"""The keys of a domain change without a message that nobody can verify."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from posthouse.dns.codec import Status
from posthouse.errors import Exists, Malformed, NoSuchAccount, NoSuchThing, NotPermitted
from posthouse.mailauth.dkim_sign import make_key
from posthouse.store import dkim_keys
from tests.admin.test_operations import NOW, OperationsCase
from tests.mailauth.zone import Zone

DAY = 24 * 3600 * 1000


class RotationCase(OperationsCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = NOW
        self.zone = Zone()

        def made(kind: str) -> Deferred[bytes]:
            return succeed(make_key(kind))

        self.ports = evolve(self.ports, make_key=made, lookup=self.zone.lookup, now=lambda: self.now)
        self.run_op("domain add", domain="new.example")
        self.publish()

    def publish(self) -> None:
        """Paste what ``domain dns`` prints."""
        for line in self.run_op("domain dns", domain="new.example"):
            name, found, rest = line.partition(". IN TXT ")
            if found:
                self.zone.text(name, "".join(re.findall(r'"([^"]*)"', rest)))

    def order(self, step: str | None = None, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.run_op("domain dkim", domain="new.example", step=step, **more)
        return found

    def states(self) -> dict[str, str]:
        return {one["selector"]: f"{one['state']} {one['published']}" for one in self.order()["keys"]}

    def signs(self) -> list[str]:
        keys = self.db.read_now(lambda tx: dkim_keys.signing_keys(tx, "new.example"))
        return [key.selector for key in keys]


class RotationTests(RotationCase):
    def test_from_the_first_keys_to_the_next(self) -> None:
        self.assertEqual(self.states(), {"r202609": "active yes", "e202609": "active yes"})
        self.assertIn("domain dkim new.example next", self.order()["then"][0])

        made = self.order("next")
        self.assertEqual(self.signs(), ["r202609", "e202609"])
        self.assertEqual([one["published"] for one in made["keys"] if one["state"] == "next"], ["no", "no"])
        self.assertIn('Publish: r202609-2._domainkey.new.example. IN TXT ( "v=DKIM1; k=rsa', made["then"][0])
        self.assertIn(
            "has no such key at r202609-2._domainkey",
            self.refused(NotPermitted, "domain dkim", domain="new.example", step="switch"),
        )
        self.assertEqual(self.signs(), ["r202609", "e202609"])

        self.publish()
        self.assertIn("new.example switch", self.order()["then"][0])
        self.order("switch")
        self.assertEqual(self.signs(), ["r202609-2", "e202609-2"])
        self.assertEqual(self.states()["r202609"], "retired yes")
        # Mail that the old ones signed is on its way.
        self.assertIn("r202609._domainkey", "\n".join(self.run_op("domain dns", domain="new.example")))
        self.assertIn(
            "until 2026-", self.refused(NotPermitted, "domain dkim", domain="new.example", step="retire")
        )

        self.now += 7 * DAY
        self.order("retire")
        self.assertEqual(self.states(), {"r202609-2": "active yes", "e202609-2": "active yes"})
        self.assertNotIn("r202609._domainkey", "\n".join(self.run_op("domain dns", domain="new.example")))

    def test_all_next_keys_have_to_be_there_and_the_right_ones(self) -> None:
        self.order("next")
        self.publish()
        name = "e202609-2._domainkey.new.example"
        for record, said in (
            (Status.FAILED, "cannot be asked"),
            ((b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",), "another key"),
            ((b"v=DKIM1; p=",), "another key"),
        ):
            self.zone.records[name, "TXT"] = record
            refused = self.refused(NotPermitted, "domain dkim", domain="new.example", step="switch")
            self.assertIn(said, refused)
        self.assertEqual(self.signs(), ["r202609", "e202609"])
        self.order("switch", unchecked=True)
        self.assertEqual(self.signs(), ["r202609-2", "e202609-2"])

    def test_steps_out_of_order(self) -> None:
        for step, kind in (("switch", NoSuchThing), ("retire", NoSuchThing), ("begin", Malformed)):
            self.refused(kind, "domain dkim", domain="new.example", step=step)
        self.refused(NoSuchAccount, "domain dkim", domain="else.example", step="next")
        self.order("next")
        self.refused(Exists, "domain dkim", domain="new.example", step="next")

    def test_a_second_change_within_the_week_keeps_all_earlier_keys(self) -> None:
        self.order("next")
        self.order("switch", unchecked=True)
        self.order("next")
        self.order("switch", unchecked=True)
        self.assertEqual(self.signs(), ["r202609-3", "e202609-3"])
        self.assertEqual(sum(state.startswith("retired") for state in self.states().values()), 4)

    def test_without_anybody_to_ask_only_the_unchecked_works(self) -> None:
        self.ports = evolve(self.ports, lookup=None)
        self.order("next")
        self.assertIn(
            "cannot be asked", self.refused(NotPermitted, "domain dkim", domain="new.example", step="switch")
        )
        self.assertEqual(set(self.states().values()), {"active unknown", "next unknown"})

    def test_a_domain_without_keys_gets_its_first_ones(self) -> None:
        found = self.run_op("domain dkim", domain="example.org")
        self.assertEqual(
            (found["keys"], found["then"]), ([], ["Make keys: posthouse domain dkim example.org next"])
        )
        made = self.run_op("domain dkim", domain="example.org", step="next")
        self.assertEqual([one["state"] for one in made["keys"]], ["active", "active"])
        self.assertEqual([line.partition(":")[0] for line in made["then"]], ["Publish", "Publish"])
