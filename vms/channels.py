"""The NOTIFY channels of this app. A lost ring costs one poll."""

RECONCILER = "gamer_reconciler"
