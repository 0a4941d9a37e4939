"""`python -m vision_llm_ros.cli`: the command line without its script on the PATH."""

import sys

from vision_llm_ros.cli import main

sys.exit(main())
