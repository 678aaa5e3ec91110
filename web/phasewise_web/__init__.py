"""The pages, their JSON twins, and the command line."""
