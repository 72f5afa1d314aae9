"""What starts a HAT: picks a slot that verifies. Put there by `just flash`, and never replaced over the link."""
