"""``python -m readavatar``, the same as the command ``readavatar``."""

import sys

from readavatar.cli import main

if __name__ == "__main__":
    sys.exit(main())
