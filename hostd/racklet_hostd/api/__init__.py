"""The gRPC API: the service `racklet.v1.Rack`, its methods split by what they are about."""
