"""Where things are: regions of clouds, cities by name, distances between positions.

Not here: which machine is nearest and free (vms.placement), what a region costs (billing).
Start reading at `services.py` for places, at `regions.py` for clouds' regions (shipped ones: `catalogue.py`, Google's ranking
by latency: `finder.py`); the offline gazetteer is `geocoding/gazetteer.py`, ranking by distance is `distance.py`.
"""
