"""The program that runs on a VM: standard library only, Python 3.8 or later.

It supervises the game, tells `PUBLIC_URL` about it, and answers the control plane on a unix socket that is reached through SSH.
Start reading at `main.py`. `games.py` owns the sessions, `api.py` is the socket, `uplink.py` the way out.
"""

VERSION = "1"
