"""The way in to the gRPC API: who comes is asked here, before gRPC sees a byte.

gRPC tells a server neither which process is behind a unix socket nor why a handshake failed, and takes connections
without a bound. So hostd listens itself, finds out who it is, and carries the bytes to gRPC, which listens on a socket
that only hostd can reach. docs/decisions/0008 says why.
"""
