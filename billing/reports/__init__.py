"""Reports: what was used, what it cost and what was charged for it, over whole days. Pure queries, nothing is written.

Figures are the daily sums (`UsageDay`) and, for what still runs, the accrual of the open meters: equal to the sum over all
intervals to the last digit. Start reading at `report` in `figures.py`; `spending.py` has the front page and the limits.
"""

from __future__ import annotations

from billing.reports.compared import Compared, compared, daily
from billing.reports.figures import GROUPS, Filters, Report, of_one_person, report, series
from billing.reports.machines import VmUsage, usage_of_vms
from billing.reports.rows import Row
from billing.reports.spending import FrontPage, Spending, forecast, front_page_figures, spending_now

__all__ = [
    "GROUPS",
    "Compared",
    "Filters",
    "FrontPage",
    "Report",
    "Row",
    "Spending",
    "VmUsage",
    "compared",
    "daily",
    "forecast",
    "front_page_figures",
    "of_one_person",
    "report",
    "series",
    "spending_now",
    "usage_of_vms",
]
