"""``docs/security.rst``: every test that it names exists, and the names that a reviewer looks for are among them."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.meta.source import ROOT

PAGE = ROOT / "docs" / "security.rst"
_NAME = re.compile(r"``((?:\w+\.)+)(\w+Tests)\.(test_\w+)``")

#: What the tests of a mail server's dangers are called, wherever one looks.
_WANTED = """
smuggle_in smuggle_out starttls_inject_server starttls_inject_client starttls_state_reset no_starttls_inside_tls
pipeline_order_async rset_cancels_pending_rcpt long_line_is_not_command unterminated_line_bounded helo_lf_injection
envelope_lf_injection address_parser_linear auth_before_tls_refused auth_throttle_shared_with_http_and_eas enum_timing
open_relay_table equal_pref_mx null_mx servfail_is_temporary nodata_vs_nxdomain mtasts_testing_not_enforced
dane_bogus_is_temporary enospc_gives_452 duplicate_window no_dsn_for_dsn loop_by_received loop_by_own_mx
bomb_gzip_zip_zstd bomb_xml bomb_ical bomb_mime bomb_html systemd_notify_ready_after_listen
"""
NAMES = _WANTED.split()


def named() -> list[tuple[str, str, str]]:
    """(module, class, test) of everything that the page names."""
    if not PAGE.is_file():
        raise SkipTest("the source tree is not here")
    return [(match[1].rstrip("."), match[2], match[3]) for match in _NAME.finditer(PAGE.read_text("utf-8"))]


def checklist() -> list[str]:
    """The rows of the page's last table, without its head."""
    return PAGE.read_text("utf-8").partition("The checklist\n---")[2].split("   * - ")[2:]


@lru_cache
def tests_of(path: Path) -> frozenset[tuple[str, str]]:
    """(class, test) of a module."""
    if not path.is_file():
        return frozenset()
    return frozenset(
        (owner.name, node.name)
        for owner in ast.parse(path.read_text("utf-8")).body
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


class PageTests(SynchronousTestCase):
    def test_every_line_is_held_by_a_test_that_exists(self) -> None:
        for module, owner, name in named():
            path = ROOT / "tests" / f"{module.replace('.', '/')}.py"
            self.assertIn((owner, name), tests_of(path), f"{module}.{owner}.{name} does not exist")
        rows = checklist()
        self.assertGreater(len(rows), 35)
        for row in rows:
            self.assertRegex(row, _NAME)

    def test_every_quoted_name_is_read_by_this_test(self) -> None:
        quoted = re.findall(r"\| ``([^`]+)``", PAGE.read_text("utf-8"))
        self.assertEqual(quoted, [".".join(one) for one in named()])

    def test_the_names_that_one_looks_for(self) -> None:
        known = {name for _, _, name in named()}
        self.assertEqual([name for name in NAMES if f"test_{name}" not in known], [])
        self.assertTrue(any(name.startswith("test_kill9_every_fault_point") for name in known))

    def test_most_are_about_real_ports(self) -> None:
        rows = checklist()
        raw = [row for row in rows if "``system." in row]
        self.assertGreaterEqual(len(raw), len(rows) - 2, [row for row in rows if row not in raw])
