"""The rows of the promise: accounts and offers on the vendors' side, VMs, attempts and sessions on the players'."""

from vms.models import lookups  # noqa: F401  registers `anyof`
from vms.models.attempt import Attempt as Attempt
from vms.models.attempt import AttemptQuerySet as AttemptQuerySet
from vms.models.columns import CLOUD_KINDS as CLOUD_KINDS
from vms.models.columns import PROVIDER_KINDS as PROVIDER_KINDS
from vms.models.columns import usd_field as usd_field
from vms.models.game_session import GameSession as GameSession
from vms.models.machine_type import MachineType as MachineType
from vms.models.offer import Offer as Offer
from vms.models.setup_step import SetupStep as SetupStep
from vms.models.stray import Stray as Stray
from vms.models.vendors import Installation as Installation
from vms.models.vendors import ProviderAccount as ProviderAccount
from vms.models.vm import LIVE_PHASES as LIVE_PHASES
from vms.models.vm import MAX_AUTO_STOP_S as MAX_AUTO_STOP_S
from vms.models.vm import MIN_AUTO_STOP_S as MIN_AUTO_STOP_S
from vms.models.vm import MOST_NAMED as MOST_NAMED
from vms.models.vm import NO_MOVE as NO_MOVE
from vms.models.vm import TERMINAL_PHASES as TERMINAL_PHASES
from vms.models.vm import VM as VM
from vms.models.vm import WISH as WISH
from vms.models.vm import VMQuerySet as VMQuerySet
