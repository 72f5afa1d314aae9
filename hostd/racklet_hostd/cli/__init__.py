"""The `racklet` command: a client of hostd's gRPC API."""
