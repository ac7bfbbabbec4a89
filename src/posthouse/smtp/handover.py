"""One message on one open connection: MAIL, RCPT and the body, with a result for each recipient.

Promise: as soon as a server has begun to take the body its word counts, and nothing is tried elsewhere; what the
server cannot take is told apart from what it does not want.

Specifications: RFC 5321 3.3, RFC 1870, 2033, 2920, 3030, 3461, 6152, 6531, 8689.
"""

from __future__ import annotations

from attrs import evolve

from posthouse.errors import PosthouseError
from posthouse.faults import reach
from posthouse.model import NextHop, RecipientResult, RelayJob
from posthouse.smtp.conversation import Answer, Broken, Conversation

__all__ = ["hand_over", "ours", "result_of"]


def result_of(recipient: str, answer: Answer, host: str, tls: str, outcome: str = "") -> RecipientResult:
    """What an answer means for a recipient. ``outcome`` overrides what its code says."""
    if not outcome:
        outcome = "sent" if answer.good else "failed" if answer.code >= 500 else "retry"
    enhanced = answer.enhanced or {"sent": "2.0.0", "failed": "5.0.0", "retry": "4.0.0"}[outcome]
    return RecipientResult(recipient, outcome, answer.code, enhanced, answer.text, host, tls)


def ours(code: int, enhanced: str, text: str) -> Answer:
    """Our own words in the form of an answer."""
    return Answer(code, enhanced, text, (text,))


async def hand_over(
    talk: Conversation, job: RelayJob, hop: NextHop, anew: bool = False
) -> list[RecipientResult]:
    """MAIL to the end of data, on an open connection; a result per recipient.

    :param anew: the connection has carried a message before.

    :raises Broken: nothing of the message was taken: another host may be tried.
    """
    results: dict[str, RecipientResult] = {}

    def settle(recipients: list[str], answer: Answer, outcome: str = "") -> list[RecipientResult]:
        for recipient in recipients:
            result = result_of(recipient, answer, hop.host, talk.tls, outcome)
            if answer.good:
                result = evolve(result, dsn=talk.offers("DSN"), final=hop.lmtp)
            results[recipient] = result
        return [results[recipient] for recipient in job.recipients if recipient in results]

    everyone = list(job.recipients)
    if job.eight_bit and job.seven_bit is not None and not talk.offers("8BITMIME") and not _needs_utf8(job):
        try:
            job = await job.seven_bit()
        except PosthouseError as error:
            if error.temporary:
                return settle(everyone, ours(451, "4.6.3", f"Not converted: {error.public}"), "retry")
            return settle(everyone, ours(554, "5.6.3", f"The server is 7-bit only. {error.public}"))
    refusal = _cannot(talk, job)
    if refusal is not None:
        return settle(everyone, refusal)
    mail, recipients = _commands(talk, job)
    first, answers = await talk.envelope(mail, recipients, job.size, anew)
    reach("relay.after-mail")
    if 400 <= first.code < 500:
        raise Broken("MAIL was put off", first)  # the next host may take it
    if not first.good:
        await _nobody(talk)
        return settle(everyone, first)
    taken: list[str] = []
    for recipient, answer in zip(everyone, answers, strict=True):
        if answer.good:
            taken.append(recipient)
        else:
            settle([recipient], answer)
    if not taken:
        await _nobody(talk)
        return settle([], first)
    try:
        final = await talk.data(job)
    except Exception as error:
        # The body was on its way: nobody knows whether it arrived, so no other host is tried now.
        answer_of = getattr(error, "answer", None)
        return settle(taken, answer_of or ours(0, "4.4.2", str(error)[:300] or "interrupted"), "retry")
    if not hop.lmtp or not talk.body_sent:
        return settle(taken, final)
    settle(taken[:1], final)
    for position, recipient in enumerate(taken[1:], 1):
        try:
            settle([recipient], await talk.more())
        except Exception as error:
            # These may have it already; LMTP leaves no other way than to ask again.
            return settle(taken[position:], ours(0, "4.4.2", str(error)[:300] or "interrupted"), "retry")
    return settle([], final)


async def _nobody(talk: Conversation) -> None:
    """Nobody is left to send to: the verdicts stand, whatever becomes of the connection."""
    try:
        await talk.leave()
    except Broken:
        talk.hang_up()


def _needs_utf8(job: RelayJob) -> bool:
    return job.smtputf8 or not all(address.isascii() for address in (job.sender, *job.recipients))


def _cannot(talk: Conversation, job: RelayJob) -> Answer | None:
    """What this server can never do for this message."""
    if _needs_utf8(job) and not talk.offers("SMTPUTF8"):
        return ours(550, "5.6.7", "The server does not take international addresses.")  # RFC 6531 3.5
    if job.eight_bit and not talk.offers("8BITMIME"):
        return ours(554, "5.6.3", "The server does not take 8-bit mail.")  # RFC 6152 3
    limit = (talk.keywords.get("SIZE") or ["0"])[0]
    if limit.isascii() and limit.isdigit() and len(limit) < 20 and 0 < int(limit) < job.size:
        return ours(552, "5.3.4", f"The server takes at most {limit} bytes.")  # RFC 1870 6.1
    return None


def _commands(talk: Conversation, job: RelayJob) -> tuple[str, list[str]]:
    mail = f"MAIL FROM:<{job.sender}>"
    if talk.offers("SIZE"):
        mail += f" SIZE={job.size}"
    if job.eight_bit and talk.offers("8BITMIME"):
        mail += " BODY=8BITMIME"
    if _needs_utf8(job):
        mail += " SMTPUTF8"
    if job.require_tls and talk.offers("REQUIRETLS"):
        mail += " REQUIRETLS"
    dsn = talk.offers("DSN")
    if dsn and job.ret:
        mail += f" RET={job.ret}"
    if dsn and job.envid:
        mail += f" ENVID={job.envid}"
    recipients = []
    for index, recipient in enumerate(job.recipients):
        command = f"RCPT TO:<{recipient}>"
        if dsn and index < len(job.notify) and job.notify[index]:
            command += f" NOTIFY={job.notify[index]}"
        if dsn and index < len(job.orcpt) and job.orcpt[index]:
            command += f" ORCPT={job.orcpt[index]}"
        recipients.append(command)
    return mail, recipients
