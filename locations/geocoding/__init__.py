"""Names in, positions out. `base.py` is the seam, `gazetteer.py` answers at once, `nominatim.py` in the background.

Not here: the database, Django, who asks (services.py).
"""
