"""What the client does where TLS is asked for, and with large messages."""

from __future__ import annotations

import re
from typing import Any

from posthouse.model import HopPolicy, NextHop, TlsSession
from posthouse.smtp.conversation import CHUNK
from tests.smtp.test_client import Base, Net, Server
from tests.support.smtp import FakeIntake, Peer


class PolicyTests(Base):
    """What the policy of a host asks for."""

    def hop(self, name: str = "m1", **policy: Any) -> NextHop:
        about = TlsSession("there.example", "sts")
        return NextHop(f"{name}.example", (name,), policy=HopPolicy(about=about, **policy))

    def test_a_policy_leaves_no_way_in_clear_text(self) -> None:
        for tls in ("required", "verified", "dane"):
            for server in (Server(), Server("STARTTLS", STARTTLS=b"454 no"), Server("STARTTLS")):
                server.fail_tls = True
                net = Net(m1=server)
                heard: list[TlsSession] = []
                result = self.results(net, hosts=(self.hop(tls=tls),), note=heard.append)[0]
                self.assertEqual(result.outcome, "retry")
                self.assertEqual(len(net.tried), 1)
                self.assertNotIn("MAIL", "".join(server.heard))
                self.assertIn(heard[-1].result, ("starttls-not-supported", "validation-failure"))
                self.assertEqual((heard[-1].host, heard[-1].address), ("m1.example", "m1"))

    def test_who_is_not_who_he_must_be_hears_nothing_of_the_message(self) -> None:
        for tls in ("verified", "dane"):
            server, other = Server("STARTTLS"), Server("STARTTLS")
            net = Net(m1=server)
            net.verdict[tls] = ("certificate-expired", "the certificate has expired")
            heard: list[TlsSession] = []
            result = self.results(net, hosts=(self.hop(tls=tls),), note=heard.append)[0]
            self.assertEqual((result.outcome, result.enhanced), ("retry", "4.7.5"))
            self.assertIn("has expired", result.text)
            self.assertNotIn("MAIL", "".join(server.heard))
            self.assertEqual([one.result for one in heard], ["certificate-expired"])
            # The next host may do better.
            net = Net(m1=Server("STARTTLS"), m2=other)
            net.verdict[tls] = ("certificate-expired", "x")
            hops = (self.hop(tls=tls), self.hop("m2"))
            self.assertEqual(self.results(net, hosts=hops)[0].remote_mta, "m2.example")

    def test_the_name_of_the_tlsa_records_is_asked_for(self) -> None:
        net = Net(m1=Server("STARTTLS"))
        hop = self.hop(tls="dane", names=("base.example", "m1.example"))
        self.assertEqual(self.results(net, hosts=(hop,))[0].outcome, "sent")
        self.assertEqual((net.contexts, net.judged), ([("base.example", False)], [("m1.example", "dane")]))

    def test_mtasts_testing_not_enforced(self) -> None:
        net = Net(m1=Server("STARTTLS"))
        net.verdict["verified"] = ("certificate-host-mismatch", "another name")
        heard: list[TlsSession] = []
        hop = self.hop(watched=True)
        self.assertEqual(self.results(net, hosts=(hop,), note=heard.append)[0].outcome, "sent")
        self.assertEqual([one.result for one in heard], ["certificate-host-mismatch"])
        self.assertEqual(net.contexts, [("m1.example", True)])
        # And in clear text, when there is no more to be had.
        heard.clear()
        self.assertEqual(self.results(Net(m1=Server()), hosts=(hop,), note=heard.append)[0].outcome, "sent")
        self.assertEqual([one.result for one in heard], ["starttls-not-supported"])

    def test_sessions_are_told_once_each(self) -> None:
        first, second = Server("STARTTLS"), Server("STARTTLS")
        first.fail_tls = True
        heard: list[TlsSession] = []
        net = Net(m1=[first, second])
        self.assertEqual(self.results(net, hosts=(self.hop(),), note=heard.append)[0].outcome, "sent")
        self.assertEqual([one.result for one in heard], ["validation-failure"])
        heard.clear()
        self.results(Net(m1=Server("STARTTLS")), hosts=(self.hop(),), note=heard.append)
        self.assertEqual(heard, [TlsSession("there.example", "sts", host="m1.example", address="m1")])


class RequireTlsTests(Base):
    def hop(self, name: str = "m1", **policy: Any) -> NextHop:
        return NextHop(f"{name}.example", (name,), policy=HopPolicy(**{"trusted": True, **policy}))

    def test_goes_to_who_takes_it_and_is_passed_on(self) -> None:
        server = Server("STARTTLS", "REQUIRETLS")
        net = Net(m1=server)
        self.assertEqual(self.results(net, hosts=(self.hop(),), require_tls=True)[0].outcome, "sent")
        self.assertEqual(net.judged, [("m1.example", "verified")])
        self.assertIn("MAIL FROM:<a@here.example> REQUIRETLS", server.heard)

    def test_without_it_the_next_host_is_asked_and_then_it_fails(self) -> None:
        for server in (Server("STARTTLS"), Server("REQUIRETLS")):
            net = Net(m1=server)
            result = self.results(net, hosts=(self.hop(),), require_tls=True)[0]
            self.assertEqual((result.outcome, result.code, result.enhanced), ("failed", 550, "5.7.30"))
            self.assertNotIn("MAIL", "".join(server.heard))
        net = Net(m1=Server("STARTTLS"), m2=Server("STARTTLS", "REQUIRETLS"))
        hops = (self.hop(), self.hop("m2"))
        self.assertEqual(self.results(net, hosts=hops, require_tls=True)[0].remote_mta, "m2.example")

    def test_a_host_of_which_nobody_can_be_sure_gets_nothing(self) -> None:
        net = Net(m1=Server("STARTTLS", "REQUIRETLS"))
        result = self.results(net, hosts=(self.hop(trusted=False),), require_tls=True)[0]
        self.assertEqual((result.outcome, result.enhanced), ("failed", "5.7.30"))
        self.assertEqual(net.tried, [])

    def test_what_may_pass_is_tried_again(self) -> None:
        net = Net(m1=None)
        self.assertEqual(self.results(net, hosts=(self.hop(),), require_tls=True)[0].outcome, "retry")
        net = Net(m1=Server("STARTTLS", "REQUIRETLS"))
        net.verdict["verified"] = ("certificate-expired", "x")
        self.assertEqual(self.results(net, hosts=(self.hop(),), require_tls=True)[0].outcome, "retry")

    def test_dane_proves_as_well(self) -> None:
        net = Net(m1=Server("STARTTLS", "REQUIRETLS"))
        self.results(net, hosts=(self.hop(tls="dane"),), require_tls=True)
        self.assertEqual(net.judged, [("m1.example", "dane")])

    def test_a_mailbox_store_on_this_machine_is_the_end_of_the_way(self) -> None:
        server = Server()
        server.replies["LHLO"] = b"250 store"
        net = Net(**{"127.0.0.1": server})
        hop = NextHop("store", ("127.0.0.1",), 24, lmtp=True, policy=HopPolicy(trusted=True))
        self.assertEqual(self.results(net, hosts=(hop,), require_tls=True)[0].outcome, "sent")


class Chunked(Server):
    """Takes BDAT. ``refuse`` is the reply to the chunk of that number."""

    def __init__(self, *keywords: str, refuse: dict[int, bytes] | None = None, **replies: Any) -> None:
        super().__init__("CHUNKING", *keywords, **replies)
        self.refuse = refuse or {}
        self.chunks: list[bytes] = []
        self._left = 0
        self._last = False

    def write(self, data: bytes) -> None:
        while data and not self.gone:
            if self._left:
                self.chunks[-1] += data[: self._left]
                taken = len(data[: self._left])
                self._left, data = self._left - taken, data[taken:]
                if not self._left:
                    number = len(self.chunks) - 1
                    self.say(self.refuse.get(number, b"250 2.0.0 taken"))
                continue
            line, separator, rest = data.partition(b"\r\n")
            if line.startswith(b"BDAT"):
                self.heard.append(line.decode())
                words = line.split()
                self._left, data = int(words[1]), rest
                self.chunks.append(b"")
                continue
            super().write(line + separator)
            data = rest


class ChunkingTests(Base):
    MESSAGE = b"Subject: big\r\n\r\n" + b".a line of a large message\r\n" * 100_000 + b"the end"

    def test_a_large_message_goes_in_chunks_as_it_is(self) -> None:
        server = Chunked("8BITMIME")
        net = Net(m1=server)
        result = self.results(net, message=self.MESSAGE)[0]
        self.assertEqual((result.outcome, result.text), ("sent", "taken"))
        self.assertEqual(b"".join(server.chunks), self.MESSAGE + b"\r\n")
        orders = [line for line in server.heard if line.startswith("BDAT")]
        self.assertEqual(len(orders), 3)
        self.assertEqual([line.endswith(" LAST") for line in orders], [False, False, True])
        self.assertNotIn("DATA", server.heard)

    def test_line_ends_are_whole_wherever_the_chunks_are_cut(self) -> None:
        for cut in range(-3, 4):
            message = b"x" * (CHUNK + cut - 20) + b"\r\n.\n\r\ra\r" + b"y" * 40 + b"\r"
            server = Chunked()
            self.results(Net(m1=server), message=message)
            whole = b"".join(server.chunks)
            self.assertEqual(whole, re.sub(rb"\r\n|\r|\n", b"\r\n", message), cut)

    def test_a_chunk_that_is_refused_is_the_last(self) -> None:
        for reply, outcome in ((b"552 5.3.4 too big", "failed"), (b"452 4.3.1 full", "retry")):
            server = Chunked(refuse={0: reply})
            self.assertEqual(self.results(Net(m1=server), message=self.MESSAGE)[0].outcome, outcome)
            self.assertEqual(len(server.chunks), 1)

    def test_small_messages_go_by_data(self) -> None:
        server = Chunked()
        self.assertEqual(self.results(Net(m1=server))[0].outcome, "sent")
        self.assertIn("DATA", server.heard)

    def test_our_own_server_takes_the_chunks(self) -> None:
        peer = Peer(intake=FakeIntake(memory_limit=1 << 24))

        class Loop(Server):
            def begin(self, protocol: Any) -> None:
                self.protocol = protocol
                protocol.makeConnection(self)
                protocol.dataReceived(peer.greeting)

            def write(self, data: bytes) -> None:
                peer.server.dataReceived(data)
                said = peer.read()
                if said:
                    self.protocol.dataReceived(said)

        result = self.results(
            Net(m1=Loop()), message=self.MESSAGE, recipients=("bob@example.org",), tls="none"
        )[0]
        self.assertEqual(result.outcome, "sent", result)
        ((_, data),) = peer.intake.accepted
        self.assertEqual(data, self.MESSAGE + b"\r\n")
