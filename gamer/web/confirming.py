"""A list's action that asks first: what it means and which rows it is about, on a page of its own; done once that is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

PAGE = "confirm.html"
# Rows one confirmation may be about: all of them stand on its page.
MOST_AT_ONCE = 200
CONFIRMED = "confirmed"  # what the page's form sends besides

Act = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the verb as it stands on the button, and what it leads to."""

    label: str
    meaning: str
    is_dangerous: bool = False


def asks(question: Question) -> Callable[[Act], Act]:
    """Decorates a list's action, below `admin.action`: it is called only with what was confirmed."""

    def ask_before(act: Act) -> Act:
        @wraps(act)
        def asking(page: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            chosen = list(queryset[: MOST_AT_ONCE + 1])
            if len(chosen) > MOST_AT_ONCE:
                messages.error(request, f"At most {MOST_AT_ONCE} at once. Nothing was done.")
                return None
            if CONFIRMED in request.POST:
                return act(page, request, queryset)
            return _ask(page, request, chosen, question, act.__name__)

        vars(asking)["asks_first"] = True
        return asking

    return ask_before


def ticked(page: Any, request: HttpRequest, listed: QuerySet[Any]) -> QuerySet[Any]:
    """The rows a list's action is about: those ticked, also where the list's filter no longer holds for one of them.

    A question takes time to read, and a VM's status changes meanwhile. What is gone altogether is told.
    """
    if request.POST.get("select_across") == "1":
        return listed
    keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
    rows: QuerySet[Any] = page.get_queryset(request).filter(pk__in=keys)
    missing = len(set(keys)) - rows.count()
    if missing:
        messages.warning(
            request, f"{missing} of the chosen {'is' if missing == 1 else 'are'} no longer there."
        )
    return rows


def tell_it_was_so(request: HttpRequest, row: Any) -> None:
    """To who comes from a page of before: what they ask for is so already."""
    messages.warning(request, f"{row}: nothing to do, it was so already.")


def is_only_asking(page: Any, request: HttpRequest) -> bool:
    """Whether a list's posted action leads to its question, so that nothing is done yet; of several, whichever it is."""
    acts = (getattr(page, name, None) for name in request.POST.getlist("action"))
    return CONFIRMED not in request.POST and all(getattr(act, "asks_first", False) for act in acts)


def _ask(
    page: Any, request: HttpRequest, chosen: list[Any], question: Question, name: str
) -> HttpResponse | None:
    changeable = [row for row in chosen if page.has_change_permission(request, row)]
    if not changeable:
        messages.error(request, "None of these can be changed. Nothing was done.")
        return None
    subject = str(changeable[0]) if len(changeable) == 1 else f"{len(changeable)} chosen"
    shown = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "act": question,
        "action_name": name,
        "chosen": changeable,
        "left_out": len(chosen) - len(changeable),
        "title": f"{question.label}: {subject}",
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.get_full_path(),
        "is_many": True,
    }
    return TemplateResponse(request, PAGE, shown)
