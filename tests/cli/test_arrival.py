"""Rules and junk on the command line: the whole way from the words to the mailbox."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.test_main import CommandCase


class ArrivalCase(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.init()
        self.good("domain", "add", "example.org")
        self.good("user", "add", "ann@example.org", "--generate")

    def rules(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.good("--json", "rule", "list", "ann@example.org"))
        return found

    def bad(self, *words: str) -> str:
        code, _, err = self.run_main(*words)
        self.assertEqual(code, 1, err)
        return err


class RuleTests(ArrivalCase):
    def add(self, *words: str) -> None:
        self.good("rule", "add", "ann@example.org", *words)

    def test_a_rule_from_its_words_to_its_end(self) -> None:
        self.add(
            "--name", "Bills", "--if", "from is Shop@Example.COM", "--if", "subject contains bill | invoice",
            "--unless", "attachment no", "--do", "move junk email", "--do", "category Money", "--stop",
        )  # fmt: skip
        (rule,) = self.rules()
        self.assertEqual(
            rule["when"],
            "from is shop@example.com and subject contains bill | invoice, unless attachment is no",
        )
        self.assertEqual(rule["do"], "move Junk Email; category Money; stop")
        self.assertEqual((rule["name"], rule["enabled"], rule["position"]), ("Bills", True, 1))
        number = str(rule["id"])
        self.good("rule", "edit", "ann@example.org", number, "--name", "Paid", "--do", "read", "--any", "yes")
        (rule,) = self.rules()
        self.assertEqual((rule["name"], rule["do"]), ("Paid", "read; stop"))
        self.assertIn(" or ", rule["when"])
        self.good("rule", "edit", "ann@example.org", number, "--enabled", "no", "--stop", "no")
        self.assertEqual((self.rules()[0]["enabled"], self.rules()[0]["do"]), (False, "read"))
        self.add("--if", "only-me", "--do", "flag", "--position", "1")
        self.assertEqual([one["name"] for one in self.rules()], ["only-me", "Paid"])
        self.assertIn("Paid", self.good("rule", "move", "ann@example.org", number, "1"))
        self.assertEqual([one["name"] for one in self.rules()], ["Paid", "only-me"])
        self.good("rule", "remove", "ann@example.org", number)
        self.assertEqual([one["name"] for one in self.rules()], ["only-me"])

    def test_a_rule_as_json(self) -> None:
        form = {"name": "J", "conditions": [{"field": "list"}], "actions": [{"do": "delete"}]}
        self.add("--form", json.dumps(form))
        self.assertEqual(
            self.rules()[0]["form"]["conditions"], [{"field": "list", "test": "is", "values": ["yes"]}]
        )
        self.good(
            "rule",
            "edit",
            "ann@example.org",
            str(self.rules()[0]["id"]),
            "--form",
            json.dumps(form | {"name": "K"}),
        )
        self.assertEqual(self.rules()[0]["name"], "K")

    def test_mistakes_are_one_sentence(self) -> None:
        self.good("group", "add", "crew@example.org", "ann@example.org")
        for words, said in (
            (("--if", "moon full", "--do", "read"), "begins with none of"),
            (("--if", "from ann", "--do", "sing"), "begins with none of"),
            (("--if", "from ann"), "something to do"),
            (("--if", "from ann", "--do", "move Nowhere"), 'no folder "Nowhere"'),
            (("--do", "move Calendar"), "folder for mail"),
            (("--do", "forward nobody"), "not a mail address"),
            (("--do", "redirect nobody@example.org"), "leads nowhere"),
            (("--do", "redirect crew@example.org"), "crew@example.org is a group"),
            (("--form", "{"), "is JSON"),
        ):
            self.assertIn(said, self.bad("rule", "add", "ann@example.org", *words))
        self.assertIn("no such rule", self.bad("rule", "remove", "ann@example.org", "7"))
        self.assertIn("no such rule", self.bad("rule", "edit", "ann@example.org", "7", "--name", "x"))
        self.assertIn("no such message", self.bad("rule", "test", "ann@example.org", "--item", "7"))
        self.assertIn("no such message", self.bad("rule", "test", "ann@example.org"))
        self.assertIn("There is no user", self.bad("rule", "list", "bob@example.org"))


class JunkTests(ArrivalCase):
    def test_senders(self) -> None:
        self.good("junk", "safe", "ann@example.org", "Bo@Far.example")
        self.good("junk", "block", "ann@example.org", "@SPAM.example")
        self.good("junk", "block", "ann@example.org", "evil.example")
        listed = self.good("junk", "senders", "ann@example.org")
        for line in (r"bo@far\.example +safe", r"@spam\.example +blocked", r"@evil\.example +blocked"):
            self.assertRegex(listed, line)
        self.good("junk", "unlist", "ann@example.org", "bo@far.example")
        shown = json.loads(self.good("--json", "junk", "show", "ann@example.org"))
        self.assertEqual((shown["safe_senders"], shown["blocked_senders"], shown["learned_junk"]), (0, 2, 0))
        self.assertIn("neither", self.bad("junk", "block", "ann@example.org", "not a sender"))

    def test_learning(self) -> None:
        found = json.loads(self.good("--json", "junk", "learn", "ann@example.org"))
        self.assertEqual((found["junk"], found["good"]), (0, 0))
        self.good("junk", "forget", "ann@example.org")
