"""`/vms` and `/vms/{id}`: made, listed, changed, started, stopped, ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import needs
from accounts.models import Scope
from accounts.principal import principal_of
from accounts.services import resolve_owner
from gamer.web.idempotency import run_once
from gamer.web.reading import ListView, body_of, expect_nothing, filters_of
from gamer.web.schema import IDEMPOTENCY_KEY, LOCATION, errors
from gamer.web.serializers import MessageSerializer
from vms import moves, queries, services
from vms.api import examples
from vms.api.serializers.machines import (
    ExtensionSerializer,
    StaffVmSerializer,
    VmQuerySerializer,
    vm_serializer,
)
from vms.api.serializers.wishes import MoveSerializer, VmChangesSerializer, VmCreationSerializer
from vms.models import VM

TAGS = ["vms"]
Method = TypeVar("Method", bound=Callable[..., Response])


def vm_answer(request: Request, vm_id: UUID | str, status: int = 200) -> Response:
    """A VM as the caller may see it; with its address when it is new. Raises NotFound for somebody else's."""
    principal = principal_of(request)
    shown = queries.find_shown(principal, vm_id)
    headers = {"Location": request.build_absolute_uri(f"/vms/{vm_id}")} if status == 201 else None
    return Response(vm_serializer(principal)(shown).data, status=status, headers=headers)


class VmsView(ListView):
    permission_classes = (needs(Scope.LAUNCH),)
    queryset = VM.objects.all()

    @extend_schema(
        operation_id="list_vms",
        tags=TAGS,
        parameters=[VmQuerySerializer],
        responses=StaffVmSerializer(many=True),
        examples=[examples.VM],
    )
    def get(self, request: Request) -> Response:
        """VMs you may see, the newest first."""
        asked, principal = filters_of(request, VmQuerySerializer), principal_of(request)
        rows = queries.shown_vms(principal, **asked.filters()).order_by(asked.validated_data["ordering"])
        return self.page(rows, vm_serializer(principal))

    @extend_schema(
        operation_id="create_vm",
        tags=TAGS,
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        request=VmCreationSerializer,
        responses={201: StaffVmSerializer, **errors(402, 404, 409, 503)},
        examples=[examples.VM_CREATION, examples.VM_CREATING, *examples.LAUNCH_ERRORS],
    )
    def post(self, request: Request) -> Response:
        """Makes a VM, always a new one: a player who has a live one of that console gets a 409 that names it."""
        asked, by = body_of(request, VmCreationSerializer), principal_of(request)

        def answer() -> Response:
            owner = resolve_owner(by, asked.user_id_given)
            made = services.create(by=by, owner=owner, order=asked.order(), now=timezone.now())
            return vm_answer(request, made.vm.pk, 201)

        return run_once(request, answer)


class VmView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)

    @extend_schema(operation_id="get_vm", tags=TAGS, responses=StaffVmSerializer, examples=[examples.VM])
    def get(self, request: Request, vm_id: str) -> Response:
        """One VM."""
        return vm_answer(request, vm_id)

    @extend_schema(
        operation_id="update_vm",
        tags=TAGS,
        request=VmChangesSerializer,
        responses={200: StaffVmSerializer, **errors(409)},
        examples=[examples.VM_CHANGES, examples.VM],
    )
    def patch(self, request: Request, vm_id: str) -> Response:
        """Renames a VM, changes its idle time, or moves it to another project of its owner's (null: to none)."""
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        changes = body_of(request, VmChangesSerializer).validated_data
        services.change(vm=vm, by=by, now=timezone.now(), **changes)
        return vm_answer(request, vm_id)

    @extend_schema(
        operation_id="delete_vm",
        tags=TAGS,
        request=None,
        responses={202: MessageSerializer},
        examples=[examples.message("VM termination initiated")],
    )
    def delete(self, request: Request, vm_id: str) -> Response:
        """Ends a VM in whatever state it is; safe to repeat. Its status is `terminated` once its machine is proven gone.

        A VM in `error` stays in it: that is the other proven end, after a failure, and no machine of it is left.
        """
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        expect_nothing(request)
        services.destroy(vm=vm, by=by, now=timezone.now())
        return Response({"message": "VM termination initiated"}, status=202)


class _ActView(APIView):
    """One act on one VM, without a body."""

    permission_classes = (needs(Scope.LAUNCH),)

    def act(self, request: Request, vm_id: str, service: Callable[..., Any], message: str) -> Response:
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        expect_nothing(request)
        service(vm=vm, by=by, now=timezone.now())
        return Response({"message": message}, status=202)


def _act_schema(operation_id: str, message: str, *refusals: int) -> Callable[[Method], Method]:
    described: Callable[[Method], Method] = extend_schema(
        operation_id=operation_id,
        tags=TAGS,
        request=None,
        responses={202: MessageSerializer, **errors(*refusals)},
        examples=[examples.message(message)],
    )
    return described


class StartVmView(_ActView):
    message = "VM start initiated"

    @_act_schema("start_vm", message, 402, 409)
    def post(self, request: Request, vm_id: str) -> Response:
        """Starts a stopped VM on the same machine. 409 names the player's other live VM of that console."""
        return self.act(request, vm_id, services.start, self.message)

    @_act_schema("start_vm_by_put", message, 402, 409)
    def put(self, request: Request, vm_id: str) -> Response:
        """As POST."""
        return self.post(request, vm_id)


class StopVmView(_ActView):
    message = "VM stop initiated"

    @_act_schema("stop_vm", message)
    def post(self, request: Request, vm_id: str) -> Response:
        """Stops a running VM. Its machine is kept, and may still cost."""
        return self.act(request, vm_id, services.stop, self.message)

    @_act_schema("stop_vm_by_put", message)
    def put(self, request: Request, vm_id: str) -> Response:
        """As POST."""
        return self.post(request, vm_id)


class RetryVmView(_ActView):
    message = "VM retry initiated"

    @_act_schema("retry_vm", message, 402, 409)
    def post(self, request: Request, vm_id: str) -> Response:
        """Places a VM in `error` anew."""
        return self.act(request, vm_id, services.retry, self.message)


class MoveVmView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)
    message = "VM move initiated"

    @extend_schema(
        operation_id="move_vm",
        tags=TAGS,
        request=MoveSerializer,
        responses={202: MessageSerializer, **errors(402, 404, 409, 503)},
        examples=[examples.MOVE, examples.message(message), examples.NO_CAPACITY],
    )
    def post(self, request: Request, vm_id: str) -> Response:
        """Moves a running or stopped VM to another machine, elsewhere if asked: the same VM, the same saves, and it runs there.

        A game that runs is ended well and launched again there. Its machine is kept until the new one runs, and deleted then; where
        none can be had after all, the VM goes on where it was (`move_refused` among its events). 400 names the state that does not fit.
        """
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        to = body_of(request, MoveSerializer).destination()
        moves.move(vm=vm, to=to, by=by, now=timezone.now())
        return Response({"message": self.message}, status=202)


class ExtendVmView(APIView):
    permission_classes = (needs(Scope.LAUNCH),)
    message = "VM extension initiated"

    @extend_schema(
        operation_id="extend_vm",
        tags=TAGS,
        request=None,
        responses={202: ExtensionSerializer},
        examples=[examples.message(message, session_ends_at="2026-06-15T21:00:00Z")],
    )
    def post(self, request: Request, vm_id: str) -> Response:
        """Moves the end of a running VM's time by an hour, at most to `max_session_hours` from now; 400 when it is there already."""
        by = principal_of(request)
        vm = queries.find_vm(by, vm_id)
        expect_nothing(request)
        until = services.extend(vm=vm, by=by, now=timezone.now())
        told = {"message": self.message, "session_ends_at": until}
        return Response(ExtensionSerializer(told).data, status=202)
