"""What is left on our own hosts of machines that are gone: the folders in which CloudyPad made them consoles, with their keys."""

from __future__ import annotations

from django.conf import settings

from vms import installation, setup
from vms.models import Attempt
from vms.providers.base import installation_of


def forget() -> int:
    """Forgets every machine of ours that no attempt may still hold; how many.

    Asked of the folders and not of each end, of which there are several: one that a crash or a late step leaves behind goes as well.
    """
    by = setup.Cloudypad(settings.CLOUDYPAD_BIN, settings.CLOUDYPAD_HOME)
    # Before the rows are read: an attempt is there before its folder is.
    ours = {tag for tag in setup.kept(by) if installation_of(tag) == installation.identifier()}
    held = set(Attempt.objects.held().filter(tag__in=ours).values_list("tag", flat=True))
    for tag in ours - held:
        setup.forget(tag, by)
    return len(ours - held)
