"""Departments, their people and offers; projects; quotas."""

from __future__ import annotations

from accounts import invitations
from tests.permissions.rows import (
    READ_HER_OWN,
    READ_HERS,
    READERS,
    RUN_ARCADE,
    SEE_ARCADE,
    STAFF,
    WRITE_HER_OWN,
    WRITE_HERS,
    Audience,
    Row,
)
from tests.permissions.scene import PEOPLE, Scene


def arcade(scene: Scene) -> dict[str, int]:
    return {"department_id": scene.world.arcade.pk}


def member(scene: Scene) -> dict[str, int | str]:
    return {**arcade(scene), "user_id": "bob@gamer.test"}


def project(scene: Scene) -> dict[str, int]:
    return {"project_id": scene.project.pk}


def quota(scene: Scene) -> dict[str, int]:
    return {"quota_id": scene.quota.pk}


# Who manages the department lists its offers; its other people and keys may not.
READ_OFFERS = Audience("mona sam key:admin", hidden="charlie oscar key:read palace:all")
# An offer is there for who manages the department, and for nobody else.
ITS_MANAGERS = Audience(
    "mona sam key:admin", hidden="alice charlie oscar key:launch arcade:launch palace:all"
)
# The offer is charlie's; his login proves it. A key accepts nothing.
INVITED = Audience("charlie", hidden="alice mona oscar sam")
# bob is no colleague's to know: only who manages Arcade sees him.
HIS_MANAGERS = Audience(
    "mona sam key:admin", hidden="alice charlie oscar key:launch arcade:launch palace:all"
)
# A quota of hers shows her what she may have, and only her managers change it.
LIMIT_HER = Audience("mona sam key:admin", hidden=WRITE_HERS.hidden)
PLAYERS_AND_KEYS = ("alice", "charlie", "oscar", "key:launch", "arcade:launch", "palace:all")

ROWS = (
    Row("GET", "departments", READERS),
    Row("POST", "departments", STAFF, 201, body=lambda s: {"name": "New"}),
    Row("GET", "department", SEE_ARCADE, path=arcade),
    Row("PATCH", "department", RUN_ARCADE, path=arcade, body=lambda s: {"name": "Other"}),
    Row(
        "DELETE", "department", Audience("sam key:admin", hidden=RUN_ARCADE.hidden), 409, path=arcade,
        note="that has people",
    ),
    Row(
        "DELETE", "department", Audience("sam key:admin", hidden=f"alice mona arcade:launch {RUN_ARCADE.hidden}"),
        204, path=lambda s: {"department_id": s.empty.pk},
    ),
    Row("GET", "members", SEE_ARCADE, path=arcade),
    Row("PATCH", "member", HIS_MANAGERS, path=member, body=lambda s: {"role": "manager"}),
    Row("DELETE", "member", HIS_MANAGERS, 204, path=member),
    Row("GET", "invitations", READ_OFFERS, path=arcade),
    Row(
        "POST", "invitations", RUN_ARCADE, 201, path=arcade,
        body=lambda s: {"email": "zoe@gamer.test", "role": "member"},
    ),
    Row("DELETE", "invitation", ITS_MANAGERS, 204, path=lambda s: {"invitation_id": str(s.offer.pk)}),
    Row("POST", "accept-invitation", INVITED, body=lambda s: {"token": invitations.token_of(s.offer.pk)}),
    Row("GET", "projects", READERS),
    # A key of staff's says whose project it is; without that the request is wrong (400), and naming somebody needs `act_as`.
    Row(
        "POST", "projects", Audience(f"{' '.join(PEOPLE)} arcade:launch palace:all"), 201, body=lambda s: {"name": "New"},
        odd=dict.fromkeys(("key:launch", "key:admin"), 400), note="one's own",
    ),
    Row(
        "POST", "projects", Audience("alice key:admin palace:all"), 201,
        body=lambda s: {"name": "New", "user_id": "alice@gamer.test"}, note="for alice",
    ),
    Row("GET", "project", READ_HER_OWN, path=project),
    Row("PATCH", "project", WRITE_HER_OWN, path=project, body=lambda s: {"name": "Other"}),
    Row("DELETE", "project", WRITE_HER_OWN, 202, path=project),
    Row("GET", "project-stats", READ_HER_OWN, path=project),
    Row("GET", "quotas", READERS),
    # For who may not know bob he is unknown, like anybody who is not there.
    Row(
        "POST", "quotas", Audience("mona sam key:admin"), 201,
        body=lambda s: {"user_id": "bob@gamer.test", "max_vms": 3}, odd=dict.fromkeys(PLAYERS_AND_KEYS, 400),
    ),
    Row("GET", "quota", READ_HERS, path=quota),
    Row("PATCH", "quota", LIMIT_HER, path=quota, body=lambda s: {"max_vms": 9}),
    Row("DELETE", "quota", LIMIT_HER, 204, path=quota),
)  # fmt: skip
