"""The machines the sandbox rents out: each a folder, a process of its own and an SSH server on loopback.

A guest's folder is its disk. `server` answers SSH inside the sandbox's process; commands run under `init`, the
guest's first process, in one of two ways:

* In namespaces of their own (`namespaces`), where Linux allows it: the folder is the root of the file system, no
  capability is left, and of the real machine only libraries and a handful of harmless tools are there, read-only.
* Confined, everywhere else, and always with GAMER_SANDBOX_NO_UNSHARE=1: no real program runs at all. `shell` is a
  small command interpreter with built-in `applets`; Python programs run with their file calls mapped into the folder
  and everything outside refused (`confine`, and Landlock under it where the kernel has it).

In both, apt-get, docker, systemctl, shutdown and their like are stand-ins (`standins`): they note their call in
/var/log/calls.jsonl, and systemctl really supervises processes (`units`).

Not separated: the network. Guests share the machine's loopback, so a program in a guest should listen on a unix
socket. Nor are `root` and `user` separated from each other: both may write everywhere in the guest over a command.

The sandbox's side: `guest` (one machine's life), `runtime` (its processes), `server` (its sshd), `disk` and `folder`.
Inside guests, with the standard library only: `init` with `units` and `systemctl`, `standins`, and for confined ones
`confine`, `programs`, `shell` with `syntax`, `applets` with `fileapplets` and `options`.
"""
