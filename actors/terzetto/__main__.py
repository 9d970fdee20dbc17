"""`python -m terzetto` is `terzetto`."""

import sys

from ._cli import main

sys.exit(main())
