"""Entries, their legs, and the intervals behind them: to look at, with links both ways."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from billing.admin.wording import NONE, link, listed, usd
from billing.models import Entry, Leg, Subject, UsageRecord, Verification
from gamer.web.admin import ReadOnlyAdmin

SHOWN = 50
# What other pages narrow the list of intervals by. No more: an account or a person, asked for any of their columns, would tell them.
NARROWED_BY = frozenset({
    "day__gte", "day__lte", "subject__id__exact", "subject__vm__exact",
    *(f"centre__{name}__exact" for name in ("provider", "region", "console", "preset", "project", "department", "user")),
    *(f"centre__{name}__isnull" for name in ("project", "department", "user")),
})  # fmt: skip


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    empty_hint = "The first is made by a grant of credit, or by an hour of use."
    list_display = ("at", "kind", "reason", "actor", "legs_count", "key")
    list_filter = ("kind",)
    list_filter_sheet = False
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key, like signup:"
    ordering = ("-id",)
    sortable_by = ()
    fields = (("at", "kind"), "reason", "actor", ("key", "digest"), "lines")

    @admin.display(description="Lines")
    def lines(self, entry: Entry) -> str:
        legs = entry.legs.select_related("account__user", "account__project", "account__department")[:SHOWN]
        rows = format_html_join(
            "",
            "<div>{} {} {}</div>",
            (
                (
                    usd(one.amount_usd),
                    link("billing_creditaccount", one.account_id, one.account),
                    link("billing_usagerecord", one.record_id, "interval") if one.record_id else "",
                )
                for one in legs
            ),
        )
        more = listed("billing_leg", f"All {entry.legs_count} lines", entry__id__exact=entry.pk)
        return rows + format_html_join("", "<div>{}</div>", [(more,)])


@admin.register(Leg)
class LegAdmin(ReadOnlyAdmin):
    empty_hint = (
        "They are the sides of entries. The first are made by a grant of credit, or by an hour of use."
    )
    list_display = ("when", "amount", "whose", "why", "usage")
    ordering = ("-id",)
    sortable_by = ()
    fields = (("when", "amount"), "whose", "why", "usage")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Leg]:
        return Leg.objects.select_related("entry", "account__user", "account__project", "account__department")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in ("account__id__exact", "entry__id__exact", "record__id__exact")

    @admin.display(description="At (UTC)")
    def when(self, leg: Leg) -> str:
        return f"{leg.entry.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Amount")
    def amount(self, leg: Leg) -> str:
        return usd(leg.amount_usd)

    @admin.display(description="Account")
    def whose(self, leg: Leg) -> str:
        return link("billing_creditaccount", leg.account_id, leg.account)

    @admin.display(description="Entry")
    def why(self, leg: Leg) -> str:
        return link("billing_entry", leg.entry_id, leg.entry.reason or leg.entry.get_kind_display())

    @admin.display(description="Usage")
    def usage(self, leg: Leg) -> str:
        return (
            link("billing_usagerecord", leg.record_id, f"interval {leg.record_id}") if leg.record_id else NONE
        )


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    empty_hint = "A running machine's first is closed at the full hour, or when the machine ends."
    list_display = ("day", "began", "ended", "machine", "kind", "cost", "charge", "is_charged")
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    sortable_by = ()
    fields = (("day", "kind"), ("began", "ended", "origin"), "machine", ("cost", "cost_usd_per_hour"),
              ("charge", "charge_usd_per_hour", "is_charged"), "centre_words", "line")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        return UsageRecord.objects.select_related("subject", "centre")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in NARROWED_BY

    @admin.display(description="Began (UTC)")
    def began(self, record: UsageRecord) -> str:
        return f"{record.started_at:%Y-%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="Ended (UTC)")
    def ended(self, record: UsageRecord) -> str:
        return f"{record.ended_at:%Y-%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="Machine")
    def machine(self, record: UsageRecord) -> str:
        return link("billing_subject", record.subject_id, record.subject)

    @admin.display(description="Provider's cost")
    def cost(self, record: UsageRecord) -> str:
        return usd(record.cost_usd)

    @admin.display(description="Charge")
    def charge(self, record: UsageRecord) -> str:
        return usd(record.charge_usd)

    @admin.display(description="Counts to")
    def centre_words(self, record: UsageRecord) -> str:
        return str(record.centre)

    @admin.display(description="Charged by")
    def line(self, record: UsageRecord) -> str:
        leg = Leg.objects.filter(record=record).first()
        return link("billing_entry", leg.entry_id, f"entry {leg.entry_id}") if leg is not None else NONE


@admin.register(Subject)
class SubjectAdmin(ReadOnlyAdmin):
    empty_hint = "The first machine that is bought is the first."
    list_display = ("key", "where", "price", "charge", "price_source", "started_at", "ended_at")
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key, like attempt:12"
    ordering = ("-id",)
    sortable_by = ()
    fields = (("key", "vm"), "where", ("price", "stopped_usd_per_hour", "charge"), ("price_source", "rate", "margin"),
              ("started_at", "ended_at"), "intervals")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subject]:
        return Subject.objects.select_related("centre")

    @admin.display(description="Machine")
    def where(self, subject: Subject) -> str:
        return str(subject.centre)

    @admin.display(description="Costs an hour")
    def price(self, subject: Subject) -> str:
        return usd(subject.cost_usd_per_hour)

    @admin.display(description="Charged an hour")
    def charge(self, subject: Subject) -> str:
        return usd(subject.charge_usd_per_hour)

    @admin.display(description="Usage")
    def intervals(self, subject: Subject) -> str:
        return listed("billing_usagerecord", "Its intervals", subject__id__exact=subject.pk)


@admin.register(Verification)
class VerificationAdmin(ReadOnlyAdmin):
    empty_hint = "The ledger is verified once a day by the queue's worker, and whenever manage.py verify_ledger is run."
    list_display = ("at", "outcome")
    ordering = ("-id",)
    sortable_by = ()
    fields = ("at", "outcome", "broken")

    @admin.display(description="Outcome")
    def outcome(self, verification: Verification) -> str:
        return "; ".join(sorted(verification.broken)) or "all laws hold"
