"""What Moonlight needs from outside: Wolf's fixed ports (the same inside and out; no client can be told others)."""

TCP_PORTS = (47984, 47989, 48010)
UDP_PORTS = (47999, 48100, 48200)
CONTROL_PORT = 47999  # `wolf_port` of the API
