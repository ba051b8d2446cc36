"""Who we are, how we are; signing up, in and out; the pages about passwords."""

from __future__ import annotations

from tests.factories import PASSWORD
from tests.permissions.rows import EVERYBODY, PEOPLE, Audience, Row
from tests.permissions.scene import CALLERS

ANOTHER = "a tall green door"
SIGNUP = {"email": "new@gamer.test", "password": ANOTHER, "first_name": "New", "last_name": "Comer"}
SCRAPERS = Audience("sam key:read key:admin")  # keys of the staff's
# Pages know the admin's session, which none of the callers has: test_admin.py asks with one.
LOGIN_FIRST = Audience("")
TO_LOGIN = dict.fromkeys(CALLERS, 302)

ROWS = (
    Row("GET", "identity", EVERYBODY),
    Row("GET", "health", EVERYBODY),
    Row("GET", "metrics", SCRAPERS),
    Row("GET", "schema", EVERYBODY),
    Row("GET", "docs", EVERYBODY),
    Row("GET", "admin", EVERYBODY, 302),
    Row("GET", "favicon", EVERYBODY, 302),
    Row("POST", "signup", EVERYBODY, 201, body=lambda s: SIGNUP),
    Row("POST", "login", EVERYBODY, body=lambda s: {"email": "alice@gamer.test", "password": PASSWORD}),
    Row("POST", "refresh", EVERYBODY, body=lambda s: {"refresh": s.refresh}),
    Row("POST", "logout", EVERYBODY, 204, body=lambda s: {"refresh": s.refresh}),
    Row("POST", "logout-all", PEOPLE, 204),
    Row("GET", "profile", PEOPLE),
    Row("PATCH", "profile", PEOPLE, body=lambda s: {"first_name": "Al"}),
    Row(
        "POST", "password", PEOPLE, body=lambda s: {"current_password": PASSWORD, "new_password": ANOTHER}
    ),
    Row("POST", "password-reset", EVERYBODY, 202, body=lambda s: {"email": "alice@gamer.test"}),
    Row(
        "POST", "password-reset-token", EVERYBODY, 204, body=lambda s: {"token": s.reset, "new_password": ANOTHER}
    ),
    Row("GET", "admin_password_reset", EVERYBODY),
    Row("POST", "admin_password_reset", EVERYBODY, note="without an address: asked again"),
    Row("GET", "password-reset-asked", EVERYBODY),
    Row("GET", "password-reset-done", EVERYBODY),
    *(
        Row(
            method, "password-reset-confirm", EVERYBODY, path=lambda s: {"uidb64": "MQ", "token": "x-y"},
            note="a link that was never good says so",
        )
        for method in ("GET", "POST")
    ),
    *(Row(method, "own-password", LOGIN_FIRST, odd=TO_LOGIN) for method in ("GET", "POST")),
)  # fmt: skip
