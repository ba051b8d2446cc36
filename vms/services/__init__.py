"""What people and policies may do with VMs. Each function is one act: it writes the wish, and the reconciler keeps it.

Doors (API, admin, commands) call these and nothing else. Refusals are `gamer.errors`. A move is a room of its own, `vms/moves.py`.
"""

from vms.services.gate import LAW as LAW
from vms.services.gate import admit_again as admit_again
from vms.services.gate import taken as taken
from vms.services.launching import Launched as Launched
from vms.services.launching import create as create
from vms.services.launching import launch_game as launch_game
from vms.services.orders import Order as Order
from vms.services.orders import Quote as Quote
from vms.services.orders import Without as Without
from vms.services.orders import check as check
from vms.services.orders import rank as rank
from vms.services.playing import end_session as end_session
from vms.services.playing import launch_on as launch_on
from vms.services.playing import play as play
from vms.services.playing import queued as queued
from vms.services.playing import told as told
from vms.services.poking import poke as poke
from vms.services.wishes import EXTEND_BY as EXTEND_BY
from vms.services.wishes import change as change
from vms.services.wishes import destroy as destroy
from vms.services.wishes import destroy_all as destroy_all
from vms.services.wishes import extend as extend
from vms.services.wishes import look_now as look_now
from vms.services.wishes import retry as retry
from vms.services.wishes import start as start
from vms.services.wishes import stop as stop
