"""Addresses of places where files lie, the same words for the library and the saves. Below every other room; knows nobody.

Who reads or writes there is above: `vms/setup/library.py` tells rclone, `emulators/storages/` opens the place of saves,
`emulators/shelves/` that of the library.
"""
