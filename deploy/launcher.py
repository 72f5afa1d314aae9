#!/usr/bin/python3 -IP
"""Starts a command of Racklet with the libraries of its package."""

import sys

sys.path.insert(0, "/usr/lib/racklet")

from MODULE import main

sys.exit(main())
