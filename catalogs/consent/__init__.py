"""Permissions of the people shown: a register in the store, against which jobs are checked."""
