"""What these modules need of the machine."""

from __future__ import annotations

import os
import shutil

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
collect_ignore = [] if NGINX else ["test_proxy.py"]
if os.geteuid() != 0:
    collect_ignore.append("test_ownership.py")  # root alone is refused
