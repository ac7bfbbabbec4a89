"""SPF by the sections of the openspf test-suite: each case is a client, an identity, and what comes of them.

The world is one zone; a case's domain says what it is about. pyspf is asked the same.
"""

from __future__ import annotations

from attrs import frozen
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from posthouse.dns.codec import Status
from posthouse.mailauth.spf import SpfResult, check_helo, check_mail_from
from tests.mailauth.zone import Zone, run

V4, V6 = "1.2.3.4", "cafe:babe::1"


@frozen
class Case:
    """``sender`` is "" for a check of HELO. ``differs``: why pyspf says something else."""

    domain: str
    record: str | tuple[str, ...] | Status
    result: str
    client: str = V4
    sender: str = "foo@{}"
    helo: str = "mail.example.net"
    explanation: str = ""
    differs: str = ""


RECORD_LOOKUP = (
    Case("two.lookup.test", ("v=spf1 +all", "v=spf1 -all"), "permerror"),
    Case("alike.lookup.test", ("v=spf1 -all", "v=spf10 +all", "spf2.0/pra +all"), "fail"),
    Case("fails.lookup.test", Status.FAILED, "temperror"),
    Case("none.lookup.test", ("just text", "V=SPF2"), "none"),
    Case("second.lookup.test", ("a first text", "v=spf1 ?all"), "neutral"),
    Case("empty.lookup.test", ("", "v=spf1"), "neutral"),
)
EVALUATION = (
    Case("literal.eval.test", "v=spf1 -all", "none", sender="foo@[1.2.3.5]"),
    Case("helo.eval.test", "v=spf1 -all", "none", sender="", helo="[1.2.3.5]"),
    Case("bare.eval.test", "v=spf1 -all", "none", sender="", helo="OEMCOMPUTER"),
    Case("hello.eval.test", "v=spf1 -all", "fail", sender="", helo="hello.eval.test"),
    Case("no-local.eval.test", "v=spf1 exists:%{l}.known.test -all", "pass", sender="@no-local.eval.test"),
    Case("label.eval.test", "v=spf1 -all", "none", sender=f"foo@{'a' * 64}.eval.test"),
    Case(f"{'b' * 63}.eval.test", "v=spf1 -all", "fail"),
    Case("gap.eval.test", "v=spf1 -all", "none", sender="foo@gap..eval.test"),
    Case(
        "quoted.eval.test",
        "v=spf1 -all",
        "fail",
        sender='"a@b c"@quoted.eval.test',
        differs="a space in the sender",
    ),
    Case("upper.eval.test", "v=spf1 -all", "fail", sender="foo@UPPER.EVAL.TEST"),
    Case("non-ascii.eval.test", "v=spf1 a:\u00fcber.test -all", "permerror"),
)
SYNTAX = (
    Case("no-space.syntax.test", "v=spf1-all", "none"),
    Case("spaces.syntax.test", "v=spf1    -all   ", "fail"),
    Case("mod.syntax.test", "v=spf1 foo.bar=%{h} ~all", "softfail"),
    Case("mod-bad.syntax.test", "v=spf1 a=%{q} -all", "permerror"),
    Case("mech-chars.syntax.test", "v=spf1 -all b_c:d", "permerror"),
    Case("late.syntax.test", "v=spf1 +all ip4:1.2.3.4/40", "permerror"),
    Case("mixed.syntax.test", "v=SpF1 IP4:1.2.3.4 -ALL", "pass"),
    Case("equals.syntax.test", "v=spf1 =all", "permerror"),
)
ALL = (
    Case("dot.all.test", "v=spf1 -all.", "permerror"),
    Case("argument.all.test", "v=spf1 -all:foobar", "permerror"),
    Case("cidr.all.test", "v=spf1 -all/8", "permerror"),
    Case("neutral.all.test", "v=spf1 ?all", "neutral"),
    Case("double.all.test", "v=spf1 all -all", "pass"),
    Case("behind.all.test", "v=spf1 -all redirect=yes.test", "fail"),
)
PTR = (
    Case("host.ptr.test", "v=spf1 ptr:ptr.test -all", "pass"),
    Case("implicit.ptr.test", "v=spf1 ptr -all", "fail"),
    Case("mail.ptr.test", "v=spf1 ptr -all", "pass"),
    Case("six.ptr.test", "v=spf1 ptr:six.test -all", "pass", client=V6),
    Case("suffix.ptr.test", "v=spf1 ptr:tr.test -all", "fail"),
    Case("many.ptr.test", "v=spf1 ptr:eleventh.test -all", "fail", client="1.2.3.11"),
    Case("tenth.ptr.test", "v=spf1 ptr:n10.many.test -all", "pass", client="1.2.3.11"),
    Case("nobody.ptr.test", "v=spf1 ptr:ptr.test -all", "fail", client="9.9.9.9"),
    Case(
        "broken.ptr.test", "v=spf1 ptr:ptr.test -all", "fail", client="1.2.3.66", differs="DNS errors in ptr"
    ),
)
A = (
    Case("six.a.test", "v=spf1 a:six.test -all", "pass", client=V6),
    Case("four-of-six.a.test", "v=spf1 a:six.test -all", "fail"),
    Case("net.a.test", "v=spf1 a:six.test//16 -all", "pass", client="cafe::9"),
    Case("four-net.a.test", "v=spf1 a:near.test/24//128 -all", "pass"),
    Case("wrong-net.a.test", "v=spf1 a:near.test//24 -all", "fail"),
    Case("three-slashes.a.test", "v=spf1 a:near.test/24///64 -all", "permerror"),
    Case("leading-zero.a.test", "v=spf1 a:near.test/024 -all", "permerror", differs="takes zeros in front"),
    Case("numeric-end.a.test", "v=spf1 a:foo.123 -all", "permerror"),
    Case("dashes.a.test", "v=spf1 a:foo.x-n--q -all", "fail"),
    Case("null.a.test", "v=spf1 a:near\0.test -all", "permerror", differs="takes any byte"),
    Case("several.a.test", "v=spf1 a:several.test -all", "pass"),
    Case("alias.a.test", "v=spf1 a:nowhere.test a:known.test -all", "fail"),
    Case("under.a.test", "v=spf1 a:_spf.known.test -all", "pass"),
)
INCLUDE = (
    Case("pass.include.test", "v=spf1 include:yes.test -all", "pass"),
    Case("fail.include.test", "v=spf1 include:no.test ~all", "softfail"),
    Case("soft.include.test", "v=spf1 include:soft.test ?all", "neutral"),
    Case("qualified.include.test", "v=spf1 ~include:yes.test -all", "softfail"),
    Case("temp.include.test", "v=spf1 include:fails.lookup.test +all", "temperror"),
    Case("perm.include.test", "v=spf1 include:two.lookup.test +all", "permerror"),
    Case("none.include.test", "v=spf1 include:near.test +all", "permerror"),
    Case("twice.include.test", "v=spf1 include:pass.include.test -all", "pass"),
    Case("macro.include.test", "v=spf1 include:%{l}.test -all", "pass", sender="yes@macro.include.test"),
    Case("itself.include.test", "v=spf1 include:itself.include.test -all", "permerror"),
)
MX = (
    Case("mail.mx.test", "v=spf1 mx:mail.test -all", "pass"),
    Case("six.mx.test", "v=spf1 mx:mail.test -all", "pass", client=V6),
    Case("net.mx.test", "v=spf1 mx:mail.test//16 -all", "pass", client="cafe::9"),
    Case("a-only.mx.test", "v=spf1 mx:near.test/0 -all", "fail"),
    Case("null.mx.test", "v=spf1 mx:null.test -all", "fail"),
    Case("colon.mx.test", "v=spf1 mx:foo:bar.test -all", "fail", differs="a colon in a name"),
    Case("slash.mx.test", "v=spf1 mx:mail.test/ -all", "permerror"),
    Case("dot.mx.test", "v=spf1 mx:mail.test. -all", "pass"),
)
EXISTS = (
    Case("yes.exists.test", "v=spf1 exists:known.test -all", "pass"),
    Case("four-only.exists.test", "v=spf1 exists:only-six.test -all", "fail", client=V6),
    Case("six.exists.test", "v=spf1 exists:known.test -all", "pass", client=V6),
    Case("temp.exists.test", "v=spf1 exists:fails.a.known.test +all", "temperror"),
    Case("empty.exists.test", "v=spf1 exists: +all", "permerror"),
    Case("slash.exists.test", "v=spf1 exists:known.test/24 +all", "permerror"),
)
IP = (
    Case("four.ip.test", "v=spf1 ip4:1.2.3.0/29 -all", "pass"),
    Case("six.ip.test", "v=spf1 ip6:cafe:babe:8000::/33 -all", "fail", client=V6),
    Case("six-in.ip.test", "v=spf1 ip6:CAFE:BABE::/32 -all", "pass", client=V6),
    Case("mapped.ip.test", "v=spf1 ip4:1.2.3.4 -all", "pass", client="::ffff:1.2.3.4"),
    Case("mapped-six.ip.test", "v=spf1 ip6:::ffff:1.2.3.4 -all", "fail", client="::ffff:1.2.3.4"),
    Case("six-zero.ip.test", "v=spf1 ip6:::1.1.1.1/0 -all", "pass", client=V6),
    Case("six-long.ip.test", "v=spf1 ip6:cafe:babe::/0129 -all", "permerror", client=V6),
    Case("six-none.ip.test", "v=spf1 ip6:cafe:babe -all", "permerror", client=V6),
    Case("six-dots.ip.test", "v=spf1 ip6:cafe::babe::1 -all", "permerror", client=V6),
    Case("four-short.ip.test", "v=spf1 ip4:1.2.3 -all", "permerror"),
    Case("four-zero.ip.test", "v=spf1 ip4:0.0.0.0/0 -all", "fail", client=V6),
)
MODIFIERS = (
    Case("plain.exp.test", "v=spf1 -all exp=why.test", "fail", explanation="Because of 1.2.3.4"),
    Case("pass.exp.test", "v=spf1 +all exp=why.test", "pass"),
    Case("soft.exp.test", "v=spf1 ~all exp=why.test", "softfail"),
    Case("front.exp.test", "v=spf1 exp=why.test -all", "fail", explanation="Because of 1.2.3.4"),
    Case("gone.exp.test", "v=spf1 -all exp=nowhere.test", "fail"),
    Case("two.exp.test", "v=spf1 -all exp=several-why.test", "fail"),
    Case("fails.exp.test", "v=spf1 -all exp=fails.lookup.test", "fail"),
    Case("empty.exp.test", "v=spf1 -all exp=", "permerror"),
    Case("macro.exp.test", "v=spf1 -all exp=%{q}", "permerror"),
    Case("twice.exp.test", "v=spf1 exp=why.test exp=why.test -all", "permerror"),
    Case("included.exp.test", "v=spf1 include:plain.exp.test -all", "fail"),
    Case("taken.exp.test", "v=spf1 redirect=plain.exp.test", "fail", explanation="Because of 1.2.3.4"),
    Case("own.exp.test", "v=spf1 redirect=no.test exp=why.test", "fail"),
    Case("to.redirect.test", "v=spf1 redirect=yes.test", "pass"),
    Case("none.redirect.test", "v=spf1 redirect=near.test", "permerror"),
    Case("empty.redirect.test", "v=spf1 redirect=", "permerror"),
    Case("twice.redirect.test", "v=spf1 redirect=yes.test redirect=yes.test", "permerror"),
    Case("front.redirect.test", "v=spf1 redirect=no.test ip4:1.2.3.4", "pass"),
    Case("itself.redirect.test", "v=spf1 redirect=itself.redirect.test", "permerror"),
    Case("slash.redirect.test", "v=spf1 redirect=yes.test/8", "permerror"),
    Case("wild.redirect.test", "v=spf1 redirect=%{l}.test", "pass", sender="yes@wild.redirect.test"),
    Case("unknown.redirect.test", "v=spf1 default=pass -all", "fail"),
)
MACROS = (
    Case("percent.macro.test", "v=spf1 -all exp=percent.why.test", "fail", explanation="50% of%20it is"),
    Case("undefined.macro.test", "v=spf1 exists:%{a}.test -all", "permerror"),
    Case("alone.macro.test", "v=spf1 exists:%.test -all", "permerror"),
    Case("only-exp.macro.test", "v=spf1 exists:%{c}.test -all", "permerror"),
    Case("reverse.macro.test", "v=spf1 exists:%{dr}.known.test -all", "pass"),
    Case("part.macro.test", "v=spf1 exists:%{d2}.known.test -all", "pass"),
    Case("much.macro.test", "v=spf1 exists:%{d99}.known.test -all", "pass"),
    Case(
        "split.macro.test", "v=spf1 exists:%{l2r+-}.known.test -all", "pass", sender="a+b-c@split.macro.test"
    ),
    Case("helo.macro.test", "v=spf1 exists:%{h}.known.test -all", "pass"),
    Case("six.macro.test", "v=spf1 exists:%{v}.known.test -all", "pass", client=V6),
    Case("four.macro.test", "v=spf1 exists:%{i}.known.test -all", "pass"),
    Case("name.macro.test", "v=spf1 exists:%{p}.known.test -all", "pass"),
    Case("nameless.macro.test", "v=spf1 exists:%{p}.known.test -all", "pass", client="9.9.9.9"),
    Case(
        "escaped.macro.test",
        "v=spf1 -all exp=url.why.test",
        "fail",
        sender="~jack&jill=up-a_b3.c@escaped.macro.test",
        explanation="http://x/?s=~jack%26jill%3Dup-a_b3.c%40escaped.macro.test",
    ),
)
LIMITS = (
    Case("ten.limit.test", "v=spf1" + " a:near.test" * 10 + " -all", "fail"),
    Case("eleven.limit.test", "v=spf1" + " a:near.test" * 11 + " -all", "permerror"),
    Case("inside.limit.test", "v=spf1 a:near.test include:ten.limit.test -all", "permerror"),
    Case("nine.limit.test", "v=spf1" + " a:near.test" * 9 + " redirect=yes.test", "pass"),
    Case("found.limit.test", "v=spf1" + " a:near.test" * 9 + " ip4:1.2.3.4" + " mx" * 9, "pass"),
    Case("free.limit.test", "v=spf1" + " ip6:::1" * 20 + " ip4:9.9.9.9" * 20 + " -all", "fail"),
    Case("void.limit.test", "v=spf1 exists:v1.test exists:v2.test exists:v3.test -all", "permerror"),
    Case("two-void.limit.test", "v=spf1 exists:v1.test exists:v2.test -all", "fail"),
    Case("mx.limit.test", "v=spf1 mx:eleven.test -all", "permerror"),
    Case("loop.limit.test", "v=spf1 include:pool.limit.test -all", "permerror"),
    Case("pool.limit.test", "v=spf1 include:loop.limit.test -all", "permerror"),
)
CASES = (
    *RECORD_LOOKUP, *EVALUATION, *SYNTAX, *ALL, *PTR, *A, *INCLUDE, *MX, *EXISTS, *IP, *MODIFIERS, *MACROS, *LIMITS,
)  # fmt: skip


def world() -> Zone:
    made = Zone(
        {
            ("near.test", "A"): ("1.2.3.5",),
            ("several.test", "A"): ("9.9.9.1", "1.2.3.4", "9.9.9.2"),
            ("six.test", "AAAA"): (V6,),
            ("only-six.test", "AAAA"): (V6,),
            ("known.test", "A"): ("127.0.0.2",),
            ("_spf.known.test", "A"): (V4,),
            ("fails.a.known.test", "A"): Status.FAILED,
            ("mail.test", "MX"): ((10, "near.test"), (20, "host.mail.test")),
            ("host.mail.test", "A"): (V4,),
            ("host.mail.test", "AAAA"): (V6,),
            ("null.test", "MX"): ((0, ""),),
            ("eleven.test", "MX"): tuple((n, f"m{n}.eleven.test") for n in range(11)),
            ("4.3.2.1.in-addr.arpa", "PTR"): ("liar.test", "mail.ptr.test"),
            ("liar.test", "A"): ("9.9.9.3",),
            ("mail.ptr.test", "A"): (V4,),
            ("1." + "0." * 23 + "e.b.a.b.e.f.a.c.ip6.arpa", "PTR"): ("six.test",),
            ("11.3.2.1.in-addr.arpa", "PTR"): (*(f"n{n}.many.test" for n in range(1, 11)), "eleventh.test"),
            ("66.3.2.1.in-addr.arpa", "PTR"): Status.FAILED,
            ("eleventh.test", "A"): ("1.2.3.11",),
        }
    )
    for number in range(1, 11):
        made.records[f"n{number}.many.test", "A"] = ("1.2.3.11",)
    for name in (
        "postmaster", "test.macro.reverse", "macro.test", "much.macro.test", "b.a", "mail.example.net", "ip6",
        V4, "mail.ptr.test", "unknown",
    ):  # fmt: skip
        made.records[f"{name}.known.test", "A"] = ("127.0.0.2",)
    made.text("yes.test", "v=spf1 ip4:1.2.3.4 -all")
    made.text("no.test", "v=spf1 -all")
    made.text("soft.test", "v=spf1 ~all")
    made.text("why.test", "Because of %{i}")
    made.text("several-why.test", "one", "two")
    made.text("percent.why.test", "50%% of%-it%_is")
    made.text("url.why.test", "http://x/?s=%{S}")
    for case in CASES:
        if isinstance(case.record, Status):
            made.records[case.domain, "TXT"] = case.record
        else:
            made.text(case.domain, *((case.record,) if isinstance(case.record, str) else case.record))
    return made


def check(case: Case, zone: Zone) -> SpfResult:
    if not case.sender:
        found: SpfResult = run(check_helo(case.client, case.helo, zone.lookup))
    else:
        found = run(check_mail_from(case.client, case.helo, case.sender.format(case.domain), zone.lookup))
    return found


class SuiteTests(SynchronousTestCase):
    def test_every_case(self) -> None:
        zone = world()
        wrong = []
        for case in CASES:
            found = check(case, zone)
            if (found.result, found.explanation) != (case.result, case.explanation):
                wrong.append((case.domain, case.result, found))
        self.assertEqual(wrong, [])
        self.assertEqual(len({case.domain for case in CASES}), len(CASES))

    def test_pyspf_says_the_same(self) -> None:
        try:
            import spf
        except ImportError:
            raise SkipTest("pyspf is not installed") from None
        zone = world()

        def ask(name: str, kind: str, strict: bool = True, timeout: int = 20) -> list[object]:
            answer = zone.answer(name.lower().rstrip("."), kind)
            if answer.status is Status.FAILED:
                raise spf.TempError("no answer")
            wrapped = kind == "TXT"
            return [((name, kind), (record,) if wrapped else record) for record in answer.records]

        self.patch(spf, "DNSLookup", ask)
        wrong = []
        for case in CASES:
            if not case.differs:
                theirs = spf.check2(i=case.client, s=case.sender.format(case.domain), h=case.helo)[0]
                if theirs != case.result:
                    wrong.append((case.domain, case.record, case.result, theirs))
        self.assertEqual(wrong, [])
