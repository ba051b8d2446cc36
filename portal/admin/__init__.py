"""Staff's front page, where all rooms meet. Start at `front_page.py`."""
