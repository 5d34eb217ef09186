"""One loop over many independent pieces of work, done here, by processes of this machine, or on a Ray cluster.

``run(chunks, make)`` gives each item of ``chunks`` with its outcome. ``make`` opens what a worker needs (models, an archive) and
gives a function from a chunk to its outcomes, one an item, in order. Items are paths, keys or names, and outcomes small: images
stay in files, which a worker reads and writes itself.
"""

from casewise.workers.choice import chosen
from casewise.workers.contract import Lost, Make, Workers, chunked
from casewise.workers.here import Here
from casewise.workers.processes import Processes

__all__ = ["Here", "Lost", "Make", "Processes", "Workers", "chosen", "chunked"]
