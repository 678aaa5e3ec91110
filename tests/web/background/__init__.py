"""Tests of what is made beside the pages."""
