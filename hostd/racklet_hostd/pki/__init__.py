"""Certificates: a CA of one's own in one folder, and what hostd reads of any CA. docs/security.md shows the files."""
