"""The configuration of mail: what comes in, what is kept, what goes elsewhere, and what is believed of it."""

from __future__ import annotations

import attrs
from attrs import frozen

from posthouse.settings import forms
from posthouse.settings.forms import setting

__all__ = ["Delivery", "Junk", "Mailauth", "Mailboxes", "Smtp"]


@frozen
class Smtp:
    """Limits of mail coming in, on all three ports."""

    size_limit: int = setting(
        50_000_000, "Largest message in bytes, announced as SIZE.", forms.between(65_536, 1_000_000_000)
    )
    recipients: int = setting(
        1000, "Most recipients of one message (RFC 5321 demands 100 at least).", forms.between(100, 10_000)
    )
    idle_seconds: int = setting(
        300,
        "A client that says nothing for so long is disconnected (RFC 5321 4.5.3.2.7).",
        forms.between(10, 3600),
    )
    connections: int = setting(
        30,
        "Open connections of one address; its /24 (IPv6: /64) may have three times as many, its /16 (/48) nine "
        "times, and so with the four keys that follow. This machine has no such limit.",
        forms.between(1, 10_000),
    )
    connections_per_minute: int = setting(300, "New connections in a minute.", forms.between(1, 100_000))
    messages_per_minute: int = setting(
        500, "Messages of strangers in a minute. 0: no limit.", forms.between(0, 100_000)
    )
    recipients_per_minute: int = setting(
        5000, "Recipients of strangers in a minute. 0: no limit.", forms.between(0, 1_000_000)
    )
    unknown_per_hour: int = setting(
        200,
        "Recipients that do not exist in an hour: nobody guesses addresses for long. 0: no limit.",
        forms.between(0, 1_000_000),
    )
    unknown_recipients: int = setting(
        10, "So many of them on one connection end it, when no message came between.", forms.between(1, 1000)
    )
    exempt: tuple[str, ...] = setting(
        (), "Networks without these limits, as those in auth.exempt are.", forms.network
    )


@frozen
class Mailboxes:
    """What one user may keep."""

    quota: int = setting(
        0,
        "Bytes of a mailbox, unless its user has a quota of his own (posthouse user quota). 0: no limit.",
        forms.between(0, 1 << 50),
    )


@frozen
class Delivery:
    """Mail going elsewhere."""

    smarthost: str = setting(
        "",
        'Hand all outgoing mail to this server, "host:port". Empty: by the MX of each domain.',
        forms.address_or_empty,
    )
    smarthost_tls: str = setting(
        "verified",
        "TLS to the smarthost: verified (right certificate), required (any), opportunistic or none.",
        forms.one_of("verified", "required", "opportunistic", "none"),
    )
    smarthost_user: str = setting("", "Login at the smarthost; empty: none.")
    smarthost_password: str = attrs.field(
        default="",
        repr=False,
        metadata={
            "doc": "Its password. Better set POSTHOUSE_DELIVERY_SMARTHOST_PASSWORD in the environment.",
            "check": None,
        },
    )
    port: int = setting(25, "Port of other mail servers, when no smarthost is set.", forms.between(1, 65535))
    routes: tuple[str, ...] = setting(
        (),
        'Where mail for some domains goes instead, as "example.net=smtp://10.0.0.5:25" (or smtps://, lmtp://, '
        '"=mx"; "*.example.net" is all below). Private addresses are delivered to only when named here.',
        forms.route,
    )
    daily_recipients: int = setting(
        1000,
        "Recipients elsewhere of one user in 24 hours; more are told to come later. 0: no limit.",
        forms.between(0, 1_000_000),
    )
    daily_new_recipients: int = setting(
        200,
        "Among them those that the user never wrote to before: what a stolen password is worth. 0: no limit.",
        forms.between(0, 1_000_000),
    )
    concurrency: int = setting(50, "Outgoing connections at one time, altogether.", forms.between(1, 500))
    per_destination: int = setting(
        10,
        "Among them those to one destination, once it has shown that it takes mail.",
        forms.between(1, 100),
    )
    inside: tuple[str, ...] = setting(
        (),
        "Private networks that MX records and policy hosts of other domains may lead to; otherwise nobody's DNS "
        "reaches your machines inside.",
        forms.network,
    )
    dane: bool = setting(
        True,
        "Servers whose domain publishes TLSA records have to prove themselves by them (needs dns.trust_ad).",
    )
    mta_sts: bool = setting(True, "Servers whose domain has an MTA-STS policy have to keep to it.")
    mta_sts_port: int = setting(
        443, "Port of other domains' policy hosts; only tests have another.", forms.between(1, 65535)
    )
    tls_reports: str = setting(
        "",
        "Tell other domains once a day how TLS with their servers went, from this address of yours, such as "
        '"tls-reports@example.org". Empty: never, and nothing is counted.',
        forms.mailbox_or_empty,
    )


@frozen
class Mailauth:
    """Who really sent it: SPF, DKIM and DMARC."""

    verify: bool = setting(True, "Check mail from other servers and write what was found into its header.")
    dmarc: str = setting(
        "enforce",
        "What a domain's DMARC policy does: enforce (reject, or the Junk folder) or report-only.",
        forms.one_of("enforce", "report-only"),
    )
    sign: bool = setting(True, "Sign our users' mail with the DKIM keys of their domains.")
    trusted: tuple[str, ...] = setting(
        (),
        "Networks whose mail is not checked, such as a relay of your own; loopback never is.",
        forms.network,
    )
    sealers: tuple[str, ...] = setting(
        (),
        "Domains of forwarders and mailing lists that are believed when their chain (ARC) says that a message was "
        "authentic: what DMARC would refuse goes to Junk, what would go to Junk to the Inbox.",
        forms.hostname,
    )


@frozen
class Junk:
    """What goes to the Junk folder, beside what DMARC puts there."""

    words: bool = setting(
        True, "Learn from what each user moves into Junk and out of it, and judge by its words."
    )
    learn_from: int = setting(
        30,
        "So many messages of each kind must have been learned before their words count.",
        forms.between(5, 10_000),
    )
    threshold: int = setting(
        5, "Points from which a message is junk; more lets more through.", forms.between(2, 50)
    )
    blocklists: tuple[str, ...] = setting(
        (),
        'DNS block lists, as "zen.example.org", or with the last bytes of the codes that count and the points that '
        'a listing is worth: "zen.example.org=2-11:5".',
        forms.zone,
    )
    rspamd: str = setting("", 'Ask an rspamd, such as "http://127.0.0.1:11333"; empty: none.', forms.http_url)
    rspamd_reject: bool = setting(
        False, "Refuse what rspamd rejects; otherwise it goes to the Junk folder, too."
    )
    greylist_seconds: int = setting(
        0,
        "Ask strangers to come again after so many seconds (240 is usual). 0: nobody waits.",
        forms.between(0, 3600),
    )
