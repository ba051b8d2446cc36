"""A cloud on loopback, for development, tests and benchmarks.

What is here: an HTTP server that speaks TensorDock's v2 API as its users have observed it (`api`, `validation`,
`stock`, `cloud`), a control endpoint beside it that switches faults on and moves the clock (`control`, `faults`,
`clock`), and the machines it rents out: guests that answer real SSH without being able to touch the machine they
run on (`guests`).

What is not here: anything of ours. This package imports no other room of the house and is never shaped to please
our client; where the two disagree, the vendor's observed behaviour decides.

Where to start: `python -m sandbox --port 8010`, then `sandbox.testing.SandboxServer` for tests, then `cloud`.
"""
