"""What happened and who is told: the append-only `Event`, and the channels that carry it out of the house.

Not here: why something happened (the app that records it knows). Start reading at `services.py`.
"""
