"""Work handed to django-q2. A task is a hint: losing one costs seconds, because the row it is about is the truth."""
