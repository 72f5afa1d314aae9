"""The boards as code: parts and nets, the drawing of them, placement, tracks."""
