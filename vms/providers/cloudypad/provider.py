"""CloudyPad behind the seam: what its words mean to us, and what an order of a quarter of an hour looks like meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from redaction.masks import redact
from vms.providers.base import (
    BadCredentials,
    Machine,
    MachineSpec,
    MachineState,
    Need,
    NotFound,
    Offer,
    OutcomeUnknown,
    Place,
    Provider,
    ProviderError,
    Rejected,
    Sizes,
    Suspendable,
    Unavailable,
)
from vms.providers.cloudypad import orders
from vms.providers.cloudypad.answers import (
    CANCELLED,
    DEFAULT_USER,
    Failure,
    Told,
    Unreadable,
    address_of,
    events_in,
    failure_in,
    machine_state,
    names_in,
    state_in,
    user_of,
)
from vms.providers.cloudypad.books import Book, Home, Order, Page, Run
from vms.providers.cloudypad.cli import MOST_READS, Cli, Clock, RealClock, Times
from vms.providers.cloudypad.clouds import (
    CLOUDS,
    DUMMY,
    OPEN_PORTS,
    TCP_PORTS,
    UDP_PORTS,
    USD_PER_KEPT_ADDRESS,
    USD_PER_KEPT_GB,
    Account,
    Cloud,
    missing,
)
from vms.providers.cloudypad.names import SAFE, name_of, tag_of

ANY_AGE = float("inf")
# For how long after a stop a machine that runs is taken for one that the stop has not reached.
INSISTS_S = 600
# How much of a run's words a machine carries for the operator.
PROGRESS = 600


class CloudyPadProvider(Provider, Suspendable):
    """One account at one cloud, by its home. The kinds differ by their `cloud` alone."""

    kind: ClassVar[str] = ""
    cloud: ClassVar[Cloud]
    sizes: ClassVar[Sizes] = Sizes(whole=True)
    pins_host_key: ClassVar[bool] = False
    needs_setup: ClassVar[bool] = False
    makes_slowly: ClassVar[bool] = True

    def __init__(
        self,
        account: Account,
        *,
        pace: Callable[[], None] = lambda: None,
        times: Times | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._account, self._times, self._clock = account, times or Times(), clock or RealClock()
        self._home = Home(account.home)
        self._cli = Cli(account, self.cloud, self._home, self._times, self._clock, pace)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._home.folder}>"

    def offers(self, need: Need) -> Sequence[Offer]:
        """The account's table; that the tool runs at all is asked every few minutes."""
        self._cli.enter()
        self._names(self._times.probe)
        found = (
            Offer(
                offer_id=f"{product.zone}/{product.machine_type}"[:150],
                place=Place(product.region, product.city, product.state, product.country),
                gpu_model=product.gpu_model,
                max_gpus=product.gpus,
                max_vcpus=product.vcpus,
                max_ram_gb=product.ram_gb,
                max_disk_gb=product.data_disk_gb or product.root_disk_gb,
                usd_per_hour=product.usd_per_hour,
                has_dedicated_ip=True,
                order=product.order,
            )
            for product in self._account.stock
        )
        return [
            offer
            for offer in found
            if offer.max_gpus >= need.gpus and (not need.gpu_models or offer.gpu_model in need.gpu_models)
        ]

    def create(self, spec: MachineSpec, tag: str) -> Machine:
        """Starts the tool and watches it for a refusal; what is refused later shows as the machine's `failure`."""
        name = name_of(tag)
        self._check(spec)
        self._cli.check()
        self._cli.enter()
        book = self._home.book(name)
        if book.page() is not None or self._home.state_path(name).exists():
            raise OutcomeUnknown(f"{tag} was ordered before")
        login = spec.ssh_private_key
        key = self._home.keep_secret(f"{name}.key", login) if login else None
        argv = self.cloud.create_argv(name, spec, self._account.credentials, key)
        order = Order("create", argv, self._times.create_limit)
        orders.give(self._cli, book, order, machine=_ordered(spec, tag))
        seen = set[str]()  # kept, because a later look may find half of the state

        def is_taken() -> bool:
            seen.update(events_in(self._home.state_text(name)))
            return orders.PROVISIONED in seen

        run = orders.watch(self._cli, book, order.id, self._times.create_watch, is_taken)
        page = book.page() or Page()
        if run is not None:
            self._judge_create(book, run)
        elif not seen & {orders.TAKEN, orders.PROVISIONED} and not orders.waits(page, order.id):
            raise OutcomeUnknown("create: the tool has not begun yet")
        return self._sketch(name, page, MachineState.PENDING)

    def get(self, machine_id: str) -> Machine:
        if not SAFE.match(machine_id):
            raise NotFound(f"no machine {machine_id}")
        self._cli.enter()
        machine = self._look(machine_id, self._times.status)
        if machine is None:
            raise NotFound(f"no machine {machine_id}")
        return machine

    def list(self) -> Sequence[Machine]:
        """Names by the tool, orders by our pages. Of machines of ours the tool is asked how they are, when it was not lately.

        There is time for some six of them: first come those that were changed since, then who was asked longest ago, or the others would
        never be.
        """
        self._cli.enter()
        began = self._clock.now()
        names = {*self._names(self._times.names), *self._home.books()}
        until = began + self._times.read
        with ThreadPoolExecutor(MOST_READS, thread_name_prefix="cloudypad") as pool:
            found = [*pool.map(lambda name: self._listed(name, until), sorted(names, key=self._asked_at))]
        return [machine for machine in found if machine is not None]

    def delete(self, machine_id: str) -> None:
        """Queued behind what is under way: a run that is cut off leaves its cloud half made. A create that waits is dropped."""
        self._cli.enter()
        if not SAFE.match(machine_id) or not self._is_known(machine_id):
            return
        book = self._home.book(machine_id)
        if orders.drop_unbegun(self._home, book):
            self._forget(book)
            return
        page = book.page()
        if page is not None and any(order.verb == "destroy" for order in page.queue):
            orders.carry_on(self._cli, book)
            return
        run = self._do(book, self._order(machine_id, "destroy", "--yes"))
        if run is None:
            return
        failure = self._failure(book, run)
        is_done = run.exit_code == 0 and f"Destroyed instance {machine_id}" in orders.words_of(book)
        if is_done or failure.meaning is NotFound:
            self._forget(book)
            return
        error = self._cli.error(failure, Unavailable, "destroy")
        raise error if isinstance(error, BadCredentials | Unavailable) else Unavailable(str(error))

    def stop(self, machine_id: str) -> None:
        standing = self._standing(machine_id, "stop")
        if standing in (MachineState.STOPPED, MachineState.STOPPING):
            return
        # It may have shut itself down: the tool can stop it, and its cloud end billing it, once it runs. Starting one that runs is no harm.
        is_started = standing is MachineState.UNKNOWN and self.cloud.hides_shutdowns
        first = [self._order(machine_id, "start", "--wait", is_quiet=True)] if is_started else []
        self._act(machine_id, "stop", "Stopped", *first)

    def start(self, machine_id: str) -> None:
        if self._standing(machine_id, "start") in (MachineState.RUNNING, MachineState.PENDING):
            return
        self._act(machine_id, "start", "Started")

    def stopped_usd_per_hour(self, machine: Machine) -> Decimal:
        """Its disks and its address; the full rate where we did not order it and so know no disks."""
        if machine.usd_per_hour is None:
            raise ValueError("the machine's running price must be known")
        kept_gb = machine.raw.get("kept_disk_gb")
        if not isinstance(kept_gb, int):
            return machine.usd_per_hour
        return min(machine.usd_per_hour, kept_gb * USD_PER_KEPT_GB + USD_PER_KEPT_ADDRESS)

    # A create.

    def _check(self, spec: MachineSpec) -> None:
        offer = spec.offer
        ordered = {"gpus": offer.max_gpus, "vcpus": offer.max_vcpus, "ram_gb": offer.max_ram_gb}
        for word, most in {**ordered, "disk_gb": offer.max_disk_gb}.items():
            if getattr(spec, word) > most:
                raise Rejected(f"{offer.offer_id} has no {word}={getattr(spec, word)}")
        closed = {*spec.tcp_ports} - {*TCP_PORTS}, {*spec.udp_ports} - {*UDP_PORTS}
        if any(closed):
            raise Rejected(
                f"the tool opens Wolf's ports and no others, so not port {min(*closed[0], *closed[1], 65535)}"
            )
        if word := missing(self.cloud, self._account.credentials):
            raise BadCredentials(f"the account names no {word}")

    def _judge_create(self, book: Book, run: Run) -> None:
        """A create whose run has ended. Exit 0 proves nothing; the tool's own state does."""
        has_state = self._home.state_path(book.name).exists()
        if run.exit_code == 0 and has_state:
            return
        failure = self._failure(book, run)
        if run.exit_code is not None and run.exit_code < 0:
            raise OutcomeUnknown("create: the run was cut off")
        error = self._cli.error(failure, OutcomeUnknown, "create")
        if run.exit_code == 0 and CANCELLED not in orders.words_of(book):
            error = OutcomeUnknown(
                f"create: the tool says nothing that proves it: {self._cli.scrub(failure.text)}"
            )
        if not has_state:
            self._forget(book)
        elif not isinstance(error, OutcomeUnknown):
            # Nobody will ask for this machine's end, and its network, disks and address may be there.
            orders.give(self._cli, book, self._order(book.name, "destroy", "--yes"))
        raise error

    def _failure(self, book: Book, run: Run) -> Failure:
        if run.is_overdue:
            return Failure(Unavailable, f"{run.verb}: ended after its limit")
        return failure_in(orders.words_of(book))

    # Orders.

    def _order(self, name: str, verb: str, *flags: str, is_quiet: bool = False) -> Order:
        return Order(verb, [verb, name, *flags], self._times.act_limit, is_quiet)

    def _do(self, book: Book, *given: Order) -> Run | None:
        """Watches the last of them."""
        orders.give(self._cli, book, *given)
        return orders.watch(self._cli, book, given[-1].id, self._times.act_watch, lambda: False)

    def _act(self, name: str, verb: str, done: str, *first: Order) -> None:
        """Exit 0 proves nothing: the tool must say that it did it."""
        book = self._home.book(name)
        run = self._do(book, *first, self._order(name, verb, "--wait"))
        if run is None or (run.exit_code == 0 and f"{done} instance {name}" in orders.words_of(book)):
            return
        raise self._cli.error(self._failure(book, run), Unavailable, verb)

    def _standing(self, machine_id: str, verb: str) -> MachineState:
        """What the machine is doing, orders first. Raises NotFound, also for one that is being deleted."""
        if not SAFE.match(machine_id):
            raise NotFound(f"no machine {machine_id}")
        self._cli.enter()
        book = self._home.book(machine_id)
        page = book.page()
        loud = [order.verb for order in page.queue if not order.is_quiet] if page is not None else []
        if "destroy" in loud:
            raise NotFound(f"{machine_id} is being deleted")
        if loud:
            orders.carry_on(self._cli, book)
            return orders.STATES[loud[-1]]
        return self._fresh(machine_id).doing

    def _is_known(self, name: str) -> bool:
        return self._home.book(name).page() is not None or name in self._names(0)

    # Looks.

    def _names(self, good_for_s: float) -> Sequence[str]:
        """The tool's list of machines, asked again when it is older than `good_for_s`."""
        kept = self._kept("names.json", good_for_s)
        if kept is not None:
            return [str(name) for name in kept["names"]]
        try:
            names = names_in(self._cli.ask("list", "--format", "json"))
        except Unreadable as error:
            raise Unavailable(f"list: {error}") from None
        self._keep("names.json", {"names": names})
        return names

    def _fresh(self, name: str) -> Told:
        """The tool's word on one machine, asked now."""
        try:
            state = state_in(self._cli.ask("get", name))
        except Unreadable as error:
            raise Unavailable(f"get: {error}") from None
        raw = redact(state, self._cli.secrets)
        told = Told(time.time(), machine_state(state), address_of(state), user_of(state), raw)
        self._keep(f"status-{name}.json", asdict(told))
        return told

    def _told(self, name: str, page: Page, good_for_s: float) -> Told | None:
        """What the tool last told of a machine, unless that is too old, or from before the last order."""
        known = self._kept(f"status-{name}.json", good_for_s)
        changed_at = (page.run.ended_at or page.run.began_at) if page.run is not None else 0
        if known is None or (known["at"] < changed_at and not page.queue):
            return None
        return Told(**{**known, "doing": MachineState(known["doing"])})

    def _listed(self, name: str, until: float) -> Machine | None:
        """A list is never in part: a machine that there is no time to ask about is shown as it was."""
        if not tag_of(name):
            return Machine(name, "", MachineState.UNKNOWN, raw={"name": name})
        try:
            return self._look(name, self._times.status if self._clock.now() < until else ANY_AGE)
        except Unavailable:
            return self._look(name, ANY_AGE)

    def _look(self, name: str, good_for_s: float) -> Machine | None:
        """One machine, or None for one that is gone."""
        book = self._home.book(name)
        orders.carry_on(self._cli, book)
        page = book.page() or Page()
        standing = orders.state_of(page)
        told = self._told(name, page, good_for_s if standing is None else ANY_AGE)
        if standing is not None:
            return self._sketch(name, page, standing, told)
        if not self._home.state_path(name).exists() and name not in self._names(self._times.names):
            self._forget(book)
            return None
        if told is None and good_for_s == ANY_AGE:
            return self._sketch(name, page, MachineState.UNKNOWN)
        try:
            if told is None:
                self._asked(name).touch()
                told = self._fresh(name)
        except NotFound:
            self._forget(book)
            return None
        machine = self._sketch(name, page, told.doing, told)
        self._finish_stop(book, page, machine)
        return machine

    def _finish_stop(self, book: Book, page: Page, machine: Machine) -> None:
        """A machine that shut itself down is not stopped at its cloud, which may bill it on: the tool's own stop does that.

        And the tool tells no stop that failed: with exit 0 and a machine that runs on.
        """
        run = page.run
        if page.queue or run is None or run.exit_code != 0:
            return
        was_up = run.verb in ("create", "deploy", "start")
        is_recent = time.time() - (run.ended_at or 0) < INSISTS_S
        halted = machine.state is MachineState.STOPPED and was_up
        insists = machine.state is MachineState.RUNNING and run.verb == "stop" and is_recent
        if halted or insists:
            stop = self._order(book.name, "stop", "--wait", is_quiet=halted)
            orders.give_if_unchanged(self._cli, book, page, stop)

    def _sketch(self, name: str, page: Page, state: MachineState, told: Told | None = None) -> Machine:
        """A machine from its page and from what the tool told of it."""
        price = page.machine.get("usd_per_hour")
        raw = {**(told.raw if told else {}), **page.machine.get("shown", {}), "name": name}
        if page.run is not None:
            words = orders.words_of(self._home.book(name))[-PROGRESS:]
            raw["last_run"] = {
                "verb": page.run.verb,
                "seconds": round((page.run.ended_at or time.time()) - page.run.began_at),
                "exit_code": page.run.exit_code,
                "said": words,
            }
        return Machine(
            machine_id=name,
            tag=tag_of(name),
            state=state,
            ip=told.ip if told else "",
            ssh_user=told.user if told else DEFAULT_USER,
            usd_per_hour=Decimal(price) if price is not None else None,
            raw=redact(raw, self._cli.secrets),
            failure=self._gone_wrong(name, page, state),
        )

    def _gone_wrong(self, name: str, page: Page, state: MachineState) -> ProviderError | None:
        """What became of an order that had been taken: the last one failed, and none is under way to better it."""
        run = page.run
        if page.queue or run is None or run.ended_at is None or run.exit_code == 0 or run.verb == "destroy":
            return None
        if run.verb == "stop":
            return None
        failure = self._failure(self._home.book(name), run)
        is_refused = failure.meaning not in (None, Unavailable)
        if run.verb == "start" and not is_refused and state is not MachineState.STOPPED:
            # At some clouds the tool waits for a minute, and no flag of it for longer: the machine may be on its way.
            return None
        return self._cli.error(failure, Unavailable, run.verb)

    def _forget(self, book: Book) -> None:
        """Lets go of a machine that is gone, and of its key."""
        orders.forget(book)
        for path in (f"secrets/{book.name}.key", f"status-{book.name}.json"):
            (self._home.folder / "gamer" / path).unlink(missing_ok=True)
        self._asked(book.name).unlink(missing_ok=True)

    # What is remembered between processes, in the home.

    def _asked(self, name: str) -> Path:
        """Its time is when a look last asked of the machine, whatever came of it: one that never answers must not keep others from it."""
        return self._home.folder / "gamer" / f"asked-{name}"

    def _asked_at(self, name: str) -> float:
        """0 also for one that was changed since: what was told of it is true no more, and somebody waits for it."""
        try:
            at = self._asked(name).stat().st_mtime
        except FileNotFoundError:
            return 0
        page = self._home.book(name).page()
        run = page.run if page is not None else None
        return 0 if run is not None and (run.ended_at or 0) > at else at

    def _kept(self, name: str, good_for_s: float) -> dict[str, Any] | None:
        path = self._home.folder / "gamer" / name
        try:
            known: dict[str, Any] = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        # What is from the future was told before the clock was put back: nobody knows when.
        is_good = good_for_s > 0 and abs(time.time() - known["at"]) <= good_for_s
        return known if is_good else None

    def _keep(self, name: str, value: Mapping[str, Any]) -> None:
        self._home.write(self._home.folder / "gamer" / name, json.dumps({**value, "at": time.time()}))


def _ordered(spec: MachineSpec, tag: str) -> dict[str, Any]:
    """What an order must be remembered by: its price, and what an operator wants to see of it."""
    order = spec.offer.order
    kept_gb = int(order.get("root_disk_gb", 0)) + int(order.get("data_disk_gb", 0))
    shown = {
        "tag": tag,
        "machine_type": order.get("machine_type", ""),
        "zone": order.get("zone", ""),
        "kept_disk_gb": kept_gb,
        "open_to_everybody": list(OPEN_PORTS),
    }
    return {"usd_per_hour": str(spec.usd_per_hour), "shown": shown}


def _provider(kind: str, cloud: Cloud, *, has_shell: bool = True) -> type[CloudyPadProvider]:
    name = f"CloudyPad{cloud.clouder.title()}Provider"
    return type(name, (CloudyPadProvider,), {"kind": kind, "cloud": cloud, "has_shell": has_shell})


PROVIDERS: Mapping[str, type[CloudyPadProvider]] = {
    kind: _provider(kind, cloud) for kind, cloud in CLOUDS.items()
}


def open_cloudypad(
    kind: str, account: Account, *, pace: Callable[[], None] = lambda: None, **options: Any
) -> CloudyPadProvider:
    """The adapter of a kind. With {"clouder": "dummy"} among its credentials it is the tool's own cloud without machines."""
    if account.credentials.get("clouder") == DUMMY.clouder:
        return _provider(kind, DUMMY, has_shell=False)(account, pace=pace, **options)
    return PROVIDERS[kind](account, pace=pace, **options)
