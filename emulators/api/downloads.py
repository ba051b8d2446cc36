"""Archives of saves as answers, at the API and at the admin."""

from __future__ import annotations

from django.http import FileResponse, HttpResponse, HttpResponseBase, HttpResponseRedirect

from emulators.services.slots import Delivery


def download_of(delivery: Delivery) -> HttpResponseBase:
    """An archive as an attachment, or where it is. Nobody keeps it on the way, and no browser guesses what it is."""
    if delivery.link:
        answer: HttpResponseBase = HttpResponseRedirect(delivery.link)
    elif delivery.file is not None:
        answer = FileResponse(delivery.file, as_attachment=True, filename=delivery.filename)
    else:
        answer = HttpResponse(delivery.content)
        answer["Content-Disposition"] = f'attachment; filename="{delivery.filename}"'
    if not delivery.link:
        answer["Content-Type"] = "application/gzip"
        answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer
