"""Stands in for CloudyPad 0.45.1's command line: its flags, questions, exit codes, state files and locks, as runs of it showed them.

Beside its home lies `vendor/`: the clouds' own books, a clock that only moves when it is told to, and faults to switch on. A run that takes
its time says until when, and waits for the clock. Standard library only; started without site packages.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import shutil
import signal
import socket
import sys
import time
import uuid
from pathlib import Path

HOME = Path(os.environ.get("CLOUDYPAD_HOME", "/nonexistent/home"))
VENDOR = HOME.parent / "vendor"
INSTANCES = HOME / "instances"
LOCKS = HOME / "pulumi-backend" / ".pulumi" / "locks" / "organization"
BOOT_S = 1
HOOK = os.environ.get("CLOUDYPAD_DUMMY_SECRET", "")

# What each cloud's create must be told so that no question is left (value: whether the flag takes one).
COMMON = {"--name": 1, "--yes": 0, "--skip-pairing": 0, "--streaming-server": 1, "--autostop": -1, "--autostop-timeout": 1,
          "--ssh-private-key": 1, "--retries": 1, "--retry-delay": 1, "--force-pulumi-cancel": 0, "--overwrite-existing": 0}
COST = {"--cost-alert": -1, "--cost-limit": 1, "--cost-notification-email": 1}
KEPT = {"--delete-instance-server-on-stop": -1, "--data-disk-snapshot": -1, "--base-image-snapshot": -1, "--base-image-keep-on-deletion": -1}
FLAGS = {
    "dummy": {"--instance-type": 1},
    "gcp": {**COST, **KEPT, "--project-id": 1, "--region": 1, "--zone": 1, "--machine-type": 1, "--gpu-type": 1, "--spot": -1,
            "--disk-size": 1, "--data-disk-size": 1, "--disk-type": 1, "--network-tier": 1, "--nic-type": 1},
    "aws": {**COST, **KEPT, "--region": 1, "--zone": 1, "--instance-type": 1, "--spot": -1, "--disk-size": 1, "--root-disk-size": 1,
            "--data-disk-size": 1, "--image-id": 1, "--dedicated-vpc": 0},
    "azure": {**COST, **KEPT, "--subscription-id": 1, "--location": 1, "--vm-size": 1, "--spot": -1, "--disk-size": 1,
              "--data-disk-size": 1, "--disk-type": 1},
    "scaleway": {**KEPT, "--project-id": 1, "--region": 1, "--zone": 1, "--instance-type": 1, "--root-disk-size": 1,
                 "--data-disk-size": 1, "--image-id": 1},
    "paperspace": {"--machine-type": 1, "--region": 1, "--disk-size": 1, "--spot": -1, "--api-key-file": 1, "--ssh-key-path": 1},
}
ASKED = {
    "dummy": ["--instance-type"],
    "gcp": ["--project-id", "--region", "--zone", "--machine-type", "--gpu-type", "--spot", "--disk-size", "--disk-type",
            "--network-tier", "--nic-type", "--cost-alert"],
    "aws": ["--region", "--zone", "--instance-type", "--spot", "--data-disk-size", "--cost-alert", "--dedicated-vpc"],
    "azure": ["--subscription-id", "--location", "--vm-size", "--spot", "--disk-size", "--disk-type", "--cost-alert"],
    "scaleway": ["--project-id", "--region", "--zone", "--instance-type", "--data-disk-size"],
    "paperspace": ["--machine-type", "--region", "--disk-size", "--ssh-key-path"],
}
NUMBERS = {"--autostop-timeout", "--disk-size", "--root-disk-size", "--data-disk-size", "--retries", "--retry-delay"}
# How long `start` waits at a cloud; its --timeout does not get that far. It is tried twice, with a pause (src/core/manager.ts).
START_WAITS_S = {"azure": 60, "scaleway": 60}
PAUSE_S = 10
OOPS = "Oops, something went wrong 😨 Full error is shown above.\n\nIf you think this is a bug, please file an issue with full error"


class Stop(Exception):
    def __init__(self, code):
        self.code = code


def say(text):
    print(text, flush=True)


def refuse(what, *causes):
    """The log goes to stdout, in colours, its chain of causes after the trace; stderr has a generic hint."""
    say("\x1b[37m2026-11-26 13:24:33.370\x1b[39m\t\x1b[31m\x1b[1mERROR\x1b[22m\x1b[39m\t\x1b[37msrc/cli/program.js:503\x1b[39m\tprogram")
    say(f"\x1b[97m\x1b[101m\x1b[1m Error \x1b[22m\x1b[49m\x1b[39m {what}\nerror stack:\n  • \x1b[33mprogram.js\x1b[39m\tCommand.<anonymous>")
    for number, cause in enumerate(causes, 1):
        say(f"Caused by ({number}): Error: {cause}\n  • \x1b[33mmain.js\x1b[39m\tasync main\n\tsrc/cli/main.js:401")
    print(OOPS, file=sys.stderr)
    raise Stop(1)


def now():
    return float((VENDOR / "clock").read_text() or 0)


def until(name, due):
    """Waits for the vendor's clock, and says so."""
    mark = VENDOR / "waiting" / name
    mark.write_text(str(due))
    while now() < due:
        time.sleep(0.01)
    mark.unlink(missing_ok=True)


@contextlib.contextmanager
def books():
    with (VENDOR / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fault(name, verb):
    """Whether a fault is on for this call; counts it."""
    with books():
        path = VENDOR / "faults.json"
        faults = json.loads(path.read_text())
        found = next((each for each in faults if each["name"] == name and verb in each["verbs"]), None)
        if found is None:
            return False
        if found["times"] is not None:
            found["times"] -= 1
            if found["times"] == 0:
                faults.remove(found)
            path.write_text(json.dumps(faults))
        return True


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


def die_at(point, verb):
    if fault(f"die_{point}", verb):
        die()


# The clouds' books: what is billed.


def server(name):
    path = VENDOR / "cloud" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def set_server(name, **changes):
    with books():
        known = server(name) or {"name": name}
        (VENDOR / "cloud" / f"{name}.json").write_text(json.dumps({**known, **changes}))


def status_of(state):
    """What the tool makes of its cloud's word."""
    known = server(state["name"]) or {}
    if known.get("status") == "starting" and now() >= known.get("runs_at", math.inf):
        return "running"
    if known.get("status") == "halted":
        # By its own guest. These two tell apart whether they have stopped it too, in words that the tool does not know.
        return "unknown" if state["provision"].get("provider") in ("azure", "scaleway") else "stopped"
    return known.get("status", "unknown")


# The tool's state.


def load(name):
    path = INSTANCES / name / "state.json"
    if not path.exists():
        refuse(f"Failed to get details of instance {name}", f"Instance named '{name}' does not exist.")
    return json.loads(path.read_text())


def yaml(value, depth=0):
    pad = "  " * depth
    for key, each in value.items():
        if isinstance(each, dict):
            yield f"{pad}{key}:"
            yield from yaml(each, depth + 1)
        elif isinstance(each, list):
            yield f"{pad}{key}:"
            for item in each:
                yield from (line.replace(pad + "  ", pad + "  - ", 1) if n == 0 else f"  {line}" for n, line in enumerate(yaml(item, depth + 1)))
        else:
            yield f"{pad}{key}: {json.dumps(each) if each in (None, True, False, '1') else each}"


def save(state):
    """In place, readable by everybody, as the tool does. What this stand-in reads back lies beside it as JSON."""
    folder = INSTANCES / state["name"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.yml").write_text("\n".join(yaml(state)) + "\n")
    (folder / "state.json").write_text(json.dumps(state))


def event(state, kind):
    state["events"] = [*state["events"], {"type": kind, "timestamp": int(time.time() * 1000)}][-10:]
    save(state)


@contextlib.contextmanager
def at_work(name):
    """For the tests alone: which process changes a machine."""
    mark = VENDOR / "tools" / name
    mark.write_text(str(os.getpid()))
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


@contextlib.contextmanager
def stack(verb, state, flags):
    """Pulumi's lock, which a killed run leaves behind. A machine that is kept at its stop is stopped and started without Pulumi.

    The flag that lifts it reaches `up` alone: in 0.45.1 `destroy` takes it and forgets it (src/core/manager.ts).
    """
    if verb in ("start", "stop"):
        yield
        return
    folder = LOCKS / f"CloudyPad-{state['provision']['provider']}" / state["name"]
    if "--force-pulumi-cancel" in flags and verb != "destroy":
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if found := list(folder.glob("*.json")):
        refuse(f"Failed to {verb} instance {state['name']}", "Pulumi action failure.",
               f"the stack is currently locked by {len(found)} lock(s). Either wait for the other process(es) to end or"
               " delete the lock file with `pulumi cancel`.")
    lock = folder / f"{uuid.uuid4()}.json"
    lock.write_text(json.dumps({"pid": os.getpid(), "username": "x", "hostname": socket.gethostname(), "timestamp": "2026-11-26T13:24:33Z"}))
    try:
        yield
    finally:
        lock.unlink()


def parse(argv, known):
    flags, rest, at = {}, [], 0
    while at < len(argv):
        word, _, value = argv[at].partition("=")
        at += 1
        if not word.startswith("--"):
            rest.append(word)
            continue
        if word not in known:
            print(f"error: unknown option '{word}'", file=sys.stderr)
            raise Stop(1)
        takes = known[word]
        if value:
            flags[word] = value
        elif takes == 1 or (takes == -1 and at < len(argv) and not argv[at].startswith("--")):
            if at >= len(argv):
                print(f"error: option '{word} <value>' argument missing", file=sys.stderr)
                raise Stop(1)
            flags[word] = argv[at]
            at += 1
        else:
            flags[word] = "true"
    for word in NUMBERS & flags.keys():
        if not flags[word].isdigit():
            refuse("Instance initialization failed", "ZodError: Expected number, received nan")
    return flags, rest


def ask(question):
    """With nobody to answer: the prompt, and a success that made nothing."""
    say(f"\x1b[34m?\x1b[39m \x1b[1m{question}\x1b[22m\nInstance initialization cancelled.")
    raise Stop(0)


def is_kebab(name):
    return re.fullmatch(r"[a-z]+(-([a-z]+|[0-9]+))*", name) is not None


def answered(clouder, flags):
    name = flags.get("--name")
    if not name:
        ask("Enter instance name:")
    if not is_kebab(name):
        ask(f"Instance name '{name}' was sanitized. Continue? (y/N)")
    if (INSTANCES / name).exists() and "--overwrite-existing" not in flags:
        ask(f"Instance {name} already exists. Do you want to overwrite existing instance config? (y/N)")
    if flags.get("--streaming-server") not in ("wolf", "sunshine"):
        ask("What streaming server do you want to use?")
    if "--autostop" not in flags or (flags["--autostop"] == "true" and "--autostop-timeout" not in flags):
        ask("Do you want to enable auto-stop? (Y/n)")
    for flag in ASKED[clouder]:
        if flag not in flags:
            ask(f"Choose a value for {flag}:")
    if "--yes" not in flags:
        ask(f"Do you want to create instance '{name}'? (y/N)")
    return name


def create(argv):
    if not argv or argv[0] not in FLAGS:
        print(f"error: unknown command '{argv[0] if argv else ''}'", file=sys.stderr)
        raise Stop(1)
    clouder = argv[0]
    flags, _ = parse(argv[1:], {**COMMON, **FLAGS[clouder]})
    troubles("create")
    if fault("rejected", "create"):
        ask("Choose a zone:")
    die_at("first", "create")
    name = answered(clouder, flags)
    if fault("late", "create"):
        until(name, now() + 60)
    if not Path(flags.get("--ssh-private-key", "/dev/null")).exists():
        refuse("Instance initialization failed", f"ENOENT: no such file, open '{flags['--ssh-private-key']}'")
    ssh = {"user": "paperspace" if clouder == "paperspace" else "ubuntu"}
    if "--ssh-private-key" in flags:
        ssh["privateKeyPath"] = flags["--ssh-private-key"]
    else:
        ssh["privateKeyContentBase64"] = "LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K"
    state = {
        "version": "1", "name": name, "events": [],
        "provision": {"provider": clouder, "input": {"ssh": ssh, "runtime": {"instanceServerState": "present", "dataDiskState": "live"},
                                                     "flags": {flag[2:]: value for flag, value in flags.items() if flag in FLAGS[clouder]}}},
        "configuration": {"configurator": "ansible",
                          "input": {"autostop": {"enable": flags["--autostop"] == "true",
                                                 "timeoutSeconds": int(flags.get("--autostop-timeout", 0))},
                                    "sunshine": None, "wolf": {"enable": True}}},
    }  # fmt: skip
    event(state, "init")
    with at_work(name), stack("create", state, flags):
        provision(state)
        configure(state)
    say("\nInstance has been initialized successfully 🥳\n\nIf you like Cloudy Pad please leave us a star ⭐")


def provision(state):
    name = state["name"]
    event(state, "provision-begin")
    if fault("no_capacity", "create"):
        refuse("Instance initialization failed", "Provisioning failed", "googleapi: Error 503: The zone does not have enough resources"
               " available to fulfill the request, ZONE_RESOURCE_POOL_EXHAUSTED")
    if fault("quota", "create"):
        refuse("Instance initialization failed", "Provisioning failed",
               "googleapi: Error 403: Quota 'GPUS_ALL_REGIONS' exceeded. Limit: 0.0 globally., quotaExceeded")
    die_at("unmade", "create")
    set_server(name, status="running")
    die_at("made", "create")
    ip = "192.0.2.1" if fault("never_ip", "create") else "203.0.113.7"
    state["provision"]["output"] = {"host": ip, "publicIPv4": ip, "instanceId": f"id-{name}", "dataDiskId": f"data-{name}"}
    event(state, "provision-end")


def configure(state):
    name = state["name"]
    event(state, "configuration-begin")
    if fault("configuration_fails", "create"):
        until(name, now() + BOOT_S)
        refuse("Instance initialization failed", "Configuration failed", "Ansible playbook failed with exit code 2")
    if fault("no_capacity_later", "create"):
        until(name, now() + BOOT_S)
        refuse("Instance initialization failed", "Provisioning failed", "InsufficientInstanceCapacity: We currently do not have sufficient capacity")
    until(name, math.inf if fault("never_runs", "create") else now() + BOOT_S)
    state["configuration"]["output"] = {"configuredAt": int(time.time() * 1000)}
    event(state, "configuration-end")


def troubles(verb):
    """What may be wrong with any call."""
    if fault("bad_credentials", verb):
        # Errors may carry everything the tool knows.
        say(f"state: privateKeyContentBase64: LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K key: {HOOK}")
        print(f"Error: Could not load the default credentials with {HOOK}. Browse to https://cloud.google.com/docs", file=sys.stderr)
        raise Stop(1)
    if fault("unavailable", verb):
        refuse(f"Failed to {verb}", f"RestError: TooManyRequests with {HOOK}", '"retry-after": "7"')
    if fault("broken", verb):
        say(f'{{"names": [\x00 {HOOK}')
        raise Stop(0)


def hang(verb):
    if fault("hangs", verb):
        until(f"a {verb}", now() + 60)


def listing(argv):
    flags, _ = parse(argv, {"--format": 1})
    hang("list")
    troubles("list")
    names = sorted(entry.name for entry in INSTANCES.iterdir()) if INSTANCES.exists() else []
    if fault("half_a_list", "list"):
        say('["gamer-aaaaaaaaa-')
    elif not names:
        say("No instances found.")
    elif flags.get("--format") == "json":
        say(json.dumps(names, separators=(",", ":")))
    elif flags.get("--format", "plain") == "plain":
        say("\n".join(names))


def get(argv):
    _, (name,) = parse(argv, {})
    hang("get")
    troubles("get")
    state = load(name)
    status = status_of(state)
    known = {"provisioned": bool(state["provision"].get("output")), "configured": bool(state["configuration"].get("output"))}
    say(json.dumps({**state, "status": {"serverStatus": status, **known, "ready": status == "running" and known["configured"]}}, indent=2))


def change(verb, argv):
    flags, (name,) = parse(argv, {"--wait": 0, "--timeout": 1, "--yes": 0, "--retries": 1, "--retry-delay": 1, "--force-pulumi-cancel": 0})
    if verb in ("start", "stop"):
        say(f"{verb.capitalize().replace('Stop', 'Stopp')}ing instance {name}...")
    troubles(verb)
    state = load(name)
    if verb in ("destroy", "deploy") and "--yes" not in flags:
        refuse(f"Failed to {verb} instance {name}", "User force closed the prompt")
    with at_work(name), stack(verb, state, flags):
        VERBS[verb](name, state)


def start(name, state):
    event(state, "start-begin")
    if fault("start_refused", "start"):
        refuse(f"Failed to start instance {name}", "The zone 'us-central1-a' does not have enough resources available, RESOURCE_POOL_EXHAUSTED")
    runs_at = now() + (200 if fault("slow", "start") else BOOT_S)
    set_server(name, status="starting", runs_at=runs_at)
    limit_s = START_WAITS_S.get(state["provision"]["provider"], math.inf)
    gives_up_at = now() + 2 * limit_s + PAUSE_S
    until(name, min(runs_at, gives_up_at))
    die_at("middle", "start")
    if gives_up_at < runs_at:
        refuse(f"Failed to start instance {name}", f"Failed to start virtual machine {name}", f"Operation timed out after {limit_s}000 ms")
    if fault("start_refused_later", "start"):
        set_server(name, status="stopped")
        refuse(f"Failed to start instance {name}", "The zone does not have enough resources available, RESOURCE_POOL_EXHAUSTED")
    if fault("start_fails_later", "start"):
        set_server(name, status="stopped")
        refuse(f"Failed to start instance {name}", "The wheel came off")
    set_server(name, status="running")
    event(state, "start-end")
    say(f"Started instance {name}")


def stop(name, state):
    event(state, "stop-begin")
    status = status_of(state)
    if status == "unknown" or fault("stop_fails", "stop"):
        # Passed over, and a failure swallowed: with exit 0, like a success.
        event(state, "stop-end")
        say(f"Stopped instance {name}")
        return
    if status != "stopped":
        set_server(name, status="stopping")
    if fault("slow", "stop"):
        until(name, now() + 60)
    die_at("middle", "stop")
    set_server(name, status="stopped", stopped_by="tool")
    event(state, "stop-end")
    say(f"Stopped instance {name}")


def destroy(name, state):
    if fault("delete_fails", "destroy"):
        refuse(f"Failed to destroy instance {name}", "the network resource is already being used by another")
    event(state, "destroy-begin")
    if fault("slow", "destroy"):
        until(name, now() + 60)
    die_at("middle", "destroy")
    (VENDOR / "cloud" / f"{name}.json").unlink(missing_ok=True)
    shutil.rmtree(INSTANCES / name)
    die_at("last", "destroy")
    say(f"\nDestroyed instance {name}")


def deploy(name, state):
    provision(state)
    configure(state)


VERBS = {"start": start, "stop": stop, "destroy": destroy, "deploy": deploy}


def main(argv):
    if argv == ["--version"]:
        say("0.45.1")
        return
    with (VENDOR / "calls").open("a") as calls:
        calls.write(json.dumps(argv) + "\n")
    if argv and argv[0] == "create":
        create(argv[1:])
    elif argv and argv[0] == "list":
        listing(argv[1:])
    elif argv and argv[0] == "get":
        get(argv[1:])
    elif argv and argv[0] in VERBS:
        change(argv[0], argv[1:])
    else:
        print(f"error: unknown command '{argv[0] if argv else ''}'", file=sys.stderr)
        raise Stop(1)


def run():
    try:
        main(sys.argv[1:])
    except Stop as ended:
        raise SystemExit(ended.code) from None
