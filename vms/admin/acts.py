"""What staff may do with VMs, one at a time or many: asked for, confirmed, then one call of a service each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.principal import Principal
from emulators.admin import by
from gamer.errors import GamerError
from vms import moves, services
from vms.admin.wording import COLOURS
from vms.lifecycle import TERMINAL, Status, status_of
from vms.models import VM, VMQuerySet

# Rows one confirmation may act on; each is a transaction of its own.
MOST_AT_ONCE = 200
ALIVE = frozenset(Status) - {status_of("gone", phase) for phase in TERMINAL}
CONFIRM = "vms/confirm.html"


class Call(Protocol):
    """A verb of `vms.services`."""

    def __call__(self, *, vm: VM, by: Principal, now: datetime) -> Any: ...


@dataclass(frozen=True, slots=True)
class Act:
    """One verb. `needs` is the permission on VMs; `statuses` are those whose page offers it, and the service decides."""

    name: str
    label: str
    meaning: str
    done: str
    icon: str
    call: Call
    statuses: frozenset[Status]
    needs: str = "vms.change_vm"
    is_dangerous: bool = False

    @property
    def url_name(self) -> str:
        return f"admin:vms_vm_{self.name}"

    def is_allowed(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.needs))


# Asked with where to: `moving.py` has its page.
MOVE = Act(
    "move", "Move",
    "It leaves its machine for another one and stays the same VM, with its games and saves. What is played now ends, is saved, and begins "
    "again there. The old machine is kept until the new one runs, and deleted then. Where none can be had, it goes on where it was.",
    "move asked", "swap_horiz", partial(moves.move, to=moves.Destination()), frozenset(moves.MOVABLE),
)  # fmt: skip
ACTS: tuple[Act, ...] = (
    Act(
        "start", "Start",
        "It starts again on the same machine and is charged from then on.",
        "start asked", "play_arrow", services.start, frozenset({Status.STOPPED}),
    ),
    Act(
        "stop", "Stop",
        "The game ends and the machine is switched off. It is kept for a while, and the provider may go on charging for it.",
        "stop asked", "stop", services.stop, frozenset({Status.RUNNING}),
    ),
    Act(
        "extend", "Extend by an hour",
        "The end of its session moves by an hour, and no further away than at its start.",
        "extended", "more_time", services.extend, frozenset({Status.RUNNING}),
    ),
    Act(
        "retry", "Retry",
        "It is placed anew, as if it were launched now. Nothing of the first try is left: that is proven.",
        "a new try begins", "replay", services.retry, frozenset({Status.ERROR}),
    ),
    MOVE,
    Act(
        "look", "Look now",
        "The reconciler looks at it at once instead of when its turn comes. Nothing else changes.",
        "a look asked", "visibility", services.look_now, ALIVE,
    ),
    Act(
        "terminate", "Terminate",
        "The game ends and the machine is deleted at the provider. A terminated VM cannot be started again.",
        "termination asked", "delete", services.destroy, ALIVE - {Status.TERMINATING},
        needs="vms.delete_vm", is_dangerous=True,
    ),
)  # fmt: skip
BY_NAME = {act.name: act for act in ACTS}


def offered(request: HttpRequest, vm: VM) -> list[Act]:
    """The acts that make sense for a VM now and that this person may do."""
    return [act for act in ACTS if vm.status in act.statuses and act.is_allowed(request)]


def act_on_one(request: HttpRequest, vm: VM, act: Act, context: dict[str, Any]) -> HttpResponse:
    """GET asks; POST does it and goes back to the VM's page."""
    if not act.is_allowed(request):
        raise PermissionDenied
    page = reverse("admin:vms_vm_change", args=[vm.pk])
    if request.method == "POST":
        carry_out(request, act, [vm])
        return HttpResponseRedirect(page)
    return _ask(request, act, [vm], {**context, "back": page})


def bulk_actions(
    request: HttpRequest, context: Callable[[], dict[str, Any]]
) -> dict[str, tuple[Any, str, str]]:
    """The list's actions, as Django wants them; a move has its own."""
    allowed = (act for act in ACTS if act is not MOVE and act.is_allowed(request))
    return {
        act.name: (partial(_act_on_many, act=act, context=context), act.name, act.label) for act in allowed
    }


def _act_on_many(
    model_admin: Any,
    request: HttpRequest,
    rows: VMQuerySet,
    *,
    act: Act,
    context: Callable[[], dict[str, Any]],
) -> HttpResponse | None:
    chosen = list(rows[: MOST_AT_ONCE + 1])
    if len(chosen) > MOST_AT_ONCE:
        messages.error(request, f"At most {MOST_AT_ONCE} VMs at once. Nothing was done.")
        return None
    if "confirmed" in request.POST:
        carry_out(request, act, chosen)
        return None
    return _ask(request, act, chosen, {**context(), "back": request.get_full_path(), "is_many": True})


def _ask(request: HttpRequest, act: Act, vms: Sequence[VM], context: dict[str, Any]) -> HttpResponse:
    subject = str(vms[0]) if len(vms) == 1 else f"{len(vms)} VMs"
    fitting = [vm for vm in vms if vm.status in act.statuses]
    asked = {
        "act": act,
        "action_name": act.name,
        "chosen": vms,
        "vms": [(vm, COLOURS[vm.status]) for vm in vms],
        "misfits": len(vms) - len(fitting),
        "title": f"{act.label}: {subject}",
        "checkbox": ACTION_CHECKBOX_NAME,
    }
    return TemplateResponse(request, CONFIRM, {**context, **asked})


def carry_out(request: HttpRequest, act: Act, vms: Sequence[VM]) -> None:
    """Each VM by itself: what one is refused does not keep the others back."""
    now, who = timezone.now(), by(request)
    done: list[str] = []
    for vm in vms:
        try:
            act.call(vm=vm, by=who, now=now)
        except GamerError as error:
            messages.error(request, f"{name_of(vm)}: not done. {error.message}")
        else:
            done.append(name_of(vm))
    if done:
        messages.success(request, f"{', '.join(done[:10])}{_and_more(len(done) - 10)}: {act.done}.")


def _and_more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def name_of(vm: VM) -> str:
    """A VM in a message: its name, and the beginning of its id."""
    short = str(vm.pk)[:8]
    return str(vm) if short in str(vm) else f"{vm} ({short})"


def is_under_way(vm: VM) -> bool:
    """Whether something is happening that a page should follow closely."""
    return vm.status not in (Status.RUNNING, Status.STOPPED) and not vm.is_terminal
