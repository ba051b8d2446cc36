"""Pages are driven in a browser where there is one."""

from tests.vms.admin.conftest import CHROMIUM

collect_ignore = [] if CHROMIUM.exists() else ["test_costs_browser.py"]
