"""Machine types of clouds: what is shipped, how offers are made of them, and what staff may write."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from accounts.principal import Principal
from emulators.models import EmulatorConfig, Preset, ProviderPreference
from emulators.services import profile_for
from emulators.services import seed as seed_consoles
from emulators.services.profiles import size_of
from gamer.errors import GamerError
from locations import regions
from locations.catalogue import shipped
from tests.world import Clock, World
from vms import machine_types
from vms.models import CLOUD_KINDS, MachineType, ProviderAccount
from vms.providers.cloudypad.clouds import CLOUDS, USD_PER_KEPT_ADDRESS, USD_PER_KEPT_GB


@pytest.fixture
def seeded(db: None, clock: Clock) -> None:
    seed_consoles(now=clock())
    regions.seed(clock())
    machine_types.seed(clock())


def row_of(kind: str = "cloudypad_gcp", name: str = "g2-standard-8") -> MachineType:
    return MachineType.objects.get(kind=kind, name=name)


@pytest.mark.usefixtures("seeded")
class TestTheShippedOnes:
    @pytest.mark.parametrize("kind", CLOUD_KINDS)
    def test_serve_every_preset_at_every_cloud(self, kind: str) -> None:
        sold = machine_types.products(kind)
        for preset in Preset.objects.all():
            floor = size_of(preset)
            fitting = [
                product
                for product in sold
                if product.vcpus >= floor.vcpus
                and product.ram_gb >= floor.ram_gb
                and (product.data_disk_gb or product.root_disk_gb) >= floor.disk_gb
            ]
            assert fitting, preset

    def test_stand_at_known_places(self) -> None:
        for row in MachineType.objects.all():
            assert machine_types.faults(row) == {}
            sold = [each for each in machine_types.products(row.kind) if each.machine_type == row.name]
            assert len(sold) == len(row.zones)
            assert all(product.city and product.country for product in sold)

    def test_are_sold_where_the_catalogue_has_their_gpus(self) -> None:
        known = {(one.kind, one.code): one.gpu_models for one in shipped()}
        for row in MachineType.objects.all():
            model = row.gpu_model.removeprefix("quadro").upper()
            for zone in row.zones:
                assert model in known[row.kind, machine_types.region_of(row.kind, zone)], (row, zone)

    @pytest.mark.parametrize("kind", [kind for kind in CLOUD_KINDS if kind != "cloudypad_gcp"])
    def test_serve_every_preset_in_every_region_with_gpus(self, kind: str) -> None:
        sold = machine_types.products(kind)
        floors = [size_of(preset) for preset in Preset.objects.all()]
        for region in (one.code for one in shipped() if one.kind == kind and one.gpu_models):
            here = [one for one in sold if one.region == region]
            assert all(any(one.vcpus >= floor.vcpus for one in here) for floor in floors), region

    def test_have_gpus_that_can_draw(self) -> None:
        """The weakest class there is cannot: no encoder."""
        gpus = profile_for(console="switch").gpus
        assert {
            row.gpu_model for row in MachineType.objects.all() if gpus.rank_of_model(row.gpu_model) < 2
        } == set()

    def test_cost_what_the_rate_card_says(self) -> None:
        prices = dict(MachineType.objects.filter(kind="cloudypad_gcp").values_list("name", "usd_per_hour"))
        assert prices == {
            "n1-standard-2": Decimal("0.15"),
            "n1-standard-4": Decimal("0.35"),
            "g2-standard-8": Decimal("1.0625"),
        }

    def test_cost_more_than_their_disks_alone(self) -> None:
        for row in MachineType.objects.all():
            kept = (row.root_disk_gb + row.data_disk_gb) * USD_PER_KEPT_GB + USD_PER_KEPT_ADDRESS
            assert kept < row.usd_per_hour

    def test_are_seeded_once_and_staffs_changes_stay(self, clock: Clock) -> None:
        MachineType.objects.filter(name="g2-standard-8").update(usd_per_hour=9)
        MachineType.objects.filter(name="n1-standard-2").delete()
        machine_types.seed(clock())
        assert row_of().usd_per_hour == 9
        assert not MachineType.objects.filter(name="n1-standard-2").exists()

    def test_of_paperspace_are_nobodys_first_choice(self) -> None:
        for config in EmulatorConfig.objects.all():
            rows = ProviderPreference.objects.filter(config=config).order_by("priority")
            order = list(rows.values_list("provider", flat=True))
            clouds = [kind for kind in order if kind in CLOUDS]
            assert clouds[-1] == "cloudypad_paperspace"


class TestRegions:
    @pytest.mark.parametrize(
        ("kind", "zone", "region"),
        [
            ("cloudypad_gcp", "us-central1-a", "us-central1"),
            ("cloudypad_aws", "us-east-1a", "us-east-1"),
            ("cloudypad_azure", "eastus2", "eastus2"),
            ("cloudypad_scaleway", "fr-par-2", "fr-par"),
            ("cloudypad_paperspace", "East Coast (NY2)", "East Coast (NY2)"),
        ],
    )
    def test_are_read_from_zones(self, kind: str, zone: str, region: str) -> None:
        assert machine_types.region_of(kind, zone) == region


@pytest.mark.usefixtures("seeded")
class TestProducts:
    def test_leave_out_what_is_not_ordered_and_what_nobody_can_place(self) -> None:
        MachineType.objects.filter(kind="cloudypad_gcp").exclude(name="g2-standard-8").update(is_sold=False)
        MachineType.objects.filter(name="g2-standard-8").update(zones=["us-central1-a", "moon-base1-a"])
        assert [product.zone for product in machine_types.products("cloudypad_gcp")] == ["us-central1-a"]


@pytest.mark.usefixtures("seeded")
class TestSave:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"gpu_type": ""}, "gpu_type"),
            ({"data_disk_gb": 0}, "data_disk_gb"),
            ({"zones": []}, "zones"),
            ({"zones": ["moon-base1-a"]}, "zones"),
        ],
    )
    def test_refuses_what_could_not_be_ordered(
        self, world: World, clock: Clock, changes: dict[str, object], field: str
    ) -> None:
        row = row_of()
        for name, value in changes.items():
            setattr(row, name, value)
        with pytest.raises((GamerError, ValidationError)) as raised:
            machine_types.save(row=row, by=Principal(user=world.sam), now=clock())
        assert field in str(vars(raised.value))

    def test_has_the_clouds_offers_fetched_anew(self, world: World, clock: Clock) -> None:
        clock.advance(hours=1)
        account = ProviderAccount.objects.create(name="gcp", kind="cloudypad_gcp", next_refresh_at=clock())
        before = account.next_refresh_at
        clock.advance(minutes=1)
        row = row_of()
        row.usd_per_hour = Decimal(2)
        machine_types.save(row=row, by=Principal(user=world.sam), now=clock())
        account.refresh_from_db()
        assert account.next_refresh_at == clock() > before
        assert row_of().usd_per_hour == 2
