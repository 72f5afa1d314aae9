"""What becomes of a node that gives no sign of life: it is reported, and recovered when its config says so."""
