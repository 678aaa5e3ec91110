"""The one package that converts the usage reported by any source to `Usage`."""
