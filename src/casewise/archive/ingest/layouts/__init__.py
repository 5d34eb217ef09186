"""How people lay out images and labels in folders, one a file.

Each module has ``detect(folder) -> bool`` and ``entries(folder) -> Iterator[Entry]``: what it knows of the images below a folder it
recognises. Layouts add to one another (a folder per class may hold masks beside its images); where two speak of the same fact,
the one that comes first in ``planning.LAYOUTS`` is believed.
"""
