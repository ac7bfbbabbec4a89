"""One source of TLS contexts for all listeners: HTTPS, implicit TLS and STARTTLS alike.

The promise: TLS 1.2 and newer only, and forward secrecy always (RFC 9325); a renewed certificate is served to
the next connection without a restart, and a broken one never replaces a good one; an idle connection keeps no
record buffers (2,000 parked phones are waiting), no session cache and no tickets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from posthouse.certs.files import Pair, load_pair
from posthouse.errors import ConfigError

__all__ = ["ContextSource", "ServerContexts"]

# RFC 9325 4.2: ECDHE with AEAD. The names of TLS 1.3 are OpenSSL's own affair.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!aDSS"


@define(eq=False)
class ContextSource:
    """The certificate in use.

    :param now: gives milliseconds since the epoch, to warn of expiry.
    """

    certificate: Path
    key: Path
    _now: Callable[[], int]
    _pair: Pair | None = field(init=False, default=None)
    _stamp: tuple[object, ...] = field(init=False, default=())
    _contexts: dict[tuple[bytes, ...], SSL.Context] = field(init=False, factory=dict)

    @property
    def pair(self) -> Pair:
        """What is served now; read from the files at the first call.

        :raises ConfigError: see ``load_pair``.
        """
        if self._pair is None:
            self.reload()
            assert self._pair is not None
        return self._pair

    def reload(self) -> Pair:
        """Read the files again and serve the new certificate to connections that begin from now on.

        :raises ConfigError: what is wrong; the certificate before stays in use.
        """
        stamp = self._look()
        pair = load_pair(self.certificate, self.key, self._now())
        protocols = list(self._contexts) or [()]
        contexts = {names: _make_context(pair, names) for names in protocols}
        self._pair, self._contexts, self._stamp = pair, contexts, stamp
        return pair

    def reload_if_changed(self) -> Pair | None:
        """``reload`` when either file is another one than at the last time; None when both are the same.

        :raises ConfigError: as ``reload``; not raised again until the files change again.
        """
        stamp = self._look()
        if self._pair is not None and stamp == self._stamp:
            return None
        self._stamp = stamp
        return self.reload()

    def server_context_factory(self, protocols: Sequence[bytes] = ()) -> ServerContexts:
        """What listeners and ``startTLS`` take.

        :param protocols: the names to choose from by ALPN (RFC 7301): ``[b"http/1.1"]`` for web, none for
            mail.
        """
        return ServerContexts(self, tuple(protocols))

    def _context(self, protocols: tuple[bytes, ...]) -> SSL.Context:
        pair = self.pair
        context = self._contexts.get(protocols)
        if context is None:
            context = self._contexts[protocols] = _make_context(pair, protocols)
        return context

    def _look(self) -> tuple[object, ...]:
        found: list[object] = []
        for path in (self.certificate, self.key):
            try:
                stat = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(found)


@implementer(IOpenSSLServerConnectionCreator)
@define(eq=False)
class ServerContexts:
    """Makes each connection from the source's present context."""

    _source: ContextSource
    _protocols: tuple[bytes, ...]

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self.getContext(), None)

    def getContext(self) -> SSL.Context:
        """The present context, for callers of Twisted's older interface."""
        return self._source._context(self._protocols)


def _make_context(pair: Pair, protocols: tuple[bytes, ...]) -> SSL.Context:
    # Not Twisted's CertificateOptions: its choice of a protocol (26.10) fails the handshake of a client that
    # offers others only, and asks the factory of each connection.
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    # A client must not make the server do handshakes without end on one connection.
    context.set_options(
        SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    # An idle connection gives its two record buffers (34 KB) back.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if protocols:

        def select(connection: SSL.Connection, offered: list[bytes]) -> Any:
            # Without a common name the connection goes on as if none had been offered: it is HTTP/1.1 anyway.
            return next((name for name in protocols if name in offered), SSL.NO_OVERLAPPING_PROTOCOLS)

        context.set_alpn_select_callback(select)
    try:
        context.use_certificate(pair.certificate)
        for extra in pair.chain:
            context.add_extra_chain_cert(extra)
        context.use_privatekey(pair.key)  # type: ignore[arg-type]  # load_pair has checked that it fits
        context.set_cipher_list(_CIPHERS)  # the last one: it closes the context to changes
    except (SSL.Error, TypeError):
        raise ConfigError("OpenSSL refuses the certificate or its key.") from None
    return context
