"""``python -m casewise``: the same as ``casewise``."""

import sys

from casewise.cli import main

sys.exit(main())
