"""People and their keys."""

from __future__ import annotations

from tests.permissions.rows import PEOPLE, STAFF, Audience, Row
from tests.permissions.scene import Scene


def key(scene: Scene) -> dict[str, int]:
    return {"key_id": scene.key.pk}


def alice(scene: Scene) -> dict[str, int]:
    return {"id": scene.world.alice.pk}


# Keys are people's to make, and staff's keys'; another key may not even ask.
KEEPERS = Audience(f"{PEOPLE.may} key:admin")
HER_KEY = Audience("alice sam key:admin", hidden="charlie mona oscar")

ROWS = (
    Row("GET", "api-keys", KEEPERS),
    Row("POST", "api-keys", KEEPERS, 201, body=lambda s: {"name": "Site", "scopes": ["read"]}),
    Row("GET", "api-key", HER_KEY, path=key),
    Row("PATCH", "api-key", HER_KEY, path=key, body=lambda s: {"name": "Other"}),
    Row("DELETE", "api-key", HER_KEY, 204, path=key),
    Row("POST", "api-key-rotate", HER_KEY, path=key),
    Row("GET", "users", STAFF),
    Row("GET", "user", STAFF, path=alice),
    Row("POST", "suspend-user", STAFF, path=alice, body=lambda s: {"reason": "chargeback"}),
    Row("POST", "reinstate-user", STAFF, path=alice),
    Row("GET", "my-dashboard", PEOPLE),
    Row("GET", "my-activity", PEOPLE),
)
