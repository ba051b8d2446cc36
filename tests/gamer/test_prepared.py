"""Statements that are planned once per connection."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.backends.postgresql.base import Cursor
from django.db.models import Value

from billing.models import CreditAccount
from gamer import prepared
from gamer.prepared import CompiledQuery
from vms.models import ProviderAccount

OPENED = """
    INSERT INTO billing_creditaccount (kind, code, is_postpaid, balance_usd, held_usd, opened_at)
    VALUES ('house', %(code)s, true, 0, 0, now())"""
SUM = "SELECT %(a)s::int + %(b)s::int, %(a)s::int"


@pytest.mark.django_db
class TestRows:
    def test_are_those_of_the_statement(self) -> None:
        assert prepared.rows(SUM, {"a": 1, "b": 2}) == [(3, 1)]

    def test_come_from_one_plan(self) -> None:
        for number in range(3):
            prepared.rows(SUM, {"a": number, "b": 2})
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int + $2%'"
            )
            assert cursor.fetchone() == (1,)

    def test_count_among_a_requests_statements(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(2):
            prepared.rows(SUM, {"a": 1, "b": 2})
            CreditAccount.objects.exists()

    def test_belong_to_the_open_transaction(self) -> None:
        with transaction.atomic():
            prepared.rows(f"{OPENED} RETURNING id", {"code": "x"})
            transaction.set_rollback(True)
        assert not CreditAccount.objects.exists()

    def test_fail_as_any_statement_of_djangos_does(self) -> None:
        CreditAccount.objects.create(kind="house", code="x")
        with pytest.raises(IntegrityError), transaction.atomic():
            prepared.rows(f"{OPENED} RETURNING id", {"code": "x"})

    def test_are_not_asked_for_in_a_broken_transaction(self) -> None:
        with transaction.atomic():
            transaction.set_rollback(True)
            with pytest.raises(transaction.TransactionManagementError):
                prepared.rows(SUM, {"a": 1, "b": 2})


@pytest.mark.django_db
class TestCompiledQuery:
    def test_is_answered_by_the_instances_that_django_reads(self) -> None:
        account = ProviderAccount.objects.create(name="x", kind="memory", credentials={"token": "t"})
        (found,) = CompiledQuery(lambda kind: ProviderAccount.objects.filter(kind=kind)).all(kind="memory")
        assert vars(found).keys() == vars(ProviderAccount.objects.get()).keys()
        assert (found, found.credentials, found.created_at) == (account, {"token": "t"}, account.created_at)
        found.name = "y"
        found.save()  # an update
        assert ProviderAccount.objects.get().name == "y"

    def test_is_put_to_django_once_whatever_the_values(self) -> None:
        asked = []

        def of_code(code: Any) -> Any:
            asked.append(code)
            return CreditAccount.objects.filter(code=code)

        for code in ("a%s", "b"):
            CreditAccount.objects.create(kind="house", code=code)
        compiled = CompiledQuery(of_code)
        found = [compiled.first(code=code) for code in ("a%s", "b", "c")]
        assert [one and one.code for one in found] == ["a%s", "b", None]
        assert len(asked) == 1

    def test_shows_the_planner_what_is_the_same_each_time(self) -> None:
        own = CompiledQuery(lambda code: CreditAccount.objects.filter(code=code, kind="it's 100 %"))
        assert own.all(code="x") == []
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%100 %'")
            ((statement,),) = cursor.fetchall()
        assert """"kind" = 'it''s 100 %'""" in statement
        assert "$1" in statement
        assert "$2" not in statement

    def test_leaves_out_what_is_deferred(self) -> None:
        CreditAccount.objects.create(kind="house", code="x")
        (found,) = CompiledQuery(lambda: CreditAccount.objects.defer("balance_usd")).all()
        assert found.get_deferred_fields() == {"balance_usd"}


@pytest.mark.django_db
class TestPlannedOnce:
    def test_is_what_comes_again(self) -> None:
        def known() -> list[str]:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%AS \"mark\"%'"
                )
                return [statement for (statement,) in cursor.fetchall()]

        def ask(mark: str) -> Any:
            return CreditAccount.objects.annotate(mark=Value(mark)).values_list("code", "mark").get()

        CreditAccount.objects.create(kind="house", code="x")
        for number in range(10):
            assert ask(f"usual {number}") == ("x", f"usual {number}")
        assert known() == []
        with prepared.planned_once():
            for number in range(10):
                assert ask(f"once {number}") == ("x", f"once {number}")
        (statement,) = known()
        assert "$1" in statement
        assert ask("usual again") == ("x", "usual again")

    def test_ends_with_an_error(self) -> None:
        with pytest.raises(DatabaseError), transaction.atomic(), prepared.planned_once():
            CreditAccount.objects.extra(where=["no_such_column"]).exists()
        assert connection.connection.cursor_factory is Cursor
