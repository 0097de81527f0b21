"""What tests start reads compiled modules, also where the environment forbids to write them: compiling is a third of a short process."""

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
