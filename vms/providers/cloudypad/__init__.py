"""CloudyPad's command line, which makes gaming machines at five clouds (`cloudypad_gcp`, `_aws`, `_azure`, `_paperspace`, `_scaleway`).

A program of minutes behind verbs of seconds: an order is a page in the account's private home, carried out by a detached `runner`, and its
progress is read later. `names` leads from a tag to a name the tool takes and back, `clouds` knows each cloud's flags, `books` is the home
on disk, `orders` carries orders on, `cli` runs the tool, `answers` reads what it says, `provider` is the meaning. Start at `provider`.

Nothing is imported here: the runner, a process of its own for every order, would load the whole adapter.

What the tool does, and what it only claims to do, was read in its source and seen in runs of version 0.45.1.
"""
