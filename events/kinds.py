"""Every action and resource an event may have, each with what it says. A new one is one line here.

`record` refuses others, so that a misspelt one is found by the first test that passes it.
"""

from __future__ import annotations

from collections.abc import Mapping

ACTIONS: Mapping[str, str] = {
    # of anything
    "create": "made",
    "update": "changed; details hold [before, after] of each field",
    "delete": "deleted; of a VM: its machine is proven gone",
    "suspend": "paused, by staff or after the other side refused us",
    "resume": "a pause ended",
    # a VM, as people ask
    "power_on_asked": "a start was asked",
    "power_off_asked": "a stop was asked",
    "delete_asked": "termination was asked",
    "archived": "it ended 90 days ago: keys, position and logs of setup were erased",
    "retry": "a failed VM is placed anew",
    "move_asked": "a move to another machine was asked, with where to",
    "extend": "its session's end was moved",
    "look_asked": "staff had the reconciler look at once",
    # a VM, as it goes
    "placed": "an offer was chosen",
    "attempt_failed": "the order failed; the next offer is tried",
    "machine_ordered": "the machine was made and starts",
    "machine_running": "the machine runs and is being set up",
    "power_on": "running",
    "stopping": "stopping",
    "power_off": "stopped",
    "start_refused": "the provider refused to start it again",
    "move_begun": "it left its machine, which is kept until another one runs",
    "moved": "the other machine runs; the one it left is being deleted",
    "move_refused": "nothing could be had there, with the reasons; it goes on where it was",
    "ending": "its machine is being deleted",
    "error": "given up, with the reason",
    "failed": "ended in error; its machine is proven gone",
    "delete_unproven": "a delete does not confirm; minutes so far",
    "session_over": "the longest session was reached",
    "stopped_too_long": "stopped for longer than it is kept",
    "setup_warning": "it was set up, but not all went well",
    "idle_warning": "nobody plays; it ends soon",
    "idle_end": "nobody played; it ends",
    "end_warning": "it ends soon, with the reason",
    "budget_stop": "ended, because a budget is spent",
    # games
    "session_queued": "a game was asked for",
    "session_launched": "the game runs",
    "session_ended": "the game ended",
    "session_failed": "the game failed",
    "session_end": "the game's end was asked",
    "save_at_risk": "it ends although its save may not be safe",
    "save_unpacked": "what a game saves cannot be taken from its machine, or not whole, with the reason",
    "saves_lost": "saves that were not stored are gone with its machine",
    "save_refused": "what its machine gave as a save was not believed, with the reason",
    # saves
    "save_stored": "a version of a save was stored and is the current one",
    "save_restored": "an older version's content is the current one again",
    "save_downloaded": "somebody else than its player downloaded a version",
    "save_conflict": "a version was kept beside the current one, which its maker did not know",
    "paired": "a Moonlight was paired with it",
    # the library of games
    "scan_asked": "staff had the library compared with the games",
    "library_scanned": "the library was compared with the games; what was found",
    "library_scan_failed": "that failed, with the reason; no game was changed",
    "upload_asked": "a game's file is being uploaded",
    "uploaded": "a game's file was put into the library",
    "upload_failed": "a game's file could not be put into the library, with the reason",
    # the installation and its providers
    "refresh_asked": "staff had offers and machines fetched at once",
    "stray_deleted": "a machine nobody wants was deleted",
    "stray_seen": "a machine nobody wants was seen",
    "database_moved": "the database is another one; unknown machines wait for an operator",
    "sweep_confirmed": "unknown machines are deleted again",
    "launches_allowed": "new launches are accepted",
    "launches_stopped": "new launches are refused",
    "keys_rotated": "secrets were sealed anew",
    "action_run": "staff ran an action of an admin page on rows",
    # people
    "login": "signed in",
    "login_failed": "a sign-in was refused",
    "locked_out": "sign-ins are refused for a while after many wrong ones",
    "logout": "signed out",
    "logout_all": "every sign-in was ended",
    "rotate": "a key got a new text; the old one ends after a while",
    "password_changed": "the password was changed",
    "password_reset_mailed": "a link to reset the password was sent",
    "password_reset": "the password was reset by mail",
    "second_factor_on": "the second factor was switched on",
    "second_factor_off": "the second factor was switched off",
    "recovery_code_used": "a recovery code stood in for the second factor",
    "recovery_codes_renewed": "new recovery codes were made",
    # departments, projects, limits
    "invite": "somebody was invited",
    "uninvite": "an invitation was taken back",
    "mail_refused": "a mail server refused the mail for good, with the reason; it is not tried again",
    "join": "somebody joined",
    "leave": "somebody left",
    "role": "somebody's role was changed",
    "quota": "limits were changed",
    "closing": "it closes: its VMs end, launches are refused",
    "closed": "it is closed: nothing of it lives any more",
    # money
    "credit_given": "credit was added",
    "credit_taken": "credit was taken away",
    "credit_expired": "credit ran out of time",
    "credit_exhausted": "there is no credit left",
    "credit_low": "credit is about to run out",
    "ledger_broken": "a law of the ledger does not hold; which and where",
    "budget_crossed": "spending crossed a budget's mark",
    "daily_limit_warning": "the day's cost is at 80 % of the limit that was asked about",
    "daily_limit_exceeded": "the day's cost has reached that limit",
    "monthly_limit_warning": "the month's cost is at 80 % of that limit",
    "monthly_limit_exceeded": "the month's cost has reached that limit",
    "balance_low": "what is left on an account at a provider is low",
    "invoice_imported": "a provider's invoice was imported",
    # the audit itself
    "export": "events were exported",
    "ips_erased": "addresses older than 90 days were erased",
    # rows of configuration, seen by the database whoever changed them and however
    "row_created": "a row of configuration was made",
    "row_changed": "a row of configuration was changed",
    "row_deleted": "a row of configuration was deleted",
}

RESOURCES: Mapping[str, str] = {
    "vms": "VMs",
    "users": "people and their keys",
    "departments": "departments",
    "projects": "projects",
    "billing": "money",
    "networks": "networks",
    "emulators": "consoles, presets, GPU classes, games",
    "saves": "save slots and their versions",
    "provider_accounts": "accounts at providers",
    "strays": "machines nobody wants",
    "installation": "this installation",
    "machine_types": "sizes of machines at clouds without a stock list",
    "groups": "what staff may do",
    "quotas": "limits of people, projects and departments",
    "locations": "places and regions",
    "schedules": "work that repeats",
    "events": "the audit itself",
}


def check(action: str, resource: str) -> None:
    """Raises ValueError for an action or a resource nobody has listed."""
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action of events/kinds.py")
    if resource not in RESOURCES:
        raise ValueError(f"{resource!r} is no resource of events/kinds.py")


def described() -> str:
    """The actions in Markdown, for the API's description."""
    return "\n".join(f"- `{action}`: {meaning}" for action, meaning in ACTIONS.items())
