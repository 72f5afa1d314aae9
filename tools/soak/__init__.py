"""A rack whose nodes never stop talking, everything that can go wrong, and the account of every byte."""
