"""Doing one recorded task run again, here and alone, to look into it."""
