"""E-mail, through whatever backend EMAIL_URL names."""

from __future__ import annotations

import smtplib

from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email

from events.channels.base import LONGEST_S, BadTarget, Channel, Message, Refused, TryLater


class EmailChannel(Channel):
    name = "email"

    def __init__(self, *, sender: str) -> None:
        self.sender = sender

    def check(self, target: str) -> None:
        try:
            validate_email(target)
        except ValidationError:
            raise BadTarget("Not an e-mail address.") from None

    def send(self, message: Message, *, target: str, secret: str = "") -> None:
        self.check(target)
        domain = self.sender.rpartition("@")[2].strip(" >") or "localhost"
        mail = EmailMessage(
            subject=" ".join(message.subject.split())[:200],  # a line break would be another header
            body=message.text,
            from_email=self.sender,
            to=[target],
            headers={"Message-ID": f"<{message.id}@{domain}>", "Auto-Submitted": "auto-generated"},
            connection=get_connection(timeout=LONGEST_S),
        )
        try:
            mail.send()
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            if all(500 <= code < 600 for code in codes):
                raise Refused(f"The mail server refuses the recipient ({min(codes)}).") from None
            raise TryLater("The mail server does not take the recipient for the moment.") from None
        except smtplib.SMTPAuthenticationError:
            raise TryLater("The mail server refuses our login; see EMAIL_URL.") from None
        except smtplib.SMTPResponseException as error:
            if isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600:
                raise Refused(f"The mail server refuses the message ({error.smtp_code}).") from None
            raise TryLater(f"The mail server answers {error.smtp_code}.") from None
        except OSError as error:  # every smtplib error is one, too
            raise TryLater(f"The mail server does not answer ({type(error).__name__}).") from None
        except ValueError as error:
            # A host that is no name, as in smtp..example.com: a UnicodeError of the idna codec.
            raise TryLater(f"The mail cannot be sent ({type(error).__name__}); see EMAIL_URL.") from None
