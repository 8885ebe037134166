"""Reads pg_catalog into frozen values; never writes."""
