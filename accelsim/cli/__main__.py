"""``python -m accelsim.cli``: the command line where its script is not installed."""

import sys

from accelsim.cli.entry import main

sys.exit(main())
