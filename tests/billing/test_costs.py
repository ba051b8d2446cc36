"""The cost reports of staff: what an address shows, and the files one takes along."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.admin.costs import export as exports
from billing.admin.costs import table
from billing.models import UsageRecord
from billing.periods import Period, last_days
from billing.reports import intervals as lines_of_reports
from billing.reports import report
from billing.reports.intervals import COLUMNS, intervals
from billing.reports.spending import STAFF
from events.models import Event
from tests.billing.usage import Where, at, of, runs, used
from tests.factories import ProjectFactory, UserFactory
from tests.world import NOON, World, client_for

pytestmark = pytest.mark.django_db
PAGE = "/admin/billing/usageday/"
UTC = ZoneInfo("UTC")
JUNE = Period(date(2026, 6, 1), date(2026, 6, 30), UTC)


@pytest.fixture
def staff(world: World) -> Callable[..., Client]:
    def made(*names: str) -> Client:
        user = UserFactory(handle=f"staff-{len(names)}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        return client_for(user)

    return made


def ago(days: int, hour: int = 10) -> datetime:
    """An hour of a day before today."""
    return datetime.combine(timezone.now().date() - timedelta(days=days), time(hour), UTC)


@pytest.fixture
def week(world: World) -> World:
    """Alice's Switch yesterday, Bob's SNES three days ago, and somebody's forty days ago."""
    used(of(world.alice), ago(1), ago(1, 18), cost="1.56", charge="1.794")
    used(
        of(world.bob, provider="cloudypad_gcp", region="eu", console="snes", preset="retro"),
        ago(3),
        ago(3, 13),
        cost="0.15",
    )
    used(of(world.alice), ago(40), ago(40, 14), cost="1.56", charge="1.794")
    return world


def lines(answer: Any) -> dict[str, list[str]]:
    """The table's lines: name to the texts of their figures."""
    return {line.name: [text for text, _ in line.cells] for line in answer.context["table"].lines}


class TestPage:
    def test_shows_the_last_thirty_days_by_provider(self, week: World, sam: Client) -> None:
        answer = sam.get(PAGE)
        assert lines(answer) == {
            "tensordock": ["$12.48", "$14.35", "$1.87", "15.0 %", "$1.560", "1", "8.0", "8.0"],
            "cloudypad_gcp": ["$0.45", "$3.00", "$2.55", "566.7 %", "$0.150", "1", "3.0", "3.0"],
        }
        total = answer.context["table"].total
        assert [text for text, _ in total.cells][:2] == ["$12.93", "$17.35"]
        assert dict(total.cells)["$17.35"] == "$17.352"
        assert total.change == ("+107 %", "$6.24 before")

    def test_writes_a_loss_alike_in_its_tile_and_its_line(self, world: World, sam: Client) -> None:
        used(of(world.alice), ago(1), ago(1, 11), cost="2", charge="1.5")
        answer = sam.get(PAGE)
        assert lines(answer)["tensordock"][2:4] == ["\N{MINUS SIGN}$0.50", "\N{MINUS SIGN}25.0 %"]
        _, (margin, _), _, beside = next(tile for tile in answer.context["tiles"] if tile[0] == "Margin")
        assert (margin, beside) == ("\N{MINUS SIGN}$0.50", "\N{MINUS SIGN}25.0 % of the cost")

    @pytest.mark.parametrize(
        ("asked", "days"),
        [("today", 1), ("yesterday", 1), ("7days", 7), ("30days", 30), ("month", None), ("last_month", None)],
    )  # fmt: skip
    def test_knows_the_usual_ranges(self, week: World, sam: Client, asked: str, days: int | None) -> None:
        answer = sam.get(PAGE, {"range": asked})
        period, today = answer.context["question"].period, timezone.now().date()
        if days is not None:
            assert period.days == days
            assert period.end == today - timedelta(days=asked == "yesterday")
        elif asked == "month":
            assert (period.start, period.end) == (today.replace(day=1), today)
        else:
            assert period.end == today.replace(day=1) - timedelta(days=1)
            assert period.start == period.end.replace(day=1)

    def test_narrows_by_everything_and_groups_by_two(self, week: World, sam: Client) -> None:
        project = ProjectFactory(name="Cup #1", owner=week.alice)
        used(of(week.alice, project=project), ago(2), ago(2, 11), cost="2")
        for asked, names in (
            ({"provider": "tensordock"}, ["tensordock"]),
            ({"region": "eu", "by": "region"}, ["eu"]),
            ({"console": "snes", "by": "user", "then": "console"}, ["bob@gamer.test · snes"]),
            ({"preset": "retro"}, ["cloudypad_gcp"]),
            ({"user": f"#{week.bob.pk}", "by": "user"}, ["bob@gamer.test"]),
            ({"user": "bob@gamer.test", "by": "user"}, ["bob@gamer.test"]),
            ({"department": "Arcade", "by": "department"}, ["Arcade"]),
            ({"project": "Cup #1", "by": "project"}, ["Cup #1"]),
            ({"project": f"Cup #1 #{project.pk}", "by": "project"}, ["Cup #1"]),
            ({"project": "-", "by": "console"}, ["switch", "snes"]),
        ):  # fmt: skip
            assert list(lines(sam.get(PAGE, asked))) == names, asked

    def test_leads_from_every_row_to_itself_in_detail(self, week: World, sam: Client) -> None:
        path, name = f"{PAGE}?by=user&range=7days", "alice@gamer.test"
        for group, figure in (("provider", "tensordock"), ("region", "us"), ("console", "switch")):
            line = next(one for one in sam.get(path).context["table"].lines if one.name == name)
            answer = sam.get(line.narrowed)
            assert answer.context["question"].group_by == (group,)
            assert lines(answer) == {
                figure: ["$12.48", "$14.35", "$1.87", "15.0 %", "$1.560", "1", "8.0", "8.0"]
            }
            path, name = line.narrowed, figure

    def test_leads_from_a_day_to_that_day(self, week: World, sam: Client) -> None:
        line = sam.get(PAGE, {"by": "day"}).context["table"].lines[-1]
        narrowed = sam.get(line.narrowed).context["question"]
        assert (narrowed.period.start, narrowed.period.end) == (ago(1).date(), ago(1).date())

    def test_leads_to_the_intervals_behind_a_figure(self, week: World, sam: Client) -> None:
        used(Where(region=""), ago(2), ago(2, 12))
        for asked in ({"by": "user"}, {"by": "region"}, {"by": "console", "then": "day"}, {"by": "project"}):
            for line in sam.get(PAGE, asked).context["table"].lines:
                shown = sam.get(line.intervals).context["cl"].result_list
                cost = sum((one.cost_usd for one in shown), Decimal(0))
                assert f"${cost:,.2f}" == line.cells[0][0], line

    def test_sorts_by_any_column_both_ways(self, week: World, sam: Client) -> None:
        used(Where(provider="libvirt"), ago(2), ago(2, 11), cost="0", charge="0")
        for sort, first, last in (
            ("cost", "libvirt", "tensordock"), ("-cost", "tensordock", "libvirt"), ("name", "cloudypad_gcp", "tensordock"),
            ("-share", "cloudypad_gcp", "libvirt"), ("share", "tensordock", "libvirt"), ("-change", "tensordock", "libvirt"),
            ("nonsense", "tensordock", "libvirt"),
        ):  # fmt: skip
            names = list(lines(sam.get(PAGE, {"sort": sort})))
            assert (names[0], names[-1]) == (first, last), sort

    def test_shows_many_rows_a_page_at_a_time(self, world: World, sam: Client) -> None:
        for number in range(55):
            used(Where(region=f"r{number:02}"), ago(1), ago(1, 11))
        first = sam.get(PAGE, {"by": "region", "sort": "name"})
        second = sam.get(first.context["table"].later)
        assert (len(lines(first)), list(lines(second))) == (50, [f"r{number}" for number in range(50, 55)])
        assert second.context["table"].total.cells[5][0] == "55"

    @pytest.mark.parametrize("measure", ["cost", "charge", "margin", "hours", "play"])
    def test_shows_and_draws_the_largest_of_many_as_if_it_had_read_them_all(
        self, week: World, sam: Client, monkeypatch: pytest.MonkeyPatch, measure: str
    ) -> None:
        for number in range(14):
            user = UserFactory(handle=f"many-{number:02}")
            used(of(user), ago(2), ago(2, 11 + number // 2), cost=f"1.{number:02}", charge=f"{14 - number}")
            used(of(user), ago(10), ago(10, 11), cost=f"{number}")
        monkeypatch.setattr(table, "AT_ONCE", 50)
        asked = {"by": "user", "range": "7days", "measure": measure}
        whole = sam.get(PAGE, asked).context
        for at_once in (12, 15):  # several pages, of which the last is short or the only row
            monkeypatch.setattr(table, "AT_ONCE", at_once)
            there, page = [], sam.get(PAGE, asked).context
            assert page["charts"] == whole["charts"]
            while True:
                there += page["table"].lines
                assert (page["table"].total, page["table"].count) == (whole["table"].total, 16)
                assert page["tiles"] == whole["tiles"]
                if not page["table"].later:
                    break
                page = sam.get(page["table"].later).context
            assert [replace(one, narrowed="") for one in there] == [
                replace(one, narrowed="") for one in whole["table"].lines
            ]

    def test_draws_what_the_table_says(self, week: World, sam: Client) -> None:
        charts = sam.get(PAGE, {"range": "7days", "measure": "charge"}).context["charts"]
        assert charts["groups"]["labels"] == ["tensordock", "cloudypad_gcp"]
        assert [one["name"] for one in charts["series"]] == ["tensordock", "cloudypad_gcp"]
        assert charts["series"][0]["values"] == [0, 0, 0, 0, 0, 14.352, 0]
        assert charts["series"][1]["values"] == [0, 0, 0, 3.0, 0, 0, 0]

    def test_tells_many_groups_apart_by_a_few_colours(self, world: World, sam: Client) -> None:
        for number in range(9):
            used(Where(region=f"r{number}"), ago(1), ago(1, 11), cost=str(9 - number))
        charts = sam.get(PAGE, {"by": "region", "range": "yesterday"}).context["charts"]
        assert [(one["name"], one["values"]) for one in charts["series"]][5:] == [
            ("r5", [4.0]),
            ("all others", [6.0]),
        ]
        assert {one["colour"] for one in charts["series"]} == set(range(7))

    @pytest.mark.parametrize(
        ("asked", "field"),
        [
            ({"range": "for ever"}, "range"), ({"range": "custom"}, "start"), ({"range": "custom", "start": "soon"}, "start"),
            ({"range": "custom", "start": "2026-06-02", "end": "2026-06-01"}, "end"),
            ({"range": "custom", "start": "2024-01-01", "end": "2025-06-01"}, "end"),
            ({"range": "custom", "start": "0001-01-01", "end": "0001-01-01"}, "start"),
            ({"range": "custom", "start": "9999-01-01", "end": "9999-12-31"}, "end"),
            ({"by": "weather"}, "by"), ({"by": "user", "then": "user"}, "then"), ({"measure": "joy"}, "measure"),
            ({"provider": "nobody"}, "provider"), ({"user": "#0"}, "user"), ({"user": "nobody"}, "user"),
            ({"project": "#999999999999999999"}, "project"), ({"department": "x" * 300}, "department"),
            ({"page": "0"}, "page"), ({"page": "x"}, "page"), ({"region": "\x00"}, "region"),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong_and_asks_again(
        self, week: World, sam: Client, asked: dict[str, str], field: str
    ) -> None:
        for path in (PAGE, f"{PAGE}export/"):
            answer = sam.get(path, asked)
            assert answer.status_code == 400
            if "form" in (answer.context or {}):
                assert field in answer.context["form"].errors
                assert answer.context["form"].errors[field][0] in answer.content.decode().replace(
                    "&#x27;", "'"
                )
        assert not Event.objects.filter(action="export").exists()

    def test_asks_which_of_several_of_a_name(self, week: World, sam: Client) -> None:
        one, other = (
            UserFactory(handle="twin", department=week.arcade),
            UserFactory(handle="twin", department=week.palace),
        )
        text = sam.get(PAGE, {"user": "twin"}).context["form"].errors["user"][0]
        assert f"twin #{one.pk}" in text
        assert f"twin #{other.pk}" in text

    def test_helps_when_nothing_was_used(self, world: World, sam: Client) -> None:
        assert "No machine has been metered yet" in sam.get(PAGE).content.decode()
        used(of(world.alice), ago(50), ago(50, 11))
        page = sam.get(PAGE, {"user": f"#{world.bob.pk}"})
        assert "Take the filters off" in page.content.decode()
        assert f"end={ago(50).date()}" in page.content.decode()

    def test_suggests_what_a_filter_could_be(self, week: World, sam: Client) -> None:
        def suggested(name: str, text: str) -> Any:
            return sam.get(f"{PAGE}suggest/", {"of": name, "q": text}).json()

        assert suggested("user", "ALI") == [f"alice@gamer.test #{week.alice.pk}"]
        assert suggested("provider", "") == ["cloudypad_gcp", "tensordock"]
        assert suggested("region", "e") == ["eu"]
        assert suggested("password", "") == []

    def test_is_for_those_who_may(self, week: World, staff: Any) -> None:
        assert staff().get(PAGE).status_code == 403
        viewer = staff("view_usageday")
        page = viewer.get(PAGE)
        assert "Intervals CSV" not in page.content.decode()
        assert viewer.get(f"{PAGE}export/", {"what": "intervals"}).status_code == 403
        assert viewer.get(f"{PAGE}export/").status_code == 200
        assert "Costs" in [
            item["title"] for group in page.context["sidebar_navigation"] for item in group["items"]
        ]
        lister = staff("view_usageday", "view_usagerecord")
        assert "Intervals CSV" in lister.get(PAGE).content.decode()
        assert Client().get(PAGE).status_code == 302

    def test_loads_nothing_from_elsewhere_and_runs_no_script_of_its_own(
        self, week: World, sam: Client
    ) -> None:
        page = sam.get(PAGE).content.decode()
        content = page[page.index('id="costs-form"') :]
        assert "http://" not in content.replace("http://www.w3.org", "")
        assert "https://" not in content
        own = content[: content.index('id="costs"')]
        assert own.count("<script") == own.count('<script id="costs-figures" type="application/json">') == 1

    def test_asks_as_much_of_many_rows_as_of_one(self, week: World, sam: Client) -> None:
        def asked() -> int:
            with CaptureQueriesContext(connection) as found:
                assert (
                    sam.get(PAGE, {"by": "user", "then": "project", "department": "Arcade"}).status_code
                    == 200
                )
            return len(found)

        used(of(week.alice, project=week.tournament), ago(2), ago(2, 11))
        asked()
        few = asked()
        for number in range(30):
            user = UserFactory(department=week.arcade)
            used(of(user, project=ProjectFactory(owner=user), region=f"r{number}"), ago(2), ago(2, 11))
        assert asked() == few <= 26

    def test_is_linked_from_whose_costs_they_are(self, week: World, sam: Client) -> None:
        for path, query in (
            (f"accounts/user/{week.alice.pk}", f"by=console&amp;user=%23{week.alice.pk}"),
            (f"accounts/department/{week.arcade.pk}", f"by=user&amp;department=%23{week.arcade.pk}"),
        ):
            page = sam.get(f"/admin/{path}/change/").content.decode()
            assert f"{PAGE}?{query}" in page
            assert sam.get(f"{PAGE}?{query}".replace("&amp;", "&")).status_code == 200


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def sheet_of(answer: Any) -> list[list[str]]:
    """The cells of the first sheet, read as any program would: from the XML in the file."""
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as book:
        root = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    return [["".join(cell.itertext()) for cell in row] for row in root.iter(f"{space}row")]


class TestExport:
    def test_of_the_table_sums_to_the_report(self, week: World, sam: Client) -> None:
        rows = rows_of(sam.get(f"{PAGE}export/", {"by": "user", "what": "table", "as": "csv"}))
        *parts, total = rows
        found = report(
            period=last_days(30, timezone.now(), UTC), sight=STAFF, now=timezone.now(), group_by=("user",)
        ).totals
        assert [row["user"] for row in parts] == ["alice@gamer.test", "bob@gamer.test"]
        for column, exact in (
            ("cost_usd", found.cost_usd),
            ("charge_usd", found.charge_usd),
            ("margin_usd", found.margin_usd),
        ):
            assert sum(Decimal(row[column]) for row in parts) == Decimal(total[column]) == exact
        assert Decimal(total["play_hours"]) == 11

    def test_of_intervals_sums_to_the_report_and_names_the_ledger(self, week: World, sam: Client) -> None:
        rows = rows_of(
            sam.get(f"{PAGE}export/", {"what": "intervals", "as": "csv", "user": "alice@gamer.test"})
        )
        assert len(rows) == 8
        assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal("12.48")
        assert sum(Decimal(row["charge_usd"]) for row in rows) == Decimal("14.352")
        assert {row["department"] for row in rows} == {"Arcade"}
        record = UsageRecord.objects.get(pk=rows[0]["interval"])
        assert str(record.legs.get().entry_id) == rows[0]["entry"]

    @pytest.mark.parametrize("what", ["table", "intervals"])
    def test_is_the_same_as_a_sheet(self, week: World, sam: Client, what: str) -> None:
        texts = rows_of(sam.get(f"{PAGE}export/", {"what": what, "as": "csv"}))
        head, *rows = sheet_of(sam.get(f"{PAGE}export/", {"what": what, "as": "xlsx"}))
        assert head == list(texts[0])
        column = head.index("charge_usd")
        assert [Decimal(row[column]) for row in rows] == [Decimal(row["charge_usd"]) for row in texts]

    def test_is_an_event(self, week: World, sam: Client) -> None:
        sheet_of(sam.get(f"{PAGE}export/", {"what": "intervals", "as": "xlsx", "provider": "tensordock"}))
        event = Event.objects.get(action="export")
        assert (event.actor, event.resource) == (f"user:{week.sam.handle}", "billing")
        assert (
            event.details.items() >= {"what": "intervals", "format": "xlsx", "provider": "tensordock"}.items()
        )

    @pytest.mark.parametrize(("what", "rows"), [("intervals", 12), ("running", 14), ("table", 4)])
    def test_of_more_than_a_sheet_holds_is_refused_in_words(
        self, week: World, sam: Client, monkeypatch: pytest.MonkeyPatch, what: str, rows: int
    ) -> None:
        """What a machine has used so far has a row for each day; the last of a table is its total."""
        if what == "running":
            runs(of(week.alice), ago(1, 23), charge="1")
        asked = {"what": "table" if what == "table" else "intervals", "as": "xlsx", "by": "user"}
        monkeypatch.setattr(exports, "SHEET_ROWS", rows - 1)
        refused = sam.get(f"{PAGE}export/", asked)
        assert (refused.status_code, b"take the CSV" in refused.getvalue()) == (400, True)
        monkeypatch.setattr(exports, "SHEET_ROWS", rows)
        assert len(sheet_of(sam.get(f"{PAGE}export/", asked))) == rows
        assert Event.objects.filter(action="export").count() == 1

    def test_of_a_table_that_is_too_long_to_sort_is_refused_in_words(
        self, week: World, sam: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exports, "TABLE_ROWS", 1)
        refused = sam.get(f"{PAGE}export/", {"by": "user"})
        assert (refused.status_code, b"take fewer days" in refused.getvalue()) == (400, True)
        monkeypatch.setattr(exports, "TABLE_ROWS", 2)
        assert len(rows_of(sam.get(f"{PAGE}export/", {"by": "user"}))) == 3, "with the total"
        assert Event.objects.filter(action="export").count() == 1

    @pytest.mark.parametrize("asked", [{"what": "secrets"}, {"as": "exe"}])
    def test_knows_its_files(self, week: World, sam: Client, asked: dict[str, str]) -> None:
        answer = sam.get(f"{PAGE}export/", asked)
        assert answer.status_code == 400
        assert "There is no such file." in answer.content.decode()

    def test_gives_a_spreadsheet_no_formula(self, world: World, sam: Client) -> None:
        project = ProjectFactory(name='=HYPERLINK("x")', owner=world.alice)
        used(of(world.alice, project=project), ago(1), ago(1, 11))
        (row, _) = rows_of(sam.get(f"{PAGE}export/", {"by": "project"}))
        assert row["project"] == '\'=HYPERLINK("x")'
        assert sheet_of(sam.get(f"{PAGE}export/", {"by": "project", "as": "xlsx"}))[1][0] != "0"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("-0.004", "$0.00"),
        ("-0.006", "\N{MINUS SIGN}$0.01"),
        ("-1200", "\N{MINUS SIGN}$1,200.00"),
        ("0", "$0.00"),
        ("0.004", "$0.00"),
    ],
)
def test_money_that_is_rounded_to_nothing_has_no_sign(value: str, text: str) -> None:
    assert table.dollars(Decimal(value))[0] == text


@pytest.mark.parametrize(
    ("value", "before", "text"),
    [
        ("99.6", "100", "0 %"), ("100.4", "100", "0 %"), ("100", "100", "0 %"), ("99.4", "100", "\N{MINUS SIGN}1 %"),
        ("100.6", "100", "+1 %"), ("1000", "100", "\N{MULTIPLICATION SIGN} 10"), ("0", "0", "\N{EN DASH}"), ("1", "0", "new"),
        # A loss that grew, one that became small, and one that became a gain.
        ("-20", "-10", "\N{MINUS SIGN}100 %"), ("-5", "-10", "+50 %"), ("190", "-10", "+2,000 %"),
    ],
)  # fmt: skip
def test_changes_have_the_sign_of_what_is_written(value: str, before: str, text: str) -> None:
    assert table.change_of(Decimal(value), Decimal(before))[0] == text


def test_a_share_that_is_rounded_to_nothing_has_no_sign() -> None:
    assert [table.percentage(Decimal(one))[0] for one in ("-0.04", "-0.06")] == [
        "0.0 %",
        "\N{MINUS SIGN}0.1 %",
    ]


class TestIntervals:
    def test_count_what_still_runs_until_now_each_day_apart(self, world: World) -> None:
        runs(
            of(world.alice), at("2026-06-13 23:00"), origin=at("2026-06-13 22:50"), cost="0.7", charge="0.77"
        )
        used(of(world.alice), at("2026-06-10 10:00"), at("2026-06-10 11:30"), cost="0.777777")
        asked: dict[str, Any] = {"period": JUNE, "sight": STAFF, "now": NOON}
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in intervals(**asked)]
        totals = report(**asked).totals
        assert len(rows) == 5
        assert sum(row["cost_usd"] for row in rows) == totals.cost_usd
        assert sum(row["charge_usd"] for row in rows) == totals.charge_usd
        assert {row["day"].day for row in rows if row["interval"] is None} == {13, 14, 15}

    def test_are_read_by_a_cursor_of_the_server_piece_by_piece(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_of_reports, "AT_ONCE", 7)
        used(of(world.alice), at("2026-06-10 10:00"), at("2026-06-12 11:30"))

        def open_cursors() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_cursors")
                return int(cursor.fetchone()[0])

        found = intervals(period=JUNE, sight=STAFF, now=NOON)
        next(found)
        assert open_cursors() == 1
        assert len(list(found)) == 49
        assert open_cursors() == 0
