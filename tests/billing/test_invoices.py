from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.principal import policy
from billing import invoices
from billing.invoices import Imported
from billing.models import InvoiceLine, ProviderInvoice
from events.models import Event
from gamer.errors import Conflict, ValidationError
from tests.world import NOON

HEAD = "date,instance_id,cost\n"
OURS = policy("test")


def load(text: str | bytes, name: str = "june.csv", provider: str = "tensordock") -> Imported:
    content = text if isinstance(text, bytes) else text.encode()
    return invoices.load(by=OURS, provider=provider, file_name=name, content=content, now=NOON)


@pytest.mark.django_db
class TestLoad:
    def test_keeps_every_line_to_the_millionth(self) -> None:
        found = load(HEAD + "2026-06-01,m1,1.5\n2026-06-02T10:00:00Z,m1,$0.1234567\n\n2026-06-02,m2,-0.5\n")
        assert (found.new, found.known) == (3, 0)
        rows = InvoiceLine.objects.values_list("day", "machine_id", "amount_usd")
        assert [(f"{day}", machine, usd) for day, machine, usd in rows] == [
            ("2026-06-01", "m1", Decimal("1.5")), ("2026-06-02", "m1", Decimal("0.123457")), ("2026-06-02", "m2", Decimal("-0.5")),
        ]  # fmt: skip
        assert Event.objects.filter(action="invoice_imported").count() == 1

    def test_imports_the_same_file_once(self) -> None:
        text = HEAD + "2026-06-01,m1,1.5\n"
        load(text)
        assert (
            load(text, "again.csv").new,
            ProviderInvoice.objects.count(),
            InvoiceLine.objects.count(),
        ) == (0, 1, 1)

    def test_is_of_a_provider_there_is(self) -> None:
        text = HEAD + "2026-06-01,m1,1.5\n"
        with pytest.raises(ValidationError) as caught:
            load(text, provider="tensordok")
        assert list(caught.value.details) == ["provider"]
        assert load(text, provider="gcp").invoice.provider == "cloudypad_gcp"
        with pytest.raises(Conflict, match="cloudypad_gcp"):
            load(text)

    def test_imports_the_same_line_once_also_from_a_longer_file(self) -> None:
        load(HEAD + "2026-06-01,m1,1.5\n2026-06-01,m1,1.5\n")
        found = load(HEAD + "2026-06-01,m1,1.5\n2026-06-01,m1,1.5\n2026-06-01,m1,2\n2026-06-02,m1,3\n")
        assert (found.new, found.known) == (2, 2)
        assert sum(InvoiceLine.objects.values_list("amount_usd", flat=True)) == 8

    def test_refuses_a_line_that_was_imported_with_another_amount(self) -> None:
        head = "id,date,instance_id,cost\n"
        load(head + "a,2026-06-01,m1,1.5\n")
        with pytest.raises(Conflict, match="Line a"):
            load(head + "a,2026-06-01,m1,1.6\nb,2026-06-01,m1,9\n")
        assert InvoiceLine.objects.count() == 1

    def test_names_every_bad_line_and_imports_none(self) -> None:
        with pytest.raises(ValidationError) as caught:
            load(
                HEAD
                + "2026-06-01,m1,1\nyesterday,m1,1\n2026-06-01,,1\n2026-06-01,m1,NaN\n2026-06-01,m1,1e99\n2026-06-01\n"
            )
        assert list(caught.value.details) == ["line 3", "line 4", "line 5", "line 6", "line 7"]
        assert not ProviderInvoice.objects.exists()

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"", "names no column"),
            (b"date,cost\n", "machine_id"),
            (HEAD.encode(), "No lines"),
            (b"\xff\xfe\x00", "UTF-8"),
            (HEAD.encode() + b"2026-06-01,a\x00b,1\n", "bad lines"),
            (b"id,date,machine,total\na,2026-06-01,m,1\na,2026-06-01,m,1\n", "bad lines"),
        ],
    )
    def test_says_what_is_wrong_with_a_file(self, content: bytes, text: str) -> None:
        with pytest.raises(ValidationError, match=text):
            load(content)


class TestRead:
    @given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: (HEAD + text).encode()))
    def test_refuses_or_reads_whatever_it_is_given(self, content: bytes) -> None:
        found: list[object] = []
        try:
            found = [line.key for line in invoices.read(content)]
        except ValidationError as error:
            found = [*error.details]
        assert found
        assert len(set(found)) == len(found)
