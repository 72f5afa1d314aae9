"""The `racklet` command: a client of hostd's gRPC API."""

import os

# gRPC's core writes its own log to stderr, between the command's words. It looks at this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
