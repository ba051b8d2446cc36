"""The paths of this app."""

from django.urls import URLPattern

from gamer.web.routing import route
from vms.api.views.agents import (
    AgentSavesView,
    AgentSessionEventsView,
    HeartbeatView,
    ManifestView,
    RegisterView,
)
from vms.api.views.discovery import (
    ClosestHostnodesView,
    HostnodesView,
    LocationSummaryView,
    OptimalView,
    ProvidersView,
)
from vms.api.views.launch import LaunchGameView, LaunchOnVmView
from vms.api.views.machines import ExtendVmView, RetryVmView, StartVmView, StopVmView, VmsView, VmView
from vms.api.views.monitoring import VmMetricsView, VmSummaryView, VmTrendsView
from vms.api.views.regions import ClosestRegionView, RegionsView
from vms.api.views.saves import (
    RestoreSaveView,
    SaveDownloadView,
    SavesView,
    SaveVersionsView,
    SaveView,
)
from vms.api.views.story import (
    SessionView,
    VmAttemptsView,
    VmConnectionView,
    VmEventsView,
    VmPairingView,
    VmSessionsView,
    VmStatusView,
    VmStepsView,
)
from vms.api.views.usage import ProviderUsageView

VM = "vms/<uuid:vm_id>"
SAVE = "saves/<uuid:slot_id>"

urlpatterns: list[URLPattern] = [
    route("vms", VmsView.as_view(), "vms"),
    route(VM, VmView.as_view(), "vm"),
    route(f"{VM}/status", VmStatusView.as_view(), "vm-status"),
    route(f"{VM}/connection", VmConnectionView.as_view(), "vm-connection"),
    route(f"{VM}/pairing", VmPairingView.as_view(), "vm-pairing"),
    route(f"{VM}/events", VmEventsView.as_view(), "vm-events"),
    route(f"{VM}/attempts", VmAttemptsView.as_view(), "vm-attempts"),
    route(f"{VM}/steps", VmStepsView.as_view(), "vm-steps"),
    route(f"{VM}/sessions", VmSessionsView.as_view(), "vm-sessions"),
    route(f"{VM}/start", StartVmView.as_view(), "vm-start"),
    route(f"{VM}/stop", StopVmView.as_view(), "vm-stop"),
    route(f"{VM}/retry", RetryVmView.as_view(), "vm-retry"),
    route(f"{VM}/extend", ExtendVmView.as_view(), "vm-extend"),
    route(f"monitoring/{VM}/metrics", VmMetricsView.as_view(), "vm-metrics"),
    route(f"monitoring/{VM}/summary", VmSummaryView.as_view(), "vm-metrics-summary"),
    route(f"monitoring/{VM}/trends", VmTrendsView.as_view(), "vm-metrics-trends"),
    route("sessions/<uuid:session_id>", SessionView.as_view(), "session"),
    route("saves", SavesView.as_view(), "saves"),
    route(SAVE, SaveView.as_view(), "save"),
    route(f"{SAVE}/versions", SaveVersionsView.as_view(), "save-versions"),
    route(f"{SAVE}/versions/<int:number>/download", SaveDownloadView.as_view(), "save-download"),
    route(f"{SAVE}/versions/<int:number>/restore", RestoreSaveView.as_view(), "save-restore"),
    route("launch/game", LaunchGameView.as_view(), "launch-game"),
    route("launch/vm/<uuid:vm_id>/game", LaunchOnVmView.as_view(), "launch-on-vm"),
    route("launch/vm/optimal-for/<console_type>", OptimalView.as_view(), "optimal-for"),
    route("launch/hostnodes/available", HostnodesView.as_view(), "hostnodes-available"),
    route("launch/hostnodes/closest", ClosestHostnodesView.as_view(), "hostnodes-closest"),
    route("launch/locations/summary", LocationSummaryView.as_view(), "locations-summary"),
    route("launch/<cloud>/regions/closest", ClosestRegionView.as_view(), "regions-closest"),
    route("launch/<cloud>/regions/all", RegionsView.as_view(), "regions-all"),
    route("billing/usage/<provider>", ProviderUsageView.as_view(), "provider-usage"),
    route("config/providers", ProvidersView.as_view(), "providers"),
    route("agent/register", RegisterView.as_view(), "agent-register"),
    route("agent/manifest", ManifestView.as_view(), "agent-manifest"),
    route("agent/saves", AgentSavesView.as_view(), "agent-saves"),
    route("agent/heartbeat", HeartbeatView.as_view(), "agent-heartbeat"),
    route(
        "agent/sessions/<uuid:session_id>/events", AgentSessionEventsView.as_view(), "agent-session-events"
    ),
]
