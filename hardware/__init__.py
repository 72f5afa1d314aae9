"""The boards: their design as code, and what checks it."""
