"""Processes that an example starts (by spawn) find the same stage."""

import os
import sys

if "--multiprocessing-fork" in sys.orig_argv:
    import stage

    stage.set_stage(os.environ["REFERENCE_EXAMPLES_PACKAGE"])
