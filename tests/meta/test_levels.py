"""A room imports only from lower levels, and only ``tap`` knows the global reactor."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from tests.meta.source import imports, modules, room_of

LEVELS = {
    "": 0,
    "errors": 0,
    "faults": 0,
    "model": 0,
    "interfaces": 0,
    "config": 0,
    "settings": 0,
    "peers": 0,
    "policy": 0,
    "wbxml": 1,
    "mime": 1,
    "pim": 1,
    "mailauth": 1,
    "junk": 1,
    "rules": 1,
    "tlspolicy": 1,
    "work": 2,
    "dns": 2,
    "store": 2,
    "bus": 2,
    "auth": 2,
    "certs": 2,
    "http": 3,
    "smtp": 3,
    "delivery": 3,
    "eas": 4,
    "autodiscover": 4,
    "oauth": 4,
    "mapi": 4,
    "web": 4,
    "admin": 4,
    "daemon": 5,
    "demo": 5,
    "cli": 5,
    "tap": 5,
}
PURE = {"wbxml", "mime", "pim", "mailauth", "tlspolicy", "junk", "rules"}
# Level 4 stands on http alone of level 3 (mail goes through IOutbox).
ON_HTTP = {"eas", "autodiscover", "oauth", "mapi", "web", "admin"}
IMPURE_MODULES = ("twisted", "sqlite3", "sqlite_utils", "time", "random", "os.environ", "secrets", "socket")


class LevelTests(SynchronousTestCase):
    def test_every_room_has_a_level(self) -> None:
        self.assertEqual({room_of(name) for name, _ in modules()} - set(LEVELS), set())

    def test_imports_go_down_only(self) -> None:
        wrong = []
        for name, path in modules():
            room = room_of(name)
            for target, typing_only in imports(path):
                if typing_only or not target.startswith("posthouse"):
                    continue
                other = room_of(target)
                if other not in LEVELS:
                    other = ""  # posthouse.__version__
                if other == room or LEVELS[other] < LEVELS[room] == 5 or LEVELS[room] == 5:
                    continue
                allowed = LEVELS[other] < LEVELS[room] or LEVELS[room] == 0 == LEVELS[other]
                if LEVELS[other] == 3 and room in ON_HTTP:
                    allowed = other == "http"
                if not allowed:
                    wrong.append(f"{name} imports {target}")
        self.assertEqual(wrong, [])

    def test_pure_rooms_know_no_clock_no_network_and_no_twisted(self) -> None:
        wrong = [
            f"{name} imports {target}"
            for name, path in modules()
            if room_of(name) in PURE
            for target, typing_only in imports(path)
            if not typing_only and target.split(".")[0] in IMPURE_MODULES
        ]
        self.assertEqual(wrong, [])

    def test_the_lowest_level_knows_no_twisted(self) -> None:
        wrong = [
            f"{name} imports {target}"
            for name, path in modules()
            if LEVELS[room_of(name)] == 0
            for target, typing_only in imports(path)
            if not typing_only and target.split(".")[0] in ("twisted", "sqlite3")
        ]
        self.assertEqual(wrong, [])

    def test_only_tap_imports_the_reactor(self) -> None:
        wrong = [
            name
            for name, path in modules()
            if name != "posthouse.tap"
            for target, _ in imports(path)
            if target == "twisted.internet.reactor"
        ]
        self.assertEqual(wrong, [])

    def test_sql_is_spoken_in_the_store_only(self) -> None:
        allowed = {"store", "cli"}  # cli names SQLite's version
        wrong = [
            f"{name} imports {target}"
            for name, path in modules()
            if room_of(name) not in allowed
            for target, _ in imports(path)
            if target.split(".")[0] in ("sqlite3", "sqlite_utils")
        ]
        self.assertEqual(wrong, [])

    def test_eas_speaks_wbxml_and_nobody_else_does(self) -> None:
        wrong = [
            name
            for name, path in modules()
            if room_of(name) not in ("eas", "wbxml")
            for target, _ in imports(path)
            if target.startswith("posthouse.wbxml")
        ]
        self.assertEqual(wrong, [])


class StyleTests(SynchronousTestCase):
    def test_every_module_opens_with_its_promise(self) -> None:
        silent = [
            name
            for name, path in modules()
            if path.read_text(encoding="utf-8").strip()
            and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        ]
        self.assertEqual(silent, [])

    def test_nothing_is_left_for_later(self) -> None:
        words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
        found = [
            f"{name}: {word}"
            for name, path in modules()
            for word in words
            if word in path.read_text(encoding="utf-8")
        ]
        self.assertEqual(found, [])
