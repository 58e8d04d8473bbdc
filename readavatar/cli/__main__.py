"""``python -m readavatar.cli``."""

import sys

from readavatar.cli import main

sys.exit(main())
