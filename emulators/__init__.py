"""What runs: Console, Preset, GpuClass, EmulatorConfig, ProviderPreference, Game, and the recipes made from them.

Not here: where it runs (vms chooses machines). Start reading at `profile.py`, then `services.py`.
"""
