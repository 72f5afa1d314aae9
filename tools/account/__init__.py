"""Accounts: what Racklet promises of power, shown against a virtual rack's truth. One module for each."""
